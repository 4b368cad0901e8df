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
    tandem_quality: int,
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
        tandem_quality: Quality (Phred) of an indel as long as the homopolymer it is in; a shorter one has less (`-h`).
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
        "-h", str(tandem_quality),
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


def multiqc(program: Path, folder: Path, out: Path, *, title: str) -> list[str]:
    """One page of the statistics in a folder; it asks nothing of the network and offers to send nothing anywhere."""
    return [
        str(program), str(folder), "--title", title, "--outdir", str(out.parent), "--filename", out.name, "--quiet",
        "--no-ansi", "--no-data-dir", "--no-version-check", "--no-megaqc-upload", "--no-ai",
    ]  # fmt: skip


# --- GATK ---------------------------------------------------------------------------------------------------

_GATK_MAIN = "org.broadinstitute.hellbender.Main"
_PLAIN_OUTPUT = ("--add-output-vcf-command-line", "false", "--create-output-variant-index", "false")


def gatk(arguments: Sequence[str], *, home: Path, scratch: Path, heap_mb: int) -> list[str]:
    """A run of a GATK tool.

    Args:
        arguments: The tool's name and its arguments, from a function below.
        home: Folder of GATK's jars.
        scratch: Where it and the JVM put temporary files.
        heap_mb: Heap of the JVM, MB.
    """
    return [
        "java", f"-Xmx{heap_mb}m",
        # A task has one core or a few: a parallel collector would cost CPU time and gain no wall time.
        "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={scratch}",
        # As GATK's own start script, but for the level: what is written here is read once.
        "-Dsamjdk.use_async_io_read_samtools=false", "-Dsamjdk.use_async_io_write_samtools=false",
        "-Dsamjdk.use_async_io_write_tribble=false", "-Dsamjdk.compression_level=1",
        "-cp", f"{home}/*", _GATK_MAIN, *arguments, "--QUIET", "true", "--verbosity", "WARNING",
        "--tmp-dir", str(scratch),
    ]  # fmt: skip


def base_recalibrator(bam: Path, table: Path, *, reference: Path, known_sites: Sequence[Path]) -> list[str]:
    """BaseRecalibrator: count the bases that differ from the reference, but at sites known to vary."""
    sites = [argument for path in known_sites for argument in ("--known-sites", str(path))]
    return ["BaseRecalibrator", "-I", str(bam), "-R", str(reference), *sites, "-O", str(table)]


def gather_bqsr_reports(tables: Sequence[Path], table: Path) -> list[str]:
    """GatherBQSRReports: add up the counts of several tables."""
    return ["GatherBQSRReports", *(word for path in tables for word in ("-I", str(path))), "-O", str(table)]


def apply_bqsr(bam: Path, out_bam: Path, *, table: Path, reference: Path) -> list[str]:
    """ApplyBQSR: replace base qualities; an index is written beside `out_bam`, its suffix `.bai` instead of `.bam`.

    A read group of which the table knows nothing (it has no read that could be counted) keeps its qualities.
    """
    return [
        "ApplyBQSR", "-I", str(bam), "-R", str(reference), "--bqsr-recal-file", str(table), "-O", str(out_bam),
        "--allow-missing-read-group", "true", "--add-output-sam-program-record", "false",
    ]  # fmt: skip


def haplotype_caller(bam: Path, out_gvcf: Path, *, reference: Path, intervals_bed: Path, ploidy: int) -> list[str]:
    """HaplotypeCaller in GVCF mode; one thread, so that sums are made in one order."""
    return [
        "HaplotypeCaller", "-I", str(bam), "-R", str(reference), "-L", str(intervals_bed), "-O", str(out_gvcf),
        "-ERC", "GVCF", "--sample-ploidy", str(ploidy), "--native-pair-hmm-threads", "1", *_PLAIN_OUTPUT,
    ]  # fmt: skip


def combine_gvcfs(gvcfs: Sequence[Path], out_gvcf: Path, *, reference: Path, intervals_bed: Path) -> list[str]:
    """CombineGVCFs: several samples' GVCFs become one, in the intervals."""
    variants = [word for path in gvcfs for word in ("-V", str(path))]
    return [
        "CombineGVCFs", *variants, "-R", str(reference), "-L", str(intervals_bed), "-O", str(out_gvcf), *_PLAIN_OUTPUT,
    ]  # fmt: skip


def genotype_gvcfs(gvcf: Path, out_vcf: Path, *, reference: Path, ploidy: int, min_qual: float) -> list[str]:
    """GenotypeGVCFs: the variants whose QUAL (Phred) is at least `min_qual`."""
    return [
        "GenotypeGVCFs", "-V", str(gvcf), "-R", str(reference), "-O", str(out_vcf), "--sample-ploidy", str(ploidy),
        "--standard-min-confidence-threshold-for-calling", f"{min_qual:g}", *_PLAIN_OUTPUT,
    ]  # fmt: skip


def index_bam(bam: Path) -> list[str]:
    """An index `.bai` beside a sorted BAM."""
    return ["samtools", "index", "-b", str(bam)]


# --- cohorts ------------------------------------------------------------------------------------------------


def left_align(gvcf: Path, out_gvcf: Path, *, reference: Path) -> list[str]:
    """Left-align a GVCF's indels; records with several ALT alleles stay whole. An index `.tbi` is written beside it."""
    return [
        "bcftools", "norm", "--no-version", "-f", str(reference), "-c", "w", "-Oz1", "--write-index=tbi",
        "-o", str(out_gvcf), str(gvcf),
    ]  # fmt: skip


def merge_gvcfs(gvcfs: Sequence[Path], *, reference: Path, intervals_bed: Path) -> list[str]:
    """Several samples' GVCFs by position (`-g`), as uncompressed BCF to stdout.

    Alleles of SNVs and of indels share records (`-m both`). Whatever overlaps the intervals is seen, so that a block
    which began before them still says what its sample has there.

    `--force-single`: one sample's goes the same way.
    """
    return [
        "bcftools", "merge", "--no-version", "-g", str(reference), "-m", "both", "--force-single",
        "-R", str(intervals_bed), "--regions-overlap", "1", "-Ou", *(str(gvcf) for gvcf in gvcfs),
    ]  # fmt: skip


def view_variants(out_vcf: Path, *, intervals_bed: Path) -> list[str]:
    """From stdin, as plain text: the records with an ALT allele whose POS lies in the intervals."""
    return [
        "bcftools", "view", "--no-version", "-V", "ref", "-T", str(intervals_bed), "--targets-overlap", "0",
        "-Ov", "-o", str(out_vcf), "-",
    ]  # fmt: skip


def sort_vcf(vcf: Path, out_vcf: Path, *, scratch: Path) -> list[str]:
    """Sort: splitting and left-aligning may pass a record by another. bcftools sort names no version in headers."""
    return ["bcftools", "sort", "-T", str(scratch / "sort"), "-Ov", "-o", str(out_vcf), str(vcf)]
