"""Call one shard with GATK: recalibrated base qualities, HaplotypeCaller, GenotypeGVCFs.

HaplotypeCaller looks for active regions along the intervals that it is given, so what it finds near a border may
depend on where the border is. It walks half of the halo beyond the shard and only what starts inside is kept, which
makes that rare; it is ruled out by the cut itself, which for this caller is a setting of the results.
"""

import heapq
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np

from batch_worker import commands
from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.borders import Owner
from batch_worker.engine.call import BAM_LEVEL, CallSummary
from batch_worker.engine.call_places import CallPlaces, call_places
from batch_worker.engine.depth import Depth, contig_length, depth_of, fetch
from batch_worker.engine.gatk_tools import Gatk, link_reference
from batch_worker.engine.gatk_vcf import HardFilters, cut_gvcf, finish, header, owned_variants
from batch_worker.engine.header import read_dict, recalibration_program
from batch_worker.engine.packed import find_offsets, read_bam, records_of
from batch_worker.engine.shard_files import TEXT_LEVEL
from batch_worker.engine.shard_reads import ReadCounts, ShardReads, owned_rows, read_shard
from batch_worker.engine.site_counts import count_sites, sites_of
from batch_worker.engine.vcf_text import ORIGINAL_TAG, VariantCounts, split_header, text_pieces
from batch_worker.process import run
from shared.domain.genome import Contig, Interval, Shard
from shared.domain.intervals import Intervals
from shared.domain.karyotype import CallRegion
from shared.domain.sites import CommonSite, SiteCounts
from shared.errors import PermanentError

PROVENANCE_KEY = "##fastq2fhir_gatk="
"""The header line that says a VCF or GVCF was made here."""

_TABLE_OF_READ_GROUPS = "#:GATKTable:RecalTable0:"


@dataclass(frozen=True, slots=True)
class GatkOptions:
    """Settings of the caller; all of them change results.

    Attributes:
        ploidy: Where no regions say another.
        emit_qual: Variants of lower QUAL (Phred) are left out; those between this and the filter's limit are not PASS.
        limits: When a variant is not PASS.
    """

    ploidy: int = 2
    emit_qual: float = 10.0
    limits: HardFilters = field(default_factory=HardFilters)


@dataclass(frozen=True, slots=True)
class RecalibrationSummary:
    """What counting one shard's bases gave: GATK's table, and the records that it read."""

    table: Path
    records: int


def recalibrate_shard(
    parts: Sequence[Path],
    *,
    shard: Shard,
    reference: Path,
    known_sites: Sequence[Path],
    halo_bp: int,
    gatk: Gatk,
    out_dir: Path,
    log: Path,
) -> RecalibrationSummary:
    """Count how often bases of each quality, cycle and context differ from the reference: `recalibration.table`.

    The records that the shard owns are counted, so every record is counted once whatever the cut; duplicates, and
    reads that are not placed well, are left out by GATK.

    Args:
        parts: This shard's part of every chunk, in the order (read group, chunk).
        shard: Which part of the genome.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        known_sites: VCFs (`.vcf.gz` with `.tbi`) of places that are known to vary: a difference there is no error.
        halo_bp: What the parts were cut with.
        gatk: The program.
        out_dir: Made if missing.
        log: What the tools say is appended here.

    Raises:
        PermanentError: See `read_shard`.
        TransientError: When a tool fails; carries its last words.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    contigs = read_dict(reference.with_name(reference.name + ".dict"))
    reads = read_shard(parts, shard=shard, contigs=contigs, halo_bp=halo_bp)
    table = out_dir / "recalibration.table"
    with tempfile.TemporaryDirectory(prefix="recalibrate-", dir=out_dir) as folder:
        scratch = Path(folder)
        owned = scratch / "owned.bam"
        reads.write(owned, np.flatnonzero(reads.owned), BAM_LEVEL)
        records = int(reads.owned.sum())
        del reads  # the memory is the JVM's now
        arguments = commands.base_recalibrator(
            owned, table, reference=link_reference(reference, scratch), known_sites=known_sites
        )
        gatk.run(arguments, scratch=scratch, log=log)
    return RecalibrationSummary(table, records)


def call_shard_gatk(
    parts: Sequence[Path],
    *,
    shard: Shard,
    tables: Sequence[Path],
    reference: Path,
    halo_bp: int,
    options: GatkOptions,
    gatk: Gatk,
    out_dir: Path,
    log: Path,
    regions: Sequence[CallRegion] | None = None,
    targets: Sequence[Interval] | None = None,
    notes: Sequence[str] = (),
    common_sites: Sequence[CommonSite] = (),
) -> CallSummary:
    """Write `shard.bam`, `shard.vcf.gz` and `shard.g.vcf.gz` to `out_dir`.

    Args:
        parts: This shard's part of every chunk, in the order (read group, chunk); it breaks ties of equal position.
        shard: Which part of the genome.
        tables: The tables of `recalibrate_shard` of all shards, in order; empty leaves the base qualities as they are.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        halo_bp: What the parts were cut with; at least three times the longest alignment.
        options: Settings of the caller.
        gatk: The program.
        out_dir: Made if missing.
        log: What the tools say is appended here.
        regions: As `call_shard` takes them.
        targets: As `call_shard` takes them.
        notes: Header lines for both files, the same for all shards.
        common_sites: Where bases are counted; those outside of the shard are left out.

    Returns:
        As the other caller: the BAM holds the recalibrated qualities; the GVCF has blocks of `<NON_REF>`.

    Raises:
        PermanentError: See `read_shard`.
        TransientError: When a tool fails; carries its last words.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    contigs = read_dict(reference.with_name(reference.name + ".dict"))
    with tempfile.TemporaryDirectory(prefix="call-", dir=out_dir) as scratch:
        places = call_places(shard, contigs, halo_bp, ploidy=options.ploidy, regions=regions, targets=targets)
        caller = _Caller(shard, places, notes, contigs, reference, halo_bp, options, gatk, Path(scratch), log)
        bam = out_dir / "shard.bam"
        seen = caller.write_bam(parts, tables, bam, common_sites)
        is_recalibrated = bool(tables)
        gvcf, vcf = out_dir / "shard.g.vcf.gz", out_dir / "shard.vcf.gz"
        gvcf_records = caller.write_gvcf(gvcf, is_recalibrated=is_recalibrated)
        variants = caller.write_vcf(vcf, is_recalibrated=is_recalibrated)
    return CallSummary(
        bam=bam,
        vcf=vcf,
        gvcf=gvcf,
        reads=seen.counts,
        gvcf_records=gvcf_records,
        variants=variants,
        depth=seen.depth,
        sites=seen.sites,
        on_target=seen.on_target,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a shard's reads show, whatever is called from them."""

    counts: ReadCounts
    depth: Depth
    sites: list[SiteCounts]
    on_target: int


@dataclass(slots=True)
class _Caller:
    """One shard's calling: first the BAM, then the GVCF, then the VCF."""

    shard: Shard
    places: CallPlaces
    notes: Sequence[str]
    contigs: Sequence[Contig]
    reference: Path
    halo_bp: int
    options: GatkOptions
    gatk: Gatk
    scratch: Path
    log: Path
    linked: Path = field(init=False)
    seen: Path = field(init=False)

    def __post_init__(self) -> None:
        self.linked = link_reference(self.reference, self.scratch)
        self.seen = self.scratch / "merged.bam"

    def write_bam(
        self, parts: Sequence[Path], tables: Sequence[Path], path: Path, common_sites: Sequence[CommonSite]
    ) -> _Seen:
        """Merge, recalibrate, write the owned records; `seen` is then what the caller reads, halo included."""
        reads = read_shard(parts, shard=self.shard, contigs=self.contigs, halo_bp=self.halo_bp)
        depth = depth_of(reads.records, [contig.name for contig in self.contigs], self.places.reported, self.reference)
        sites = count_sites(reads.records, reads.end, sites_of(self.shard, common_sites), self.contigs)
        seen = _Seen(reads.counts, depth, sites, reads.count_on_target(self.places.targets))
        reads.write(self.seen, np.arange(len(reads.records)), BAM_LEVEL)
        known = [table for table in tables if _has_counts(table)]
        if not known:
            reads.write(path, np.flatnonzero(reads.owned), BAM_LEVEL)
            run(commands.index_bam(self.seen), self.log)
            return seen
        text, total = reads.text, len(reads.records)
        del reads  # the memory is the JVM's now
        table, recalibrated = self.scratch / "all.table", self.scratch / "recalibrated.bam"
        self._run(commands.gather_bqsr_reports(known, table))
        self._run(commands.apply_bqsr(self.seen, recalibrated, table=table, reference=self.linked))
        self.seen.unlink()
        self.seen = recalibrated
        self._write_owned(recalibrated, text + recalibration_program(self.gatk.version) + "\n", total, path)
        return seen

    def _write_owned(self, recalibrated: Path, text: str, total: int, path: Path) -> None:
        """The owned records of GATK's BAM, under our header."""
        _, _, data, start = read_bam(recalibrated)
        records = records_of(data, find_offsets(data, start))
        if len(records) != total:
            raise PermanentError(
                f"ApplyBQSR of GATK {self.gatk.version} made {len(records):,} records of {total:,} of shard "
                f"{self.shard.number}. Order another caller, and report this."
            )
        owned = owned_rows(records, self.shard, self.contigs)
        reads = ShardReads(records, np.empty(0, dtype=np.int64), owned, text, self.contigs)
        reads.write(path, np.flatnonzero(owned), BAM_LEVEL)

    def write_gvcf(self, path: Path, *, is_recalibrated: bool) -> int:
        """Call each ploidy's share of the shard and write what the shard owns; return the number of records."""
        shares = self._shares()
        for number, (ploidy, own) in enumerate(shares):
            bed = self.scratch / f"{number}.bed"
            lengths = {one.contig: contig_length(self.reference, one.contig) for one in own}
            walked = [one.padded(self.halo_bp // 2, lengths[one.contig]) for one in own]
            if not walked:  # a header is needed all the same
                walked = [Interval(self.contigs[0].name, 0, 1)]
            bed.write_text("".join(f"{one.contig}\t{one.start}\t{one.end}\n" for one in walked))
            raw = self._raw_gvcf(number)
            self._run(
                commands.haplotype_caller(self.seen, raw, reference=self.linked, intervals_bed=bed, ploidy=ploidy)
            )
            called = self.scratch / f"{number}.vcf"
            self._run(
                commands.genotype_gvcfs(
                    raw, called, reference=self.linked, ploidy=ploidy, min_qual=self.options.emit_qual
                )
            )
        count = 0

        def counted(lines: Iterable[str]) -> Iterator[str]:
            nonlocal count
            for line in lines:
                count += 1
                yield line

        heads, bodies = self._open([self._raw_gvcf(number) for number in range(len(shares))])
        owned = [cut_gvcf(body, Owner(own), self._letter) for (_, own), body in zip(shares, bodies, strict=True)]
        lines = chain(header(heads[0], self._provenance(is_recalibrated)), counted(self._merged(owned)))
        write_bgzf(path, text_pieces(lines), TEXT_LEVEL)
        return count

    def write_vcf(self, path: Path, *, is_recalibrated: bool) -> VariantCounts:
        """Normalise the owned variants, set FILTER, write; return the counts."""
        shares = self._shares()
        heads, bodies = self._open([self.scratch / f"{number}.vcf" for number in range(len(shares))])
        owned = [owned_variants(body, Owner(own)) for (_, own), body in zip(shares, bodies, strict=True)]
        variants, normal = self.scratch / "variants.vcf", self.scratch / "normal.vcf"
        with variants.open("w") as out:
            out.writelines(f"{line}\n" for line in chain(heads[0], self._merged(owned)))
        run(commands.normalise(variants, normal, reference=self.reference, original_tag=ORIGINAL_TAG), self.log)
        counts = VariantCounts()
        own = [*self.options.limits.header_lines(), *self._provenance(is_recalibrated)]
        with normal.open() as text:
            head, body = split_header(text)
            lines = chain(header(head, own), finish(body, self.options.limits, counts))
            write_bgzf(path, text_pieces(lines), TEXT_LEVEL)
        return counts

    def _shares(self) -> list[tuple[int, Intervals]]:
        """What is called of the shard, by ploidy; never empty."""
        shares = [(region.ploidy, self.places.reported_in(region)) for region in self.places.regions]
        return [(ploidy, own) for ploidy, own in shares if own] or [(self.options.ploidy, ())]

    def _provenance(self, is_recalibrated: bool) -> list[str]:
        return [*self.notes, *_provenance(self.options, self.gatk, is_recalibrated)]

    def _raw_gvcf(self, number: int) -> Path:
        return self.scratch / f"{number}.g.vcf"

    def _open(self, paths: Sequence[Path]) -> tuple[list[list[str]], list[Iterator[str]]]:
        heads, bodies = zip(*(split_header(_lines(path)) for path in paths), strict=True)
        return list(heads), list(bodies)

    def _merged(self, bodies: Sequence[Iterable[str]]) -> Iterator[str]:
        """The lines of several sorted bodies in the reference's order."""
        rank = {contig.name: number for number, contig in enumerate(self.contigs)}

        def place(line: str) -> tuple[int, int]:
            contig, pos, _ = line.split("\t", 2)
            return rank[contig], int(pos)

        return bodies[0].__iter__() if len(bodies) == 1 else heapq.merge(*bodies, key=place)

    def _letter(self, piece: Interval) -> str:
        """The reference base at the piece's start as GATK writes it: upper case, N for ambiguity codes."""
        letter = fetch(self.reference, Interval(piece.contig, piece.start, piece.start + 1)).decode().upper()
        return letter if letter in "ACGT" else "N"

    def _run(self, arguments: Sequence[str]) -> None:
        self.gatk.run(arguments, scratch=self.scratch, log=self.log)


def _lines(path: Path) -> Iterator[str]:
    with path.open() as text:
        yield from text


def _has_counts(table: Path) -> bool:
    """Whether a recalibration table holds any observation: GATK refuses to gather tables that all hold none."""
    with table.open() as lines:
        for line in lines:
            if line.startswith(_TABLE_OF_READ_GROUPS):
                next(lines)  # the column names
                return bool(next(lines, "").strip())
    raise PermanentError(f"{table.name} is no recalibration table of GATK. Recalibrate the shard again.")


def _provenance(options: GatkOptions, gatk: Gatk, is_recalibrated: bool) -> list[str]:
    """Header lines that name the programs and settings; the same wherever and whenever they ran."""
    programs = f"bwa-mem3 {version('bwa-mem3')}, GATK {gatk.version}, bcftools of pysam {version('pysam')}"
    settings = (
        f'BaseRecalibrator="{"known sites" if is_recalibrated else "not run"}",HaplotypeCaller="-ERC GVCF",'
        f'GenotypeGVCFs="-stand-call-conf {options.emit_qual:g}",ploidy="{options.ploidy}",norm="-m -any"'
    )
    return [f"##source=fastq2fhir: {programs}", f"{PROVENANCE_KEY}<{settings}>"]
