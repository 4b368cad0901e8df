"""Join GVCFs piece by piece of the genome, some pieces at once; what comes out does not depend on the pieces."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from batch_worker import commands
from batch_worker.engine.gatk_tools import Gatk, link_reference
from batch_worker.engine.header import read_dict
from batch_worker.process import run, run_pipeline
from shared.domain.genome import Contig, Interval, cut_shards

_COPY_CHARACTERS = 1 << 20
_One = TypeVar("_One")
_Made = TypeVar("_Made")


def merge_in_pieces(
    gvcfs: Sequence[Path], joint: Path, *, reference: Path, scratch: Path, log: Path, threads: int, piece_bp: int
) -> None:
    """Join GVCFs of bcftools: all records with an ALT allele, as plain VCF in order of position.

    Indels are left-aligned before, so that one is written alike in all samples. A record belongs to the piece that
    its POS lies in, and a piece sees whatever overlaps it: the same bytes for any cutting.

    Args:
        gvcfs: `.g.vcf.gz`, one per sample.
        joint: Result.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        scratch: For temporary files; it needs the size of the GVCFs again.
        log: What the tools say is appended here.
        threads: Processes at once.
        piece_bp: Reference bp per piece.
    """

    def align(item: tuple[int, Path]) -> Path:
        number, gvcf = item
        aligned = scratch / f"{number:05d}.g.vcf.gz"
        run(commands.left_align(gvcf, aligned, reference=reference), log)
        return aligned

    def merge(piece: tuple[int, tuple[Interval, ...]]) -> Path:
        number, intervals = piece
        bed, out = scratch / f"piece-{number:05d}.bed", scratch / f"piece-{number:05d}.vcf"
        _write_bed(bed, intervals)
        argvs = [
            commands.merge_gvcfs(aligned, reference=reference, intervals_bed=bed),
            commands.view_variants(out, intervals_bed=bed),
        ]
        run_pipeline(argvs, log)
        return out

    aligned = _at_once(align, enumerate(gvcfs), threads)
    shards = cut_shards(_contigs(reference), piece_bp)
    _chain(_at_once(merge, ((shard.number, shard.intervals) for shard in shards), threads), joint)


def genotype_in_groups(
    gvcfs: Sequence[Path],
    joint: Path,
    *,
    reference: Path,
    gatk: Gatk,
    ploidy: int,
    min_qual: float,
    scratch: Path,
    log: Path,
    threads: int,
    group_bp: int,
) -> None:
    """Genotype GVCFs of GATK, by groups of whole contigs: what GATK says depends on what it saw before (ADR 17).

    Args:
        gvcfs: `.g.vcf.gz` with `.tbi`, one per sample.
        joint: Result.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        gatk: The program.
        ploidy: Of samples that have no genotype.
        min_qual: Variants of lower QUAL (Phred) are left out.
        scratch: For temporary files.
        log: What the tools say is appended here.
        threads: Processes at once.
        group_bp: A group ends with the contig that reaches this many bp; it changes results.
    """
    linked = link_reference(reference, scratch)

    def genotype(group: tuple[int, tuple[Interval, ...]]) -> Path:
        number, intervals = group
        folder = scratch / f"group-{number:05d}"
        folder.mkdir()
        bed, combined, out = folder / "group.bed", folder / "combined.g.vcf", folder / "joint.vcf"
        _write_bed(bed, intervals)
        gatk.run(commands.combine_gvcfs(gvcfs, combined, reference=linked, intervals_bed=bed), scratch=folder, log=log)
        arguments = commands.genotype_gvcfs(combined, out, reference=linked, ploidy=ploidy, min_qual=min_qual)
        gatk.run(arguments, scratch=folder, log=log)
        combined.unlink()
        return out

    _chain(_at_once(genotype, enumerate(contig_groups(_contigs(reference), group_bp)), threads), joint)


def contig_groups(contigs: Iterable[Contig], group_bp: int) -> list[tuple[Interval, ...]]:
    """Whole contigs in reference order; a group ends with the contig that reaches `group_bp`."""
    groups: list[tuple[Interval, ...]] = []
    some: list[Interval] = []
    for contig in contigs:
        some.append(Interval(contig.name, 0, contig.length))
        if sum(interval.length for interval in some) >= group_bp:
            groups.append(tuple(some))
            some = []
    return [*groups, tuple(some)] if some else groups


def _contigs(reference: Path) -> list[Contig]:
    return list(read_dict(reference.with_name(f"{reference.name}.dict")))


def _write_bed(bed: Path, intervals: Iterable[Interval]) -> None:
    bed.write_text("".join(f"{one.contig}\t{one.start}\t{one.end}\n" for one in intervals))


def _at_once(make: Callable[[_One], _Made], items: Iterable[_One], threads: int) -> list[_Made]:
    """The results in order. The work is done by processes, so threads only wait."""
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        return list(pool.map(make, items))


def _chain(vcfs: Sequence[Path], out: Path) -> None:
    """Plain VCFs of consecutive pieces as one, under the first one's header; the pieces are removed."""
    with out.open("w") as target:
        for number, vcf in enumerate(vcfs):
            with vcf.open() as source:
                for line in source:
                    if not line.startswith("#"):
                        target.write(line)
                        break
                    if number == 0:
                        target.write(line)
                while text := source.read(_COPY_CHARACTERS):
                    target.write(text)
            vcf.unlink()
