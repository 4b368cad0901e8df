"""Rows of the lake: what an analysis's results become."""

import json
import math
import random
from datetime import UTC, datetime

import pytest

from shared.domain.finding import Finding, Significance
from shared.domain.order import Order
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.reference import Assembly, ContigEntry, ReferenceManifest
from shared.domain.thresholds import Limit, Missed
from shared.domain.variant import Allele, AnnotatedVariant, ClinVarRecord, Consequence, Zygosity
from shared.errors import PermanentError
from shared.lake.rows import lake_tables, qc_table
from shared.lake.schema import TABLES, arrow_schema

VERSIONS = {"bcftools": "1.24", "aligner": "0.4.4"}
QC = {"pairs": (1000.0, "1"), "mean_depth": (29.5, "1"), "insert_size": (401.25, "{bp}")}


def make_plan(**order: object) -> Plan:
    fields: dict[str, object] = {
        "sample": "NA00001",
        "patient": {"identifier": {"system": "urn:example:mrn", "value": "12345"}},
        "test": {"code": "WGS", "display": "Whole genome"},
        "reference": "demo",
    }
    manifest = ReferenceManifest(
        name="demo",
        assembly=Assembly.OTHER,
        # not the order of the alphabet: genome order is the FASTA's
        contigs=(ContigEntry(name="chr2", length=900, md5=""), ContigEntry(name="chr10", length=800, md5="")),
        files=(),
        versions={"clinvar": "2026-11-01"},
    )
    files = [
        InputFile(name=f"NA00001/NA00001_S1_L001_R{mate}_001.fastq.gz", size=mate, content="md5:0") for mate in (1, 2)
    ]
    group = ReadGroup(id="S1_L001", r1=files[0], r2=files[1], library="lib", platform_unit="unit")
    received = datetime(2026, 11, 1, 12, tzinfo=UTC)
    return freeze_plan(Order.model_validate(fields | order), received, (group,), manifest, ResultSettings(), Layout())


def make_variant(contig: str = "chr2", pos: int = 10, alt: str = "T", **fields: object) -> AnnotatedVariant:
    values: dict[str, object] = {
        "filters": ("PASS",),
        "qual": 200.0,
        "zygosity": Zygosity.HETEROZYGOUS,
        "depth": 30,
        "allele_depth": 14,
        "allele_fraction": 0.5,
    }
    return AnnotatedVariant(Allele(contig, pos, "A", alt), **(values | fields))  # type: ignore[arg-type]


STOP = make_variant(
    pos=77,
    filters=("PASS",),
    genotype_quality=99,
    hgvs_g="chr2:g.77A>T",
    consequences=(
        Consequence(
            ("stop_gained", "splice_region"), "DEMO1", "HGNC:1", "T1.1", "protein_coding", "T1.1:c.7A>T", "p.(Lys3Ter)"
        ),
        Consequence(("intron",), "DEMO2"),
    ),
    clinvar=ClinVarRecord("9001", "Pathogenic", "reviewed_by_expert_panel", ("One", "Two"), (), "rs1"),
)


GROUPS = {"L2": {"bases": (10, "{base}")}, "L1": {"read_pairs": (4, "1"), "bases": (20, "{base}")}}


def rows_of(variants: list[AnnotatedVariant], plan: Plan | None = None) -> dict[str, list[dict[str, object]]]:
    reason = "ClinVar 9001 holds this allele."
    findings = [Finding(variant, Significance.PATHOGENIC, reason) for variant in variants if variant.clinvar]
    tables = lake_tables(plan or make_plan(), variants, findings, QC, VERSIONS, GROUPS)
    assert [table.name for table in tables] == [table.name for table in TABLES]
    return {table.name: table.data.to_pylist() for table in tables}


def test_every_table_has_exactly_the_columns_of_its_schema() -> None:
    plan = make_plan()
    for table, schema in zip(lake_tables(plan, [STOP], [], QC, VERSIONS), TABLES, strict=True):
        assert table.data.schema.equals(arrow_schema(schema), check_metadata=True)


def test_every_row_names_its_analysis_and_sample() -> None:
    plan = make_plan()
    for rows in rows_of([STOP, make_variant()], plan).values():
        assert rows
        assert {(row["analysis"], row["sample"]) for row in rows} == {(plan.analysis, "NA00001")}


def test_variants_stand_in_genome_order_whatever_the_order_they_came_in() -> None:
    variants = [
        make_variant("chr2", 9),
        make_variant("chr2", 9, "TA"),
        make_variant("chr2", 100),
        make_variant("chr10", 1),
        make_variant("chr10", 20),
    ]
    places = [(v.allele.contig, v.allele.pos, v.allele.alt) for v in variants]
    shuffled = variants.copy()
    random.Random(1).shuffle(shuffled)
    rows = rows_of(shuffled)["variants"]
    assert [(row["contig"], row["pos"], row["alt"]) for row in rows] == places
    assert rows_of(shuffled) == rows_of(variants)


def test_a_variant_row_holds_the_evidence_the_worst_consequence_and_clinvar() -> None:
    (row,) = rows_of([STOP])["variants"]
    assert row == {
        "analysis": make_plan().analysis,
        "sample": "NA00001",
        "contig": "chr2",
        "pos": 77,
        "ref": "A",
        "alt": "T",
        "filter": "PASS",
        "qual": 200.0,
        "zygosity": "heterozygous",
        "dp": 30,
        "ad": 14,
        "af": 0.5,
        "gq": 99,
        "gene": "DEMO1",
        "gene_id": "HGNC:1",
        "transcript": "T1.1",
        "consequence": "stop_gained&splice_region",
        "hgvs_g": "chr2:g.77A>T",
        "hgvs_c": "T1.1:c.7A>T",
        "hgvs_p": "p.(Lys3Ter)",
        "clinvar_id": "9001",
        "clinvar_significance": "Pathogenic",
        "clinvar_review": "reviewed_by_expert_panel",
        "clinvar_conditions": "One; Two",
        "dbsnp": "rs1",
    }


def test_what_is_not_known_is_null_and_never_an_empty_text() -> None:
    (row,) = rows_of([make_variant(consequences=(Consequence((), ""),))])["variants"]
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {
        *("gq", "gene", "gene_id", "transcript", "consequence", "hgvs_g", "hgvs_c", "hgvs_p"),
        *("clinvar_id", "clinvar_significance", "clinvar_review", "clinvar_conditions", "dbsnp"),
    }
    assert "" not in row.values()


def test_filters_that_did_not_pass_are_joined_as_in_vcf() -> None:
    (row,) = rows_of([make_variant(filters=("LowQual", "LowDP"))])["variants"]
    assert row["filter"] == "LowQual;LowDP"
    (row,) = rows_of([make_variant(filters=())])["variants"]
    assert row["filter"] == ".", "no filter was applied"


def test_findings_are_the_reportable_variants_with_significance_and_reason() -> None:
    (row,) = rows_of([make_variant(), STOP])["findings"]
    assert (row["pos"], row["significance"], row["hgvs_p"]) == (77, "Pathogenic", "p.(Lys3Ter)")
    assert "ClinVar 9001" in str(row["reason"])


def test_no_findings_give_an_empty_table_with_all_columns() -> None:
    table = lake_tables(make_plan(), [make_variant()], [], QC, VERSIONS)[2]
    assert table.data.num_rows == 0
    assert "reason" in table.data.column_names


def test_the_sample_row_holds_order_reference_versions_and_counts() -> None:
    plan = make_plan(
        specimen={"accession": "A-1", "collected": "2026-10-30T10:00:00+02:00", "received": "2026-10-31T08:00:00"},
        requisition={"system": "urn:example:orders", "value": "R-7"},
    )
    (row,) = rows_of([STOP, make_variant()], plan)["samples"]
    assert row["patient_identifier"] == "12345"
    assert row["patient_reference"] is None
    assert row["requisition"] == "R-7"
    assert row["specimen_collected"] == datetime(2026, 10, 30, 8, tzinfo=UTC)
    assert row["specimen_received"] == datetime(2026, 10, 31, 8, tzinfo=UTC), "without an offset it is UTC"
    assert json.loads(str(row["tools"])) == VERSIONS
    assert json.loads(str(row["reference_versions"])) == {"clinvar": "2026-11-01"}
    assert (row["variants"], row["findings"], row["read_groups"], row["input_bytes"]) == (2, 1, 1, 3)


def test_a_patient_of_the_ehr_is_given_by_reference() -> None:
    (row,) = rows_of([STOP], make_plan(patient={"reference": "Patient/7"}))["samples"]
    assert row["patient_reference"] == "Patient/7"
    assert row["patient_identifier"] is None


def test_quality_metrics_stand_in_order_of_their_names_with_units() -> None:
    rows = rows_of([STOP])["qc"]
    assert [(row["metric"], row["value"], row["unit"]) for row in rows] == [
        ("insert_size", 401.25, "{bp}"),
        ("mean_depth", 29.5, "1"),
        ("pairs", 1000.0, "1"),
    ]
    assert all(math.isfinite(float(str(row["value"]))) for row in rows)


def test_metrics_of_read_groups_stand_in_a_table_of_their_own() -> None:
    rows = rows_of([STOP])["read_groups"]
    assert [(row["read_group"], row["metric"], row["value"], row["unit"]) for row in rows] == [
        ("L1", "bases", 20.0, "{base}"),
        ("L1", "read_pairs", 4.0, "1"),
        ("L2", "bases", 10.0, "{base}"),
    ]


def test_a_variant_on_a_contig_that_the_reference_lacks_is_refused() -> None:
    with pytest.raises(PermanentError, match=r"contig 'chrX', which the reference of its plan does not have"):
        rows_of([make_variant("chrX")])


def test_a_sample_that_was_released_in_spite_of_missed_limits_says_which() -> None:
    missed = [Missed(figure=name, value=1, limit=Limit(min=2)) for name in ("mean_depth", "snvs")]
    (row,) = lake_tables(make_plan(), [], [], QC, VERSIONS, missed=missed)[0].data.to_pylist()
    assert row["limits_missed"] == "mean_depth;snvs"
    (row,) = lake_tables(make_plan(), [], [], QC, VERSIONS)[0].data.to_pylist()
    assert row["limits_missed"] is None


def test_the_quality_figures_alone_are_the_same_rows_as_in_all_tables() -> None:
    assert qc_table(make_plan(), QC).data == lake_tables(make_plan(), [], [], QC, VERSIONS)[3].data
