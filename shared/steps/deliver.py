"""Deliver an analysis: lake rows, clinician's page, FHIR transaction, notice to subscribers; in this order.

Whoever sees the report in the EHR finds everything that it refers to. Each part may be done again with the same result.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import naming
from shared.domain.finding import interpret
from shared.domain.ledger import balance
from shared.domain.markers import (
    AnnotatedMarker,
    DecidedMarker,
    Decision,
    DeliveredMarker,
    FlaggedMarker,
    GatheredMarker,
    OutputFile,
)
from shared.domain.plan import Plan
from shared.domain.report_case import AlleleCounts, DataFile, FileRole, Laboratory, Quality, ReportCase
from shared.domain.variant import AnnotatedVariant
from shared.domain.work import Stage
from shared.errors import PermanentError, TransientError
from shared.fhir.bundle import build_bundle, count_findings, split_bundle
from shared.formats.annotated_vcf import read_annotated
from shared.lake.rows import QcFigures, lake_tables
from shared.naming import Result
from shared.ports import Notice, Services
from shared.report.page import render_page
from shared.steps.meter import Meter

COMPLETED_NOTICE = "org.fastq2fhir.analysis.completed"


def deliver(plan: Plan, services: Services, *, laboratory: Laboratory, fhir_base: str) -> None:
    """Deliver the results and leave `delivered.json`.

    Args:
        plan: The analysis; its variants are annotated.
        services: The outside world.
        laboratory: The performing laboratory.
        fhir_base: Base URL of the FHIR service.

    Raises:
        LedgerError: When rows, findings or records do not agree with what was counted before; nothing is posted then.
        PipelineError: When the sample missed its quality limits and nobody has released it.
    """
    meter = Meter(services.clock)
    blobs = services.blobs
    flagged, decision = read_release(plan, services)
    if flagged and decision is None:
        # `advance` would not have asked for it, had it seen the marker.
        raise TransientError(f"Analysis {plan.analysis} is flagged and must be held. Look at its markers again.")
    if decision and decision.decision is not Decision.RELEASED:
        raise PermanentError(f"Analysis {plan.analysis} was rejected; its results must not be delivered.")
    gathered = GatheredMarker.model_validate_json(blobs.read(_marker(plan, Stage.GATHERED)))
    annotated = AnnotatedMarker.model_validate_json(blobs.read(_marker(plan, Stage.ANNOTATED)))
    qc, groups = read_qc(plan, services)
    variants, sha1 = _read_variants(plan, annotated, services)
    triage = interpret(variants)
    balance("findings", annotated.findings, "annotated.json", len(triage.findings), "the annotated VCF as read")
    knowledge = plan.reference.versions
    tools = {name: version for name, version in (gathered.tools | annotated.tools).items() if name not in knowledge}
    case = ReportCase(
        plan=plan,
        findings=triage.findings,
        withheld=triage.withheld,
        counts=AlleleCounts(len(variants), sum(not variant.passes for variant in variants)),
        quality=quality_of(gathered, qc),
        issued=decision.decided if decision else annotated.ended,
        laboratory=laboratory,
        fhir_base=fhir_base.rstrip("/"),
        files=(
            *_data_files(plan, (*gathered.outputs, *annotated.outputs), sha1, services, annotated),
            *([quality_file(plan, gathered, services)] if flagged else []),
        ),
        tools=tools,
        missed=flagged.missed if flagged else (),
        decision=decision,
    )
    page = render_page(case)
    bundle = build_bundle(case, page)
    balance("findings", len(triage.findings), "the annotated VCF", count_findings(bundle), "the FHIR bundle")
    rows = {}
    for table in lake_tables(plan, variants, triage.findings, qc, tools | knowledge, groups, case.missed):
        rows[table.name] = services.lake.replace(table, plan.analysis)
        balance("rows", table.data.num_rows, f"the results for lake table {table.name}", rows[table.name], "the lake")
    outputs = (
        upload_result(plan, Result.REPORT, page.encode(), services),
        upload_result(plan, Result.BUNDLE, bundle, services),
    )
    resources = tuple(ref for part in split_bundle(bundle) for ref in services.fhir.post_transaction(part))
    report = next(ref for ref in resources if ref.startswith("DiagnosticReport/"))
    # Before the marker: a notice that is lost would never be sent again.
    services.publisher.publish(
        Notice(
            id=f"{plan.analysis}-completed",
            type=COMPLETED_NOTICE,
            subject=f"analyses/{plan.analysis}",
            time=services.clock(),
            data={"analysis": plan.analysis, "report": report, "findings": len(triage.findings)},
        )
    )
    marker = DeliveredMarker(
        analysis=plan.analysis, resources=resources, lake_rows=rows, outputs=outputs, tools=tools, **meter.read()
    )
    blobs.create(_marker(plan, Stage.DELIVERED), marker.to_json())


def _marker(plan: Plan, stage: Stage) -> naming.BlobRef:
    return naming.result_marker(plan.sample, plan.analysis, stage)


def read_release(plan: Plan, services: Services) -> tuple[FlaggedMarker | None, DecidedMarker | None]:
    """What the sample missed and what was decided on it; None for what has not happened."""
    flagged = services.blobs.find(_marker(plan, Stage.FLAGGED))
    decided = services.blobs.find(_marker(plan, Stage.DECIDED))
    return (
        FlaggedMarker.model_validate_json(flagged) if flagged else None,
        DecidedMarker.model_validate_json(decided) if decided else None,
    )


def read_qc(plan: Plan, services: Services) -> tuple[QcFigures, Mapping[str, QcFigures]]:
    """The figures of the sample, and of each read group."""
    document = json.loads(services.blobs.read(naming.result_blob(plan.sample, plan.analysis, Result.QC)))

    def figures(some: Mapping[str, Mapping[str, Any]]) -> QcFigures:
        return {name: (figure["value"], figure["unit"]) for name, figure in some.items()}

    groups = document.get("read_groups", {})  # files of schema version 1 have none
    return figures(document["metrics"]), {name: figures(some) for name, some in groups.items()}


def _read_variants(
    plan: Plan, annotated: AnnotatedMarker, services: Services
) -> tuple[list[AnnotatedVariant], dict[str, str]]:
    """The variants as they were released, and the SHA-1 of their file by blob name."""
    name = naming.result_blob(plan.sample, plan.analysis, Result.ANNOTATED_VCF).name
    output = next(output for output in annotated.outputs if output.name == name)
    with tempfile.TemporaryDirectory(prefix="deliver-") as scratch:
        path = Path(scratch) / "annotated.vcf.gz"
        services.blobs.download(output, path)
        with path.open("rb") as source:
            sha1 = base64.b64encode(hashlib.file_digest(source, "sha1").digest()).decode()
        variants = list(read_annotated(path, plan.contigs))
    balance("alleles", annotated.alleles, "annotated.json", len(variants), "the annotated VCF as read")
    return variants, {name: sha1}


def quality_of(gathered: GatheredMarker, qc: QcFigures) -> Quality:
    """The figures that a report tells."""

    def figure(name: str) -> float | None:
        return qc[name][0] if name in qc else None

    return Quality(
        pairs=gathered.pairs,
        single_reads=gathered.single_reads,
        mean_depth=figure("mean_depth"),
        fraction_20x=figure("fraction_20x"),
        duplicate_fraction=figure("duplicate_fraction"),
        aligned_fraction=figure("mapped_fraction"),
        contamination=figure("contamination"),
        identity_concordance=figure("identity_concordance"),
        identity_sites=figure("identity_sites"),
    )


_REPORTED_FILES = {
    Result.ANNOTATED_VCF: (FileRole.VARIANTS, "application/gzip"),
    Result.ANNOTATED_VCF_INDEX: (FileRole.VARIANTS_INDEX, "application/octet-stream"),
    Result.GVCF: (FileRole.ALL_SITES, "application/gzip"),
    Result.TARGETS: (FileRole.STUDIED_REGIONS, "text/plain"),
}
"""The alignments are not among them: the size of their file depends on how the work was cut, and a report must not."""


def _data_files(
    plan: Plan, outputs: Sequence[OutputFile], sha1: Mapping[str, str], services: Services, annotated: AnnotatedMarker
) -> tuple[DataFile, ...]:
    """The result files that the report refers to."""
    by_name = {output.name: output for output in outputs}
    files = []
    for result, (role, content_type) in _REPORTED_FILES.items():
        ref = naming.result_blob(plan.sample, plan.analysis, result)
        if result is Result.TARGETS and plan.targets is None:
            continue
        output = by_name[ref.name]
        files.append(
            DataFile(
                role=role,
                url=services.blobs.url(ref),
                title=ref.name.rpartition("/")[2],
                content_type=content_type,
                size=output.size,
                sha1=sha1.get(ref.name, ""),
                created=annotated.ended,
            )
        )
    return tuple(files)


def quality_file(plan: Plan, gathered: GatheredMarker, services: Services) -> DataFile:
    """The file of quality figures, for the report of a sample that missed its limits."""
    ref = naming.result_blob(plan.sample, plan.analysis, Result.QC)
    data = services.blobs.read(ref)
    return DataFile(
        role=FileRole.QUALITY,
        url=services.blobs.url(ref),
        title=ref.name.rpartition("/")[2],
        content_type="application/json",
        size=len(data),
        sha1=base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
        created=gathered.ended,
    )


def upload_result(plan: Plan, result: Result, data: bytes, services: Services) -> OutputFile:
    """Write a result file."""
    ref = naming.result_blob(plan.sample, plan.analysis, result)
    with services.blobs.writer(ref) as stream:
        stream.write(data)
    return stream.output()
