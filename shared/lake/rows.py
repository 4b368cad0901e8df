"""Rows of the lake tables from an analysis's results; pure, and the same whatever the order of the input."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from shared.domain.finding import Finding
from shared.domain.plan import Plan
from shared.domain.thresholds import Missed
from shared.domain.variant import Allele, AnnotatedVariant
from shared.errors import PermanentError
from shared.lake.schema import FINDINGS, QC, READ_GROUPS, SAMPLES, VARIANTS, TableSchema, arrow_schema
from shared.ports import LakeTable

Row = dict[str, Any]

QcFigures = Mapping[str, tuple[float, str]]
"""Value and UCUM unit by metric."""


def lake_tables(
    plan: Plan,
    variants: Sequence[AnnotatedVariant],
    findings: Sequence[Finding],
    qc: QcFigures,
    versions: Mapping[str, str],
    groups: Mapping[str, QcFigures] = MappingProxyType({}),
    missed: Sequence[Missed] = (),
) -> tuple[LakeTable, ...]:
    """The rows of one analysis for every table of the lake, tables in the order of `schema.TABLES`.

    Args:
        variants: All ALT alleles that the sample carries, findings among them.
        findings: The reportable ones.
        qc: Value and UCUM unit by metric.
        versions: Programs and their versions.
        groups: As `qc`, by read group.
        missed: The quality limits that the sample missed and was released in spite of.

    Raises:
        PermanentError: When a variant lies on a contig that the plan's reference does not have.
    """
    order = {entry.name: number for number, entry in enumerate(plan.reference.contigs)}
    key: Row = {"analysis": str(plan.analysis), "sample": plan.sample}
    sorted_variants = sorted(variants, key=lambda variant: _place(variant.allele, order))
    sorted_findings = sorted(findings, key=lambda finding: _place(finding.variant.allele, order))
    return (
        _table(SAMPLES, [key | _sample_row(plan, len(variants), len(findings), versions, missed)]),
        _table(VARIANTS, (key | _variant_row(variant) for variant in sorted_variants)),
        _table(FINDINGS, (key | _finding_row(finding) for finding in sorted_findings)),
        qc_table(plan, qc),
        _table(
            READ_GROUPS,
            (key | {"read_group": group} | row for group in sorted(groups) for row in _metric_rows(groups[group])),
        ),
    )


def qc_table(plan: Plan, qc: QcFigures) -> LakeTable:
    """The quality figures of one analysis; all that the lake holds of a sample without a released result."""
    key: Row = {"analysis": str(plan.analysis), "sample": plan.sample}
    return _table(QC, (key | row for row in _metric_rows(qc)))


def _metric_rows(figures: QcFigures) -> Iterator[Row]:
    """A row per metric, in order of name."""
    for metric in sorted(figures):
        value, unit = figures[metric]
        yield {"metric": metric, "value": float(value), "unit": unit}


def _place(allele: Allele, order: Mapping[str, int]) -> tuple[int, int, str, str]:
    """Where an allele stands in genome order."""
    if allele.contig not in order:
        raise PermanentError(
            f"Variant {allele} lies on contig '{allele.contig}', which the reference of its plan does not have. "
            "The variants and the plan are of different reference bundles; run the analysis again."
        )
    return order[allele.contig], allele.pos, allele.ref, allele.alt


def _table(schema: TableSchema, rows: Iterable[Row]) -> LakeTable:
    """Rows as a table, column by column."""
    import pyarrow as pa

    arrow = arrow_schema(schema)
    columns: dict[str, list[Any]] = {name: [] for name in arrow.names}
    for row in rows:
        assert row.keys() == columns.keys(), f"row and schema of {schema.name} differ: {row.keys() ^ columns.keys()}"
        for name, values in columns.items():
            values.append(row[name])
    return LakeTable(schema.name, pa.table(columns, schema=arrow))


def _sample_row(plan: Plan, variants: int, findings: int, versions: Mapping[str, str], missed: Sequence[Missed]) -> Row:
    order, patient, requisition = plan.order, plan.order.patient, plan.order.requisition
    return {
        "patient_reference": patient.reference,
        "patient_system": patient.identifier.system if patient.identifier else None,
        "patient_identifier": patient.identifier.value if patient.identifier else None,
        "requisition_system": requisition.system if requisition else None,
        "requisition": requisition.value if requisition else None,
        "test_code": order.test.code,
        "test_system": order.test.system,
        "test_name": order.test.display,
        "specimen_accession": order.specimen.accession,
        "specimen_type": order.specimen.type,
        "specimen_collected": _utc(order.specimen.collected),
        "specimen_received": _utc(order.specimen.received),
        "received": _utc(plan.received),
        "reference": plan.reference.name,
        "assembly": str(plan.reference.assembly),
        "reference_sha256": plan.reference.manifest_sha256,
        "reference_versions": _json_text(plan.reference.versions),
        "caller": str(order.options.caller),
        "tools": _json_text(versions),
        "results_version": plan.results_version,
        "read_groups": len(plan.read_groups),
        "input_bytes": plan.input_bytes,
        "variants": variants,
        "findings": findings,
        "limits_missed": ";".join(one.figure for one in missed) or None,
    }


def _variant_row(variant: AnnotatedVariant) -> Row:
    return _allele_columns(variant) | _evidence_columns(variant) | _effect_columns(variant) | _clinvar_columns(variant)


def _finding_row(finding: Finding) -> Row:
    return _variant_row(finding.variant) | {"significance": str(finding.significance), "reason": finding.reason}


def _allele_columns(variant: AnnotatedVariant) -> Row:
    allele = variant.allele
    return {"contig": allele.contig, "pos": allele.pos, "ref": allele.ref, "alt": allele.alt}


def _evidence_columns(variant: AnnotatedVariant) -> Row:
    return {
        "filter": ";".join(variant.filters) or ".",
        "qual": float(variant.qual),
        "zygosity": str(variant.zygosity),
        "dp": variant.depth,
        "ad": variant.allele_depth,
        "af": float(variant.allele_fraction),
        "gq": variant.genotype_quality,
    }


def _effect_columns(variant: AnnotatedVariant) -> Row:
    """The most severe consequence, which comes first; null where there is nothing to say."""
    effect = variant.consequences[0] if variant.consequences else None
    return {
        "gene": (effect.gene or None) if effect else None,
        "gene_id": (effect.gene_id or None) if effect else None,
        "transcript": (effect.transcript or None) if effect else None,
        "consequence": ("&".join(effect.terms) or None) if effect else None,
        "hgvs_g": variant.hgvs_g or None,
        "hgvs_c": (effect.hgvs_c or None) if effect else None,
        "hgvs_p": (effect.hgvs_p or None) if effect else None,
    }


def _clinvar_columns(variant: AnnotatedVariant) -> Row:
    record = variant.clinvar
    return {
        "clinvar_id": record.variation_id if record else None,
        "clinvar_significance": record.significance if record else None,
        "clinvar_review": record.review_status if record else None,
        "clinvar_conditions": ("; ".join(record.conditions) or None) if record else None,
        "dbsnp": (record.dbsnp or None) if record else None,
    }


def _utc(time: datetime | None) -> datetime | None:
    """A time in UTC; one without an offset is taken as UTC."""
    if time is None:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _json_text(value: Mapping[str, str]) -> str:
    """A JSON object on one line, keys sorted."""
    return json.dumps(dict(value), sort_keys=True, ensure_ascii=False)
