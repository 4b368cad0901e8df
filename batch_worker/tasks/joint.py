"""Genotype a cohort's samples together, from the GVCFs of their analyses."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pysam

from batch_worker.engine.gatk_tools import find_gatk
from batch_worker.engine.joint import JointOptions, genotype_jointly
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.cohort import ChosenAnalysis, CohortPlan, JoinedMarker
from shared.domain.ids import AnalysisId
from shared.domain.ledger import balance
from shared.domain.markers import GatheredMarker, OutputFile
from shared.domain.order import Caller
from shared.domain.reference import Role
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.naming import Result
from shared.ports import BlobStore
from shared.steps.meter import Meter
from shared.steps.reference_cache import CALLING, fetch_bundle
from shared.steps.versions import annotation_versions

TRANSFERS = 8
"""Files fetched at once."""


def join_cohort(plan: CohortPlan, context: TaskContext, scratch: Path) -> None:
    """Fetch the samples' GVCFs, checked; join them; upload VCF and index; leave `joined.json`.

    Raises:
        PermanentError: When an analysis names no GVCF, or a file is not the sample's.
        LedgerError: When the VCF does not hold the records or the samples that it should.
    """
    meter = Meter(context.clock, whole_process=True)
    gatk = find_gatk(context.gatk_home) if plan.caller is Caller.GATK else None
    blobs = context.blobs
    manifest, folder = fetch_bundle(plan.reference.name, plan.reference.manifest_sha256, CALLING, blobs, context.cache)
    inputs = [_inputs(member, blobs) for member in plan.members]
    gvcfs = _fetch(inputs, context, scratch)
    summary = genotype_jointly(
        gvcfs,
        reference=folder / manifest.one(Role.FASTA).path,
        gatk=gatk,
        options=JointOptions(gatk_group_bp=plan.settings.gatk_group_bp),
        out=scratch / "cohort.vcf.gz",
        log=scratch / "joint.log",
        threads=context.threads,
        piece_bp=plan.piece_bp,
    )
    samples = tuple(member.sample for member in plan.members)
    if summary.samples != samples or summary.caller is not plan.caller:
        raise PermanentError(
            f"The GVCFs are of samples {', '.join(summary.samples)} by {summary.caller}; the cohort's plan says "
            f"{', '.join(samples)} by {plan.caller}. Have results been moved by hand?"
        )
    pysam.tabix_index(str(summary.vcf), preset="vcf", force=True)
    with pysam.VariantFile(str(summary.vcf)) as written:
        found = sum(1 for _ in written)
    balance("records", summary.records, "what was joined", found, "the cohort's VCF")
    files = {Result.VCF: summary.vcf, Result.VCF_INDEX: summary.vcf.with_name(f"{summary.vcf.name}.tbi")}
    outputs = tuple(
        blobs.upload(naming.result_blob(plan.cohort, plan.analysis, result), path) for result, path in files.items()
    )
    marker = JoinedMarker(
        analysis=plan.analysis,
        cohort=plan.cohort,
        samples=samples,
        records=summary.records,
        passing=summary.passing,
        gvcf_bytes=sum(gvcf.size for gvcf, _ in inputs),
        outputs=outputs,
        tools=annotation_versions() | ({"GATK": gatk.version} if gatk else {}),
        **meter.read(),
    )
    blobs.create(naming.result_marker(plan.cohort, plan.analysis, Stage.JOINED), marker.to_json())


def _inputs(member: ChosenAnalysis, blobs: BlobStore) -> tuple[OutputFile, OutputFile]:
    """GVCF and index of a sample, as the marker of its analysis vouches for them."""
    ref = naming.result_marker(member.sample, AnalysisId(member.analysis), Stage.GATHERED)
    gathered = GatheredMarker.model_validate_json(blobs.read(ref))
    found = {output.name: output for output in gathered.outputs}
    names = [
        naming.result_blob(member.sample, gathered.analysis, result).name for result in (Result.GVCF, Result.GVCF_INDEX)
    ]
    if not found.keys() >= set(names):
        raise PermanentError(f"{ref} names no GVCF with an index. Analyse sample {member.sample} again.")
    return found[names[0]], found[names[1]]


def _fetch(inputs: list[tuple[OutputFile, OutputFile]], context: TaskContext, scratch: Path) -> list[Path]:
    """The GVCFs in order, each with its index beside it, sizes and checksums checked."""
    folder = scratch / "gvcfs"
    folder.mkdir()
    paths = [folder / f"{number:05d}.g.vcf.gz" for number in range(len(inputs))]
    wanted = [(gvcf, path) for (gvcf, _), path in zip(inputs, paths, strict=True)]
    indexes = [(index, path.with_name(f"{path.name}.tbi")) for (_, index), path in zip(inputs, paths, strict=True)]
    with ThreadPoolExecutor(TRANSFERS) as pool:
        # One after the other: an index that is older than its file is warned of.
        list(pool.map(lambda pair: context.blobs.download(*pair), wanted))
        list(pool.map(lambda pair: context.blobs.download(*pair), indexes))
    return paths
