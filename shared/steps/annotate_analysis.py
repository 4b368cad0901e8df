"""Annotate an analysis's variants, interpret them, and publish the annotated VCF."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from shared import naming
from shared.domain.finding import interpret
from shared.domain.ledger import balance
from shared.domain.markers import AnnotatedMarker, GatheredMarker
from shared.domain.plan import Plan
from shared.domain.reference import ReferenceManifest, Role
from shared.domain.work import Stage
from shared.formats.annotated_vcf import read_annotated
from shared.naming import Result
from shared.ports import BlobStore
from shared.steps.annotate import AnnotationFiles, annotate_vcf
from shared.steps.meter import Meter
from shared.steps.reference_cache import ANNOTATION, fetch_bundle
from shared.steps.versions import annotation_versions


def annotate_analysis(plan: Plan, blobs: BlobStore, clock: Callable[[], datetime], scratch: Path, cache: Path) -> None:
    """Annotate the gathered VCF against the plan's reference bundle; leave `annotated.json`.

    Args:
        plan: The analysis; its shards are gathered.
        blobs: Where the results and the bundle are.
        clock: The time, UTC.
        scratch: An empty folder.
        cache: The node's copies of reference bundles.

    Raises:
        LedgerError: When the gathered VCF does not hold as many records as its marker says.
    """
    meter = Meter(clock)
    data = blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED))
    gathered = GatheredMarker.model_validate_json(data)
    vcf_name = naming.result_blob(plan.sample, plan.analysis, Result.VCF).name
    source = scratch / "sample.vcf.gz"
    blobs.download(next(output for output in gathered.outputs if output.name == vcf_name), source)
    manifest, folder = fetch_bundle(plan.reference.name, plan.reference.manifest_sha256, ANNOTATION, blobs, cache)
    annotated = scratch / "annotated.vcf.gz"
    summary = annotate_vcf(
        source,
        AnnotationFiles(
            fasta=folder / manifest.one(Role.FASTA).path,
            genes=_optional(manifest, folder, Role.GENES),
            clinvar=_optional(manifest, folder, Role.CLINVAR),
        ),
        plan.contigs,
        plan.sample,
        annotated,
    )
    balance("variants", gathered.variants, "gathered.json", summary.records, "the VCF that was annotated")
    variants = list(read_annotated(annotated, plan.contigs))
    balance("alleles", summary.alleles, "the annotation", len(variants), "the annotated VCF as read")
    outputs = (
        blobs.upload(naming.result_blob(plan.sample, plan.analysis, Result.ANNOTATED_VCF), annotated),
        blobs.upload(
            naming.result_blob(plan.sample, plan.analysis, Result.ANNOTATED_VCF_INDEX),
            annotated.with_name(annotated.name + ".tbi"),
        ),
    )
    marker = AnnotatedMarker(
        analysis=plan.analysis,
        variants=summary.records,
        alleles=len(variants),
        findings=len(interpret(variants).findings),
        outputs=outputs,
        tools={**annotation_versions(), **summary.versions},
        **meter.read(),
    )
    blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.ANNOTATED), marker.to_json())


def _optional(manifest: ReferenceManifest, folder: Path, role: Role) -> Path | None:
    """The file of a role that a bundle may lack."""
    return folder / manifest.one(role).path if manifest.of(role) else None
