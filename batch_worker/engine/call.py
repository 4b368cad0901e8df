"""Call one shard: merge its parts, mark duplicates, call variants and reference blocks, count.

What happens at a shard's border is what would happen without a border: duplicates are marked on all records of the
halo; the caller walks over half of the halo on each side, because whether it realigns a read depends on every column
that the read covers; only then are records cut by their start.
"""

import tempfile
from collections.abc import Iterator, Sequence
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
from batch_worker.engine.depth import Depth, depth_of, fetch
from batch_worker.engine.duplicates import find_duplicates, set_duplicate_flags
from batch_worker.engine.evidence import Evidence, find_evidence
from batch_worker.engine.header import (
    SamReadGroup,
    aligner_program,
    duplicates_program,
    header_text,
    parse_read_groups,
    read_dict,
)
from batch_worker.engine.packed import (
    DUPLICATE,
    MATE_FACTS_BYTES,
    NOT_PRIMARY,
    PAIRED,
    PROPER_PAIR,
    QC_FAIL,
    SECONDARY,
    UNMAPPED,
    Cover,
    Records,
    bam_header,
    coordinate_order,
    find_offsets,
    read_bam,
    records_of,
    spans_of,
)
from batch_worker.engine.read_metrics import duplicates_by_read_group
from batch_worker.engine.site_counts import count_sites, sites_of
from batch_worker.engine.vcf_text import (
    ORIGINAL_TAG,
    FilterLimits,
    VariantCounts,
    finish_variants,
    header_lines,
    is_variant,
    split_header,
    text_pieces,
)
from batch_worker.process import run, run_pipeline
from shared.domain.genome import Contig, Interval, Shard
from shared.domain.sites import CommonSite, SiteCounts
from shared.errors import PermanentError
from shared.formats.gvcf import bands_line

_WRITE_RECORDS = 4_096  # records joined per write: about 2 MB
_BAM_LEVEL = 1
_TEXT_LEVEL = 1  # shard files are read once, by the gather, which compresses the result
_STORED = 0
_HALO_SPANS = 3  # longest alignments that must fit into the halo
_UNSEEN_BY_CALLER = UNMAPPED | SECONDARY | QC_FAIL | DUPLICATE  # what mpileup skips anyway


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Settings of the caller; all of them change results.

    Attributes:
        ploidy: Of the whole genome.
        prior: Expected share of positions that differ from the reference. Five times what a human genome has:
        weak evidence
            (reads shared with a repeat) then becomes a record, whose QUAL and FILTER say how weak it is.
        max_depth: Reads per position that the caller sees; beyond it reads are drawn at random and results
        could depend on
            shards, so it lies far above any depth that is not an artefact.
        min_mapq: Reads of lower mapping quality (Phred) are not seen.
        min_base_quality: Bases of lower quality (Phred, after BAQ) are not seen.
        depth_bands: Lower ends of the depth bands of reference blocks.
        limits: When a variant is not PASS.
    """

    ploidy: int = 2
    prior: float = 0.005
    max_depth: int = 8_000
    min_mapq: int = 0
    min_base_quality: int = 1
    depth_bands: tuple[int, ...] = (0, 1, 5, 10, 15, 20, 30)
    limits: FilterLimits = field(default_factory=FilterLimits)


@dataclass(frozen=True, slots=True)
class CallSummary:
    """What calling a shard gave.

    Record counts are of owned records: those that start in the shard, and the unplaced ones in the last shard.

    Attributes:
        bam: `shard.bam`, the owned records with duplicate flags, sorted.
        vcf: `shard.vcf.gz`, variants: left-aligned, one ALT allele per record, FILTER set. Sorted by what
        bcftools norm
            makes of them; a record may lie some bp before the shard, because left-aligning moved it.
        gvcf: `shard.g.vcf.gz`, variants as called and reference blocks cut at the shard's borders.
        group_duplicates: Duplicates by read group.
        sites: What the reads show at the common sites in the shard.
    """

    bam: Path
    vcf: Path
    gvcf: Path
    records: int
    primary: int
    primary_mapped: int
    duplicates: int
    unplaced: int
    gvcf_records: int
    variants: VariantCounts
    depth: Depth
    group_duplicates: dict[str, int]
    sites: list[SiteCounts]


def call_shard(
    parts: Sequence[Path],
    *,
    shard: Shard,
    reference: Path,
    halo_bp: int,
    options: CallOptions,
    out_dir: Path,
    log: Path,
    common_sites: Sequence[CommonSite] = (),
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
        common_sites: Where bases are counted; those outside of the shard are left out.

    Raises:
        PermanentError: When a part is damaged, belongs to another reference, or was cut with too small a halo.
        TransientError: When a tool fails; carries its last words.
    """
    if not parts:
        raise PermanentError(f"Shard {shard.number} has no parts to call; every chunk leaves one per shard.")
    out_dir.mkdir(parents=True, exist_ok=True)
    contigs = read_dict(reference.with_name(reference.name + ".dict"))
    text, records = _merge(parts, contigs)
    spans = spans_of(records)
    _check_halo(records, spans.end, halo_bp, shard)
    set_duplicate_flags(records, find_duplicates(records, spans))
    _drop_mate_facts(records)

    head = records.head
    cover = Cover(shard.intervals, contigs)
    owned = cover.holds(cover.linear(head["ref"], head["pos"].astype(np.int64)))
    if shard.is_last:
        owned |= head["ref"] < 0
    header = bam_header(text, contigs)
    bam = out_dir / "shard.bam"
    write_bgzf(bam, _pieces(header, records, np.flatnonzero(owned)), _BAM_LEVEL)
    depth = depth_of(records, [contig.name for contig in contigs], shard.intervals, reference)

    vcf, gvcf = out_dir / "shard.vcf.gz", out_dir / "shard.g.vcf.gz"
    with tempfile.TemporaryDirectory(prefix="call-", dir=out_dir) as scratch:
        caller = _Caller(records, spans.end, header, shard, contigs, reference, halo_bp, options, Path(scratch), log)
        gvcf_records = caller.write_gvcf(gvcf)
        counts = caller.write_vcf(vcf)
    flag = head["flag"][owned]
    primary = flag & NOT_PRIMARY == 0
    return CallSummary(
        bam=bam,
        vcf=vcf,
        gvcf=gvcf,
        records=int(owned.sum()),
        primary=int(primary.sum()),
        primary_mapped=int((primary & (flag & UNMAPPED == 0)).sum()),
        duplicates=int((flag & DUPLICATE != 0).sum()),
        unplaced=int((head["ref"][owned] < 0).sum()),
        gvcf_records=gvcf_records,
        variants=counts,
        depth=depth,
        group_duplicates=duplicates_by_read_group(records, owned),
        sites=count_sites(records, spans.end, sites_of(shard, common_sites), contigs),
    )


def _check_halo(records: Records, end: NDArray[np.int64], halo_bp: int, shard: Shard) -> None:
    """Refuse a halo in which records at its outer edge could change what is called inside the shard."""
    placed = records.head["ref"] >= 0
    longest = int((end - records.head["pos"])[placed].max(initial=0))
    # A record that reaches into the shard may have a mate one span out, whose duplicates may lie another span away.
    if halo_bp < _HALO_SPANS * longest:
        raise PermanentError(
            f"Shard {shard.number} has an alignment over {longest:,} bp, but the halo is {halo_bp:,} bp and must be at "
            f"least {_HALO_SPANS} times as wide. Set a wider halo for these reads."
        )


def _merge(parts: Sequence[Path], contigs: Sequence[Contig]) -> tuple[str, Records]:
    """All records of the parts in coordinate order, ties by part; and the header of the whole."""
    expected = tuple((contig.name, contig.length) for contig in contigs)
    buffers: list[NDArray[np.uint8]] = []
    offsets: list[NDArray[np.int64]] = []
    groups: dict[str, SamReadGroup] = {}
    base = 0
    for part in parts:
        text, named, data, start = read_bam(part)
        if named != expected:
            raise PermanentError(f"{part.name} was aligned to another reference. Align the chunk again.")
        for group in parse_read_groups(text):
            if groups.setdefault(group.id, group) != group:
                raise PermanentError(f"Read group '{group.id}' means two things in the parts. Rename one.")
        offsets.append(find_offsets(data, start) - start + base)
        buffers.append(np.frombuffer(data, dtype=np.uint8)[start:])
        base += len(data) - start
    # One copy, which is writable: flags are set in place.
    merged = records_of(np.concatenate(buffers), np.concatenate(offsets))
    order = coordinate_order(merged.head["ref"], merged.head["pos"])
    text = header_text(contigs, list(groups.values()), [aligner_program(), duplicates_program()])
    return text, Records(merged.buffer, merged.offsets[order], merged.head[order])


def _drop_mate_facts(records: Records) -> None:
    """Shorten every primary record by its last tag, which was for duplicate marking only."""
    primary = np.flatnonzero(records.head["flag"] & NOT_PRIMARY == 0)
    shorter = (records.head["block_size"][primary] - MATE_FACTS_BYTES).astype("<i4")
    records.head["block_size"][primary] = shorter
    for k, column in enumerate(shorter.view(np.uint8).reshape(-1, 4).T):
        records.buffer[records.offsets[primary] + k] = column


def _pieces(header: bytes, records: Records, rows: NDArray[np.int64]) -> Iterator[bytes]:
    """The header, then the chosen records in order, some thousand at a time."""
    yield header
    view = memoryview(records.buffer.data)
    starts = records.offsets[rows]
    ends = starts + records.sizes[rows]
    for at in range(0, len(rows), _WRITE_RECORDS):
        chosen = slice(at, at + _WRITE_RECORDS)
        yield b"".join(
            [view[start:end] for start, end in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)]
        )


@dataclass(slots=True)
class _Caller:
    """One shard's calling: first the GVCF, then the VCF made of its variants."""

    records: Records
    spans_end: NDArray[np.int64]
    header: bytes
    shard: Shard
    contigs: Sequence[Contig]
    reference: Path
    halo_bp: int
    options: CallOptions
    scratch: Path
    log: Path

    def write_gvcf(self, path: Path) -> int:
        """Call, cut to the shard, write; return the number of records. Variants are kept in the scratch folder."""
        lengths = {contig.name: contig.length for contig in self.contigs}
        called = self.scratch / "called.vcf"
        seen = self._seen()
        bands = self.options.depth_bands
        evidence = self._evidence(seen, lengths)
        walked = [window for found in evidence for window in found.intervals()]
        if not walked:  # a header is needed all the same
            first = evidence[0].interval
            walked = [Interval(first.contig, first.start, first.start + 1)]
        call = commands.call(called, prior=self.options.prior, ploidy=self.options.ploidy, depth_bands=bands)
        run_pipeline([self._mpileup(self._over(walked, seen), walked, bands, None), call], self.log)
        owner = Owner(self.shard.intervals)
        with called.open() as text:
            header, body = split_header(text)
            cuts = crossing(body, owner)
        depths = self._depths(cuts, seen, walked, lengths)
        blocks = {cut.piece: recount(cut, self._letter(cut.piece), depths, bands) for cut in cuts}
        count = 0
        with called.open() as text, (self.scratch / "variants.vcf").open("w") as variants:
            _, body = split_header(text)
            variants.writelines(f"{line}\n" for line in header)

            outside = chain.from_iterable(
                blocks_outside(found, own, self.reference, bands, self.options.ploidy)
                for found, own in zip(evidence, self.shard.intervals, strict=True)
            )
            order = [contig.name for contig in self.contigs]

            def owned() -> Iterator[str]:
                nonlocal count
                for line in unite(trim(body, owner, blocks), outside, order, bands):
                    count += 1
                    if is_variant(line):
                        variants.write(f"{line}\n")
                    yield line

            own = [*_provenance(self.options), bands_line(bands)]
            write_bgzf(path, text_pieces(chain(header_lines(header, own), owned())), _TEXT_LEVEL)
        return count

    def _seen(self) -> NDArray[np.int64]:
        """The records that mpileup does not skip by flag or mapping quality."""
        head = self.records.head
        orphan = (head["flag"] & PAIRED != 0) & (head["flag"] & PROPER_PAIR == 0)
        unseen = (head["flag"] & _UNSEEN_BY_CALLER != 0) | orphan | (head["mapq"] < self.options.min_mapq)
        return np.flatnonzero((head["ref"] >= 0) & ~unseen)

    def _evidence(self, seen: NDArray[np.int64], lengths: dict[str, int]) -> list[Evidence]:
        """What to pile up, for each of the shard's intervals with half its halo."""
        records = Records(self.records.buffer, self.records.offsets[seen], self.records.head[seen])
        found = find_evidence(
            records,
            self.spans_end[seen],
            walked=[i.padded(self.halo_bp // 2, lengths[i.contig]) for i in self.shard.intervals],
            contigs=self.contigs,
            reference=self.reference,
            prior=self.options.prior,
            max_depth=self.options.max_depth,
        )
        for one in found:
            if not can_group(self.options.depth_bands) or self.options.min_base_quality > 1:
                one.windows[:] = True
            widen_over_runs(one, self.options.depth_bands)
        return found

    def _over(self, walked: Sequence[Interval], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows that share a base with an interval."""
        cover = Cover(walked, self.contigs)
        head = self.records.head[rows]
        start = cover.linear(head["ref"], head["pos"].astype(np.int64))
        return rows[cover.overlaps(start, cover.linear(head["ref"], self.spans_end[rows]))]

    def write_vcf(self, path: Path) -> VariantCounts:
        """Normalise the variants that `write_gvcf` kept, set FILTER, write; return the counts."""
        normal = self.scratch / "normal.vcf"
        variants = self.scratch / "variants.vcf"
        run(commands.normalise(variants, normal, reference=self.reference, original_tag=ORIGINAL_TAG), self.log)
        counts = VariantCounts()
        own = [*self.options.limits.header_lines(), *_provenance(self.options)]
        with normal.open() as text:
            header, body = split_header(text)
            finished = finish_variants(body, self.options.limits, counts)
            lines = chain(header_lines(header, own), finished)
            write_bgzf(path, text_pieces(lines), _TEXT_LEVEL)
        return counts

    def _mpileup(
        self, rows: NDArray[np.int64], walked: Sequence[Interval], bands: Sequence[int] | None, out_vcf: Path | None
    ) -> list[str]:
        """Write the records `rows` and the intervals to walk, and build the argv that reads both."""
        name = "pile" if out_vcf is None else "border"
        pile, bed = self.scratch / f"{name}.bam", self.scratch / f"{name}.bed"
        write_bgzf(pile, _pieces(self.header, self.records, rows), _STORED)
        bed.write_text("".join(f"{i.contig}\t{i.start}\t{i.end}\n" for i in walked))
        return commands.mpileup(
            pile,
            reference=self.reference,
            targets_bed=bed,
            max_depth=self.options.max_depth,
            min_mapq=self.options.min_mapq,
            min_base_quality=self.options.min_base_quality,
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


def _provenance(options: CallOptions) -> list[str]:
    """Header lines that name the programs and settings; the same wherever and whenever they ran."""
    bands = ",".join(map(str, options.depth_bands))
    settings = (
        f'##fastq2fhir_call=<mpileup="-q {options.min_mapq} -Q {options.min_base_quality} -d {options.max_depth} '
        f'-L {options.max_depth}",call="-m -P {options.prior:g} --ploidy {options.ploidy} -g {bands}",norm="-m -any">'
    )
    return [
        f"##source=fastq2fhir: bwa-mem3 {version('bwa-mem3')}, bcftools of pysam {version('pysam')}",
        settings,
    ]
