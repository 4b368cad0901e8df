"""Genotype several samples together: their GVCFs become one VCF with a column for each.

By the caller that made the GVCFs. GATK's hold likelihoods at every position, so CombineGVCFs and GenotypeGVCFs
genotype the cohort anew. Those of bcftools hold likelihoods at variants and a lowest depth elsewhere, so their
genotypes are joined: a sample without a variant at a place is `0/0` where its blocks cover the place and `./.` where
they do not. Work goes by pieces of the genome, some at once (`joint_pieces`).
"""

import gzip
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from batch_worker import commands
from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.filters import FilterLimits
from batch_worker.engine.gatk import PROVENANCE_KEY
from batch_worker.engine.gatk_tools import Gatk
from batch_worker.engine.gatk_vcf import NON_REF, HardFilters, header
from batch_worker.engine.joint_pieces import genotype_in_groups, merge_in_pieces
from batch_worker.engine.shard_files import TEXT_LEVEL
from batch_worker.engine.vcf_text import ORIGINAL_TAG, split_header, text_pieces
from batch_worker.process import run
from shared.domain.order import Caller
from shared.errors import PermanentError

_NO_ALLELE = frozenset({".", "*", NON_REF, "<*>"})
_BCFTOOLS_KEY = "##fastq2fhir_call="
_COUNTED = frozenset({"AC", "AF", "AN"})
_COUNT_LINES = (
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies of the ALT allele in the samples\' genotypes">',
    '##INFO=<ID=AF,Number=A,Type=Float,Description="AC / AN">',
    '##INFO=<ID=AN,Number=1,Type=Integer,Description="Alleles in the samples\' genotypes, missing ones not counted">',
)
_JOINED = frozenset({"INDEL", "DP", ORIGINAL_TAG})
"""INFO that joining keeps true: a type, a sum over the samples with the variant, and what the record was before."""


@dataclass(frozen=True, slots=True)
class JointOptions:
    """Settings of joint genotyping; all of them change results.

    Attributes:
        ploidy: Of samples, where GATK genotypes anew.
        emit_qual: GATK's variants of lower QUAL (Phred) are left out.
        gatk_limits: When a variant of GATK is not PASS.
        limits: When a variant of bcftools is not PASS; only QUAL, the highest of the samples, is judged.
        gatk_group_bp: GATK walks along groups of whole contigs; a group ends with the contig that reaches this (bp).
    """

    ploidy: int = 2
    emit_qual: float = 10.0
    gatk_limits: HardFilters = field(default_factory=HardFilters)
    limits: FilterLimits = field(default_factory=FilterLimits)
    gatk_group_bp: int = 25_000_000


@dataclass(frozen=True, slots=True)
class JointSummary:
    """What was written: the cohort's VCF, its samples in order, its records (one ALT allele each) and how many PASS."""

    vcf: Path
    caller: Caller
    samples: tuple[str, ...]
    records: int
    passing: int


def genotype_jointly(
    gvcfs: Sequence[Path],
    *,
    reference: Path,
    gatk: Gatk | None,
    options: JointOptions,
    out: Path,
    log: Path,
    threads: int = 1,
    piece_bp: int = 25_000_000,
) -> JointSummary:
    """Write the variants of a cohort: left-aligned, one ALT allele per record, AC, AF and AN counted, FILTER set.

    Sorted, BGZF. Neither `threads` nor `piece_bp` changes a byte of it.

    Args:
        gvcfs: One per sample (`.g.vcf.gz` with `.tbi`), all by one caller; the samples' columns come in this order.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        gatk: The program; needed for GATK's GVCFs only.
        options: Settings.
        out: File to write, ending in `.vcf.gz`.
        log: What the tools say is appended here.
        threads: Processes at once; one of GATK takes up to 3 GB of memory.
        piece_bp: Reference bp that are joined by one process, for GVCFs of bcftools.

    Raises:
        PermanentError: When there is no GVCF, two callers made them, a sample comes twice, or GATK is needed and
            not there.
        TransientError: When a tool fails; carries its last words.
    """
    caller, samples = _inspect(gvcfs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="joint-", dir=out.parent) as folder:
        scratch = Path(folder)
        joint = scratch / "joint.vcf"
        if caller is Caller.GATK:
            if gatk is None:
                raise PermanentError("The GVCFs are GATK's; genotyping them needs GATK. `./run gatk` brings it.")
            genotype_in_groups(
                gvcfs,
                joint,
                reference=reference,
                gatk=gatk,
                ploidy=options.ploidy,
                min_qual=options.emit_qual,
                scratch=scratch,
                log=log,
                threads=threads,
                group_bp=options.gatk_group_bp,
            )
        else:
            merge_in_pieces(
                gvcfs, joint, reference=reference, scratch=scratch, log=log, threads=threads, piece_bp=piece_bp
            )
        normal, ordered = scratch / "normal.vcf", scratch / "ordered.vcf"
        run(commands.normalise(joint, normal, reference=reference, original_tag=ORIGINAL_TAG), log)
        joint.unlink()
        run(commands.sort_vcf(normal, ordered, scratch=scratch), log)
        normal.unlink()
        records, passing = _write(ordered, samples, caller, options, _provenance(caller, gatk, options), out)
    return JointSummary(out, caller, samples, records, passing)


def _provenance(caller: Caller, gatk: Gatk | None, options: JointOptions) -> list[str]:
    """Header lines that name the programs and settings; the same wherever and whenever they ran."""
    bcftools = f"bcftools of pysam {version('pysam')}"
    if caller is Caller.GATK and gatk is not None:
        settings = (
            f'GenotypeGVCFs="-stand-call-conf {options.emit_qual:g}",ploidy="{options.ploidy}",'
            f'group_bp="{options.gatk_group_bp}",norm="-m -any"'
        )
        return [f"##source=fastq2fhir: GATK {gatk.version}, {bcftools}", f"##fastq2fhir_joint=<{settings}>"]
    return [f"##source=fastq2fhir: {bcftools}", '##fastq2fhir_joint=<merge="-g -m both",norm="-m -any">']


def _write(
    vcf: Path, samples: Sequence[str], caller: Caller, options: JointOptions, provenance: Sequence[str], out: Path
) -> tuple[int, int]:
    """Set FILTER, count alleles, keep what some sample carries, put the samples in order.

    Returns the number of records, and of those that are PASS.
    """
    count = passing = 0
    with vcf.open() as text:
        head, body = split_header(text)
        columns = head[-1].split("\t")
        places = [columns.index(sample) for sample in samples]
        head[-1] = "\t".join([*columns[:9], *samples])

        def finished() -> Iterator[str]:
            nonlocal count, passing
            for line in body:
                values = line.split("\t")
                values = [*values[:9], *(values[place] for place in places)]
                carried, called = _count_alleles(values[9:])
                if values[4] in _NO_ALLELE or not carried:
                    continue
                values[6] = _verdict(values, caller, options)
                values[7] = _with_counts(values[7], carried, called, caller)
                count += 1
                passing += values[6] == "PASS"
                yield "\t".join(values)

        own = options.gatk_limits.header_lines() if caller is Caller.GATK else options.limits.header_lines()[:1]
        head = [line for line in header(head, [*_COUNT_LINES, *own, *provenance]) if _is_kept(line, caller)]
        write_bgzf(out, text_pieces(chain(head, finished())), TEXT_LEVEL)
    return count, passing


def _count_alleles(samples: Iterable[str]) -> tuple[int, int]:
    """How many ALT alleles, and how many alleles in all, the samples' genotypes have; the missing ones not counted."""
    carried = called = 0
    for sample in samples:
        alleles = sample.partition(":")[0].replace("|", "/").split("/")
        carried += alleles.count("1")
        called += len(alleles) - alleles.count(".")
    return carried, called


def _with_counts(info: str, carried: int, called: int, caller: Caller) -> str:
    """INFO with the alleles counted over the samples."""
    kept = (item for item in info.split(";") if _is_of_cohort(item.partition("=")[0], caller))
    return ";".join([f"AC={carried}", f"AF={carried / called:.6g}", f"AN={called}", *kept])


def _is_of_cohort(key: str, caller: Caller) -> bool:
    """Whether an INFO value is true of all samples together.

    bcftools merge keeps, of most, the value of the first sample that has the variant.
    """
    return key not in _COUNTED and (caller is Caller.GATK or key in _JOINED)


def _is_kept(line: str, caller: Caller) -> bool:
    """Whether a header line is of use: not one of an INFO value that is left out, nor of one sample's calling."""
    if not line.startswith("##INFO=<ID="):
        return not line.startswith(("##fastq2fhir_depth_bands=", _BCFTOOLS_KEY))
    key = line.removeprefix("##INFO=<ID=").partition(",")[0]
    return line in _COUNT_LINES or _is_of_cohort(key, caller)


def _verdict(values: Sequence[str], caller: Caller, options: JointOptions) -> str:
    if caller is Caller.GATK:
        return options.gatk_limits.verdict(values)
    is_low = values[5] == "." or float(values[5]) < options.limits.min_qual
    return "LowQual" if is_low else "PASS"


def _inspect(gvcfs: Sequence[Path]) -> tuple[Caller, tuple[str, ...]]:
    """Who made the GVCFs, and their samples."""
    if not gvcfs:
        raise PermanentError("There are no GVCFs to genotype; name one per sample.")
    makers: dict[Caller, str] = {}
    samples: dict[str, str] = {}
    for gvcf in gvcfs:
        caller, sample = _read_header(gvcf)
        makers.setdefault(caller, gvcf.name)
        if sample in samples:
            raise PermanentError(
                f"{samples[sample]} and {gvcf.name} are both of sample {sample}. Name each sample once."
            )
        samples[sample] = gvcf.name
    if len(makers) > 1:
        raise PermanentError(
            f"{makers[Caller.GATK]} was made by GATK and {makers[Caller.BCFTOOLS]} by bcftools; what they say of "
            "positions without a variant cannot be joined. Analyse all samples with one caller."
        )
    return next(iter(makers)), tuple(samples)


def _read_header(gvcf: Path) -> tuple[Caller, str]:
    caller = None
    with gzip.open(gvcf, "rt") as lines:
        for line in lines:
            if line.startswith((PROVENANCE_KEY, f"##ALT=<ID={NON_REF.strip('<>')},")):
                caller = Caller.GATK
            elif line.startswith(_BCFTOOLS_KEY):
                caller = caller or Caller.BCFTOOLS
            elif line.startswith("#CHROM"):
                names = line.rstrip("\n").split("\t")[9:]
                if caller is not None and len(names) == 1:
                    return caller, names[0]
                raise PermanentError(
                    f"{gvcf.name} has {len(names)} samples and was made by {caller or 'an unknown caller'}; GVCFs of "
                    "one sample each, made here or by GATK, can be genotyped together."
                )
            elif not line.startswith("#"):
                break
    raise PermanentError(f"{gvcf.name} has no #CHROM line; it is no VCF.")
