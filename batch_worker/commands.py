"""Every argv of an external program, as pure functions; `process.py` runs them.

samtools and bcftools are version 1.24, inside the pysam wheel. `--no-version` everywhere: headers name no
paths or dates.
"""

from collections.abc import Sequence
from pathlib import Path


def mpileup(
    bam: Path,
    *,
    reference: Path,
    targets_bed: Path,
    max_depth: int,
    min_mapq: int,
    min_base_quality: int,
    depth_bands: Sequence[int] | None,
    out_vcf: Path | None,
) -> list[str]:
    """Genotype likelihoods of every covered position in the targets.

    Args:
        bam: Sorted; it is streamed (`-T`), so it needs no index.
        reference: Plain FASTA with its `.fai`.
        targets_bed: Columns outside are skipped.
        max_depth: Reads per position; beyond it reads are drawn at random, so it must be out of reach (`-d`, `-L`).
        min_mapq: Reads below are not seen (`-q`).
        min_base_quality: Bases below, after BAQ, are not seen (`-Q`).
        depth_bands: Lower ends of the depth bands by which positions without any other base are grouped into
        blocks (`-g`); None
            gives one record per position.
        out_vcf: Plain VCF; None sends uncompressed BCF to stdout.
    """
    bands = ["-g", ",".join(map(str, depth_bands))] if depth_bands is not None else []
    output = ["-Ov", "-o", str(out_vcf)] if out_vcf is not None else ["-Ou"]
    return [
        "bcftools", "mpileup", "--no-version", *output, *bands, "-a", "FORMAT/AD,FORMAT/DP",
        "-d", str(max_depth), "-L", str(max_depth), "-q", str(min_mapq), "-Q", str(min_base_quality),
        "-f", str(reference), "-T", str(targets_bed), str(bam),
    ]  # fmt: skip


def call(out_vcf: Path, *, prior: float, ploidy: int, depth_bands: Sequence[int]) -> list[str]:
    """Call likelihoods from stdin: variants, and reference blocks (`-g`) by depth band, as plain VCF.

    Args:
        out_vcf: Result.
        prior: Expected share of positions that differ from the reference (`-P`).
        ploidy: Of the whole genome.
        depth_bands: As given to `mpileup`: other bands would make blocks depend on where mpileup's began.
    """
    return [
        "bcftools", "call", "--no-version", "-m", "-P", f"{prior:g}", "-a", "FORMAT/GQ", "--ploidy", str(ploidy),
        "-g", ",".join(map(str, depth_bands)), "-Ov", "-o", str(out_vcf), "-",
    ]  # fmt: skip


def normalise(vcf: Path, out_vcf: Path, *, reference: Path, original_tag: str) -> list[str]:
    """Left-align indels and split records with several ALT alleles.

    `INFO/original_tag` says what a changed record was before.

    `-c w`: REF comes from this very FASTA, so a difference can only be an ambiguity code that mpileup wrote as N.
    """
    return [
        "bcftools", "norm", "--no-version", "-f", str(reference), "-m", "-any", "-c", "w",
        "--old-rec-tag", original_tag, "-Ov", "-o", str(out_vcf), str(vcf),
    ]  # fmt: skip


def samtools_stats(
    alignments: Path, out: Path, *, threads: int, reference: Path | None, targets: Path | None
) -> list[str]:
    """Statistics of the alignments as text that MultiQC and plot-bamstats read.

    Args:
        alignments: BAM or CRAM.
        out: Result.
        threads: For decompression.
        reference: Plain FASTA, which CRAM needs.
        targets: Tab-separated contig, first and last position (1-based, closed); only what lies there is counted.
    """
    options = ["--reference", str(reference)] if reference else []
    options += ["-t", str(targets)] if targets else []
    return ["samtools", "stats", "-@", str(threads), *options, str(alignments), "--stdout", str(out)]


def bcftools_stats(vcf: Path, out: Path, *, targets: Path | None) -> list[str]:
    """Statistics of the variants as text that MultiQC and plot-vcfstats read.

    Args:
        vcf: Result of the calling.
        out: Result.
        targets: BED.
    """
    options = ["-T", str(targets)] if targets else []
    return ["bcftools", "stats", "-s", "-", *options, str(vcf), "--stdout", str(out)]
