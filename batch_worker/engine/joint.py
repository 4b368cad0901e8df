"""Genotype several samples together: their GVCFs become one VCF with a column for each.

By the caller that made the GVCFs. GATK's hold likelihoods at every position, so CombineGVCFs and GenotypeGVCFs
genotype the cohort anew. Those of bcftools hold likelihoods at variants and a lowest depth elsewhere, so their
genotypes are joined: a sample without a variant at a place is `0/0` where its blocks cover the place and `./.` where
they do not.
"""

import gzip
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from batch_worker import commands
from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.filters import FilterLimits
from batch_worker.engine.gatk import PROVENANCE_KEY
from batch_worker.engine.gatk_tools import Gatk, link_reference
from batch_worker.engine.gatk_vcf import NON_REF, HardFilters, header
from batch_worker.engine.shard_files import TEXT_LEVEL
from batch_worker.engine.vcf_text import ORIGINAL_TAG, split_header, text_pieces
from batch_worker.process import run
from shared.domain.order import Caller
from shared.errors import PermanentError

_NO_ALLELE = frozenset({".", "*", NON_REF, "<*>"})
_BCFTOOLS_KEY = "##fastq2fhir_call="


@dataclass(frozen=True, slots=True)
class JointOptions:
    """Settings of joint genotyping; all of them change results.

    Attributes:
        ploidy: Of samples, where GATK genotypes anew.
        emit_qual: GATK's variants of lower QUAL (Phred) are left out.
        gatk_limits: When a variant of GATK is not PASS.
        limits: When a variant of bcftools is not PASS; only QUAL, the highest of the samples, is judged.
    """

    ploidy: int = 2
    emit_qual: float = 10.0
    gatk_limits: HardFilters = field(default_factory=HardFilters)
    limits: FilterLimits = field(default_factory=FilterLimits)


@dataclass(frozen=True, slots=True)
class JointSummary:
    """What was written: the cohort's VCF, its samples in order, its records (one ALT allele each)."""

    vcf: Path
    caller: Caller
    samples: tuple[str, ...]
    records: int


def genotype_jointly(
    gvcfs: Sequence[Path],
    *,
    reference: Path,
    gatk: Gatk | None,
    options: JointOptions,
    out: Path,
    log: Path,
) -> JointSummary:
    """Write the variants of a cohort: left-aligned, one ALT allele per record, FILTER set, sorted, BGZF.

    Args:
        gvcfs: One per sample (`.g.vcf.gz` with `.tbi`), all by one caller; the samples' columns come in this order.
        reference: `reference.fa` with `.fai` and `.dict` beside it.
        gatk: The program; needed for GATK's GVCFs only.
        options: Settings.
        out: File to write, ending in `.vcf.gz`.
        log: What the tools say is appended here.

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
            linked, combined = link_reference(reference, scratch), scratch / "combined.g.vcf"
            gatk.run(commands.combine_gvcfs(gvcfs, combined, reference=linked), scratch=scratch, log=log)
            arguments = commands.genotype_gvcfs(
                combined, joint, reference=linked, ploidy=options.ploidy, min_qual=options.emit_qual
            )
            gatk.run(arguments, scratch=scratch, log=log)
        else:
            _merge(gvcfs, joint, reference, scratch, log)
        normal, ordered = scratch / "normal.vcf", scratch / "ordered.vcf"
        run(commands.normalise(joint, normal, reference=reference, original_tag=ORIGINAL_TAG), log)
        run(commands.sort_vcf(normal, ordered, scratch=scratch), log)
        records = _write(ordered, samples, caller, options, out)
    return JointSummary(out, caller, samples, records)


def _merge(gvcfs: Sequence[Path], joint: Path, reference: Path, scratch: Path, log: Path) -> None:
    """Join GVCFs of bcftools; indels are left-aligned before, so that one is written alike in all samples."""
    aligned = []
    for number, gvcf in enumerate(gvcfs):
        aligned.append(scratch / f"{number}.g.vcf.gz")
        run(commands.left_align(gvcf, aligned[-1], reference=reference), log)
        run(commands.index_vcf(aligned[-1]), log)
    if len(aligned) == 1:
        run(commands.view_vcf(aligned[0], joint), log)
    else:
        run(commands.merge_gvcfs(aligned, joint, reference=reference), log)


def _write(vcf: Path, samples: Sequence[str], caller: Caller, options: JointOptions, out: Path) -> int:
    """Set FILTER, keep what some sample carries, put the samples in order; the number of records."""
    count = 0
    with vcf.open() as text:
        head, body = split_header(text)
        columns = head[-1].split("\t")
        places = [columns.index(sample) for sample in samples]
        head[-1] = "\t".join([*columns[:9], *samples])

        def finished() -> Iterator[str]:
            nonlocal count
            for line in body:
                values = line.split("\t")
                values = [*values[:9], *(values[place] for place in places)]
                if values[4] in _NO_ALLELE or not any(_carries(value) for value in values[9:]):
                    continue
                values[6] = _verdict(values, caller, options)
                count += 1
                yield "\t".join(values)

        own = options.gatk_limits.header_lines() if caller is Caller.GATK else options.limits.header_lines()[:1]
        write_bgzf(out, text_pieces(chain(header(head, own), finished())), TEXT_LEVEL)
    return count


def _carries(sample: str) -> bool:
    """Whether a sample's genotype has the ALT allele."""
    return "1" in sample.partition(":")[0].replace("|", "/").split("/")


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
