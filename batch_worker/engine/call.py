"""Call one shard: merge its parts, mark duplicates, call variants and reference blocks, count.

What happens at a shard's border is what would happen without a border: duplicates are marked on all records of the
halo; the caller walks over half of the halo on each side, because whether it realigns a read depends on every column
that the read covers; only then are records cut by their start.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker import commands
from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.blocks import blocks_outside, can_group, unite, widen_over_runs
from batch_worker.engine.borders import Cut, Owner, crossing, parse_depths, recount, trim, windows
from batch_worker.engine.call_places import CallPlaces, call_places
from batch_worker.engine.depth import Depth, depth_of, fetch
from batch_worker.engine.evidence import Evidence, find_evidence
from batch_worker.engine.filters import FilterLimits
from batch_worker.engine.header import read_dict
from batch_worker.engine.packed import (
    DUPLICATE,
    PAIRED,
    PROPER_PAIR,
    QC_FAIL,
    SECONDARY,
    UNMAPPED,
    Cover,
    Records,
    bam_header,
)
from batch_worker.engine.shard_files import ShardFiles
from batch_worker.engine.shard_reads import ReadCounts, bam_pieces, read_shard
from batch_worker.engine.site_counts import count_sites, sites_of
from batch_worker.engine.thin import thin
from batch_worker.engine.vcf_text import VariantCounts, split_header
from batch_worker.process import run, run_pipeline
from shared.domain.genome import Contig, Interval, Shard
from shared.domain.intervals import Intervals, intersected, widened
from shared.domain.karyotype import CallRegion
from shared.domain.sites import CommonSite, SiteCounts

BAM_LEVEL = 1
_STORED = 0
_REACH_MARGIN_BP = 10  # more than a window's own margin
_UNSEEN_BY_CALLER = UNMAPPED | SECONDARY | QC_FAIL | DUPLICATE  # what mpileup skips anyway


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Settings of the caller; all of them change results.

    Attributes:
        ploidy: Where no regions say another.
        prior: Expected share of positions that differ from the reference. Five times what a human genome has:
        weak evidence
            (reads shared with a repeat) then becomes a record, whose QUAL and FILTER say how weak it is.
        max_depth: Reads per position that the caller sees; beyond it reads are drawn at random and results
        could depend on
            shards, so it lies far above any depth that is not an artefact.
        min_mapq: Reads of lower mapping quality (Phred) are not seen.
        min_base_quality: Bases of lower quality (Phred, after BAQ) are not seen.
        tandem_quality: How sure a read's indel in a homopolymer is: one of s bp in a run of l bp has quality (Phred)
            tandem_quality * s / l. bcftools has 500; copying slips more often than that in long runs.
        depth_bands: Lower ends of the depth bands of reference blocks.
        limits: When a variant is not PASS.
    """

    ploidy: int = 2
    prior: float = 0.005
    max_depth: int = 8_000
    min_mapq: int = 0
    min_base_quality: int = 1
    tandem_quality: int = 300
    depth_bands: tuple[int, ...] = (0, 1, 5, 10, 15, 20, 30)
    limits: FilterLimits = field(default_factory=FilterLimits)


@dataclass(frozen=True, slots=True)
class CallSummary:
    """What calling a shard gave.

    Attributes:
        bam: `shard.bam`, the owned records with duplicate flags, sorted.
        vcf: `shard.vcf.gz`, variants: left-aligned, one ALT allele per record, FILTER set. Sorted by what
        bcftools norm
            makes of them; a record may lie some bp before the shard, because left-aligning moved it.
        gvcf: `shard.g.vcf.gz`, variants as called and reference blocks cut at the shard's borders.
        depth: Over what is called and, if there are targets, in them.
        sites: What the reads show at the common sites in the shard.
        on_target: Mapped primary records, duplicates included, that share a base with a target; 0 without targets.
    """

    bam: Path
    vcf: Path
    gvcf: Path
    reads: ReadCounts
    gvcf_records: int
    variants: VariantCounts
    depth: Depth
    sites: list[SiteCounts]
    on_target: int = 0


def call_shard(
    parts: Sequence[Path],
    *,
    shard: Shard,
    reference: Path,
    halo_bp: int,
    options: CallOptions,
    out_dir: Path,
    log: Path,
    regions: Sequence[CallRegion] | None = None,
    targets: Sequence[Interval] | None = None,
    notes: Sequence[str] = (),
    common_sites: Sequence[CommonSite] = (),
    on_bam: Callable[[Path], None] = lambda _: None,
) -> CallSummary:
    """Write `shard.bam`, `shard.vcf.gz` and `shard.g.vcf.gz` to `out_dir`.

    Args:
        parts: This shard's part of every chunk, in the order (read group, chunk); it breaks ties of equal position.
        shard: Which part of the genome.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        halo_bp: What the parts were cut with; at least three times the longest alignment.
        options: Settings of the caller.
        out_dir: Made if missing.
        log: What the tools say on stderr is appended here.
        regions: The shard by ploidy; what is in none or has ploidy 0 is not called. The whole shard has the options'
            ploidy when left out.
        targets: What calls are limited to: intervals that neither overlap nor touch, of the shard and at least its
            halo. A variant is called when POS or a base that it deletes lies in one; blocks are cut at their edges.
        notes: Header lines for both files, the same for all shards.
        common_sites: Where bases are counted; those outside of the shard are left out.
        on_bam: Told of `shard.bam` when it is written, before calling begins.

    Raises:
        PermanentError: When a part is damaged, belongs to another reference, or was cut with too small a halo.
        TransientError: When a tool fails; carries its last words.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    contigs = read_dict(reference.with_name(reference.name + ".dict"))
    reads = read_shard(parts, shard=shard, contigs=contigs, halo_bp=halo_bp)
    records = reads.records
    header = bam_header(reads.text, contigs)
    bam = out_dir / "shard.bam"
    write_bgzf(bam, bam_pieces(header, records, np.flatnonzero(reads.owned)), BAM_LEVEL)
    on_bam(bam)
    places = call_places(shard, contigs, halo_bp, ploidy=options.ploidy, regions=regions, targets=targets)
    depth = depth_of(records, [contig.name for contig in contigs], places.reported, reference)

    vcf, gvcf = out_dir / "shard.vcf.gz", out_dir / "shard.g.vcf.gz"
    with tempfile.TemporaryDirectory(prefix="call-", dir=out_dir) as scratch:
        callers = [
            _Caller(
                records=records,
                spans_end=reads.end,
                header=header,
                region=region,
                places=places,
                contigs=contigs,
                reference=reference,
                halo_bp=halo_bp,
                options=options,
                scratch=Path(tempfile.mkdtemp(prefix=f"ploidy-{region.ploidy}-", dir=scratch)),
                log=log,
            )
            for region in places.regions
        ]
        files = ShardFiles(
            contigs,
            reference,
            options.limits,
            Path(scratch),
            log,
            [*notes, *_provenance(options, by_region=regions is not None)],
        )
        gvcf_records = files.write_gvcf(gvcf, [caller.call() for caller in callers], options.depth_bands)
        counts = files.write_vcf(vcf)
    return CallSummary(
        bam=bam,
        vcf=vcf,
        gvcf=gvcf,
        reads=reads.counts,
        gvcf_records=gvcf_records,
        variants=counts,
        depth=depth,
        sites=count_sites(records, reads.end, sites_of(shard, common_sites), contigs),
        on_target=reads.count_on_target(places.targets),
    )


@dataclass(slots=True)
class _Caller:
    """The calling of what has one ploidy."""

    records: Records
    spans_end: NDArray[np.int64]
    header: bytes
    region: CallRegion
    places: CallPlaces
    contigs: Sequence[Contig]
    reference: Path
    halo_bp: int
    options: CallOptions
    scratch: Path
    log: Path

    def call(self) -> tuple[list[str], Iterator[str]]:
        """Call: the caller's header, and the GVCF lines that lie in the region and the targets."""
        lengths = {contig.name: contig.length for contig in self.contigs}
        called = self.scratch / "called.vcf"
        seen = self._seen()
        bands = self.options.depth_bands
        reported = self.places.reported_in(self.region)
        evidence, walked = self._evidence(seen)
        if not walked:
            first = self.contigs[0]
            walked = [Interval(first.name, 0, 1)]
        call = commands.call(called, prior=self.options.prior, ploidy=self.region.ploidy, depth_bands=bands)
        run_pipeline([self._mpileup(self._over(walked, seen), walked, bands, None), call], self.log)
        owner, told = Owner(self.region.intervals), Owner(reported)
        with called.open() as text:
            header, body = split_header(text)
            cuts = crossing(body, told)
        depths = self._depths(cuts, seen, walked, lengths)
        blocks = {cut.piece: recount(cut, self._letter(cut.piece), depths, bands) for cut in cuts}
        targets = None if self.places.targets is None else Owner(self.places.targets)
        outside = chain.from_iterable(
            blocks_outside(found, own, self.reference, bands, self.region.ploidy)
            for found, own in _matched(evidence, reported)
        )

        def lines() -> Iterator[str]:
            with called.open() as text:
                _, body = split_header(text)
                trimmed = trim(body, owner, blocks, reported=told, targets=targets)
                yield from unite(trimmed, outside, [contig.name for contig in self.contigs], bands)

        return header, lines()

    def _seen(self) -> NDArray[np.int64]:
        """The records that mpileup does not skip by flag or mapping quality, and no more than it can count."""
        head = self.records.head
        orphan = (head["flag"] & PAIRED != 0) & (head["flag"] & PROPER_PAIR == 0)
        unseen = (head["flag"] & _UNSEEN_BY_CALLER != 0) | orphan | (head["mapq"] < self.options.min_mapq)
        return thin(self.records, self.spans_end, np.flatnonzero((head["ref"] >= 0) & ~unseen))

    def _evidence(self, seen: NDArray[np.int64]) -> tuple[list[Evidence], list[Interval]]:
        """What the reads say of the region with half the halo, and what of it to pile up.

        With targets, only what a read can reach that covers a target's base, or a base that such a read deletes, is
        looked at: no other column changes what the caller says of them.
        """
        near, reach = self.region.intervals, 0
        if self.places.targets is not None:
            spans = self.spans_end[seen] - self.records.head["pos"][seen]
            reach = int(spans.max(initial=0)) + _REACH_MARGIN_BP
            near = intersected(near, widened(self.places.targets, reach, 0, self.contigs))
        if not near:
            return [], []
        stretches = widened(near, self.halo_bp // 2, self.halo_bp // 2, self.contigs)
        rows = self._over(stretches, seen)
        found = find_evidence(
            Records(self.records.buffer, self.records.offsets[rows], self.records.head[rows]),
            self.spans_end[rows],
            walked=stretches,
            contigs=self.contigs,
            reference=self.reference,
            prior=self.options.prior,
            max_depth=self.options.max_depth,
        )
        for one in found:
            if not can_group(self.options.depth_bands) or self.options.min_base_quality > 1:
                one.windows[:] = True
            widen_over_runs(one, self.options.depth_bands)
        walked = [window for one in found for window in one.intervals()]
        if self.places.targets is not None:
            walked = list(intersected(walked, widened(near, reach, reach, self.contigs)))
        return found, walked

    def _over(self, walked: Sequence[Interval], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows that share a base with an interval."""
        cover = Cover(walked, self.contigs)
        head = self.records.head[rows]
        start = cover.linear(head["ref"], head["pos"].astype(np.int64))
        return rows[cover.overlaps(start, cover.linear(head["ref"], self.spans_end[rows]))]

    def _mpileup(
        self, rows: NDArray[np.int64], walked: Sequence[Interval], bands: Sequence[int] | None, out_vcf: Path | None
    ) -> list[str]:
        """Write the records `rows` and the intervals to walk, and build the argv that reads both."""
        name = "pile" if out_vcf is None else "border"
        pile, bed = self.scratch / f"{name}.bam", self.scratch / f"{name}.bed"
        write_bgzf(pile, bam_pieces(self.header, self.records, rows), _STORED)
        bed.write_text("".join(f"{i.contig}\t{i.start}\t{i.end}\n" for i in walked))
        return commands.mpileup(
            pile,
            reference=self.reference,
            targets_bed=bed,
            max_depth=self.options.max_depth,
            min_mapq=self.options.min_mapq,
            min_base_quality=self.options.min_base_quality,
            tandem_quality=self.options.tandem_quality,
            depth_bands=bands,
            out_vcf=out_vcf,
        )

    def _depths(
        self, cuts: Sequence[Cut], seen: NDArray[np.int64], walked: Sequence[Interval], lengths: dict[str, int]
    ) -> dict[tuple[str, int], int]:
        """The depth of every position of the pieces that a border cut off."""
        if not cuts:
            return {}
        near = Owner(windows(cuts, self.halo_bp // 2, lengths))
        again = [piece for window in walked for piece in near.pieces(window.contig, window.start, window.end)]
        out_vcf = self.scratch / "border.vcf"
        run(self._mpileup(self._over(again, seen), again, None, out_vcf), self.log)
        with out_vcf.open() as text:
            return dict(parse_depths(text))

    def _letter(self, piece: Interval) -> str:
        """The reference base at the piece's start as mpileup writes it: upper case, N for ambiguity codes."""
        letter = fetch(self.reference, Interval(piece.contig, piece.start, piece.start + 1)).decode().upper()
        return letter if letter in "ACGT" else "N"


def _matched(evidence: Sequence[Evidence], intervals: Intervals) -> Iterator[tuple[Evidence, Interval]]:
    """Each interval with the evidence that holds it."""
    by_contig: dict[str, list[Evidence]] = {}
    for one in evidence:
        by_contig.setdefault(one.interval.contig, []).append(one)
    starts = {contig: [one.interval.start for one in own] for contig, own in by_contig.items()}
    for interval in intervals:
        at = bisect_right(starts[interval.contig], interval.start) - 1
        yield by_contig[interval.contig][at], interval


def _provenance(options: CallOptions, *, by_region: bool) -> list[str]:
    """Header lines that name the programs and settings; the same wherever and whenever they ran."""
    bands = ",".join(map(str, options.depth_bands))
    ploidy = "" if by_region else f"--ploidy {options.ploidy} "
    settings = (
        f'##fastq2fhir_call=<mpileup="-q {options.min_mapq} -Q {options.min_base_quality} -d {options.max_depth} '
        f'-L {options.max_depth} -h {options.tandem_quality}",'
        f'call="-m -P {options.prior:g} {ploidy}-g {bands}",norm="-m -any">'
    )
    return [
        f"##source=fastq2fhir: bwa-mem3 {version('bwa-mem3')}, bcftools of pysam {version('pysam')}",
        settings,
    ]
