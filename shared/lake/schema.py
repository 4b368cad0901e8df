"""The lake's tables: names, columns, types, units and what they mean.

The Delta schema, `docs/lake.md` and the rows all come from the values here. Columns are flat (no lists, maps or
structs), because every reader of Delta understands those, Power BI included. A column that is added after a release
must be nullable: rows of earlier analyses have null there.

pyarrow is imported when a schema is made, not with this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any


@unique
class ColumnType(StrEnum):
    """Types of columns, in the words of Delta."""

    STRING = "string"
    INTEGER = "integer"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a lake table.

    Attributes:
        doc: What a value means; also the column's comment in the Delta table.
        unit: Unit of a quantity (bp, bytes, reads, Phred, ...); empty when it has none.
        nullable: Whether a row may have no value.
    """

    name: str
    type: ColumnType
    doc: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A lake table: its name, what one row is, and its columns in order."""

    name: str
    doc: str
    columns: tuple[Column, ...]


_ANALYSIS = Column("analysis", ColumnType.STRING, "Analysis id, 24 hex digits. Links the tables.")
_SAMPLE = Column("sample", ColumnType.STRING, "Sample name.")
_ALLELE = (
    Column("contig", ColumnType.STRING, "Contig of the reference, as in its FASTA."),
    Column("pos", ColumnType.INTEGER, "1-based position on the forward strand, as in VCF.", "bp"),
    Column("ref", ColumnType.STRING, "Reference bases; normalised: split, parsimonious, left-aligned."),
    Column("alt", ColumnType.STRING, "Bases of the one ALT allele of this row; normalised likewise."),
)
_EFFECT = (
    Column("gene", ColumnType.STRING, "Gene symbol of the most severe consequence.", nullable=True),
    Column("gene_id", ColumnType.STRING, "Gene identifier such as HGNC:1100.", nullable=True),
    Column("transcript", ColumnType.STRING, "Transcript of the most severe consequence.", nullable=True),
    Column(
        "consequence",
        ColumnType.STRING,
        "Most severe consequence in the words of bcftools csq; several terms are joined by &.",
        nullable=True,
    ),
    Column("hgvs_g", ColumnType.STRING, "Genomic HGVS name.", nullable=True),
    Column("hgvs_c", ColumnType.STRING, "Coding HGVS name on the transcript.", nullable=True),
    Column("hgvs_p", ColumnType.STRING, "Protein HGVS name; predicted ones in parentheses.", nullable=True),
)
_CLINVAR = (
    Column("clinvar_id", ColumnType.STRING, "ClinVar VariationID of exactly this allele.", nullable=True),
    Column("clinvar_significance", ColumnType.STRING, "CLNSIG as ClinVar writes it.", nullable=True),
    Column("clinvar_review", ColumnType.STRING, "CLNREVSTAT as ClinVar writes it.", nullable=True),
    Column("clinvar_conditions", ColumnType.STRING, "CLNDN names, joined by semicolons.", nullable=True),
    Column("dbsnp", ColumnType.STRING, "dbSNP number such as rs28897672.", nullable=True),
)
_EVIDENCE = (
    Column(
        "filter",
        ColumnType.STRING,
        "VCF FILTER values joined by semicolons: PASS when all filters passed, a dot when none was applied.",
    ),
    Column("qual", ColumnType.DOUBLE, "VCF QUAL: confidence that the site varies.", "Phred"),
    Column("zygosity", ColumnType.STRING, "heterozygous, homozygous, hemizygous or homoplasmic, from GT."),
    Column("dp", ColumnType.INTEGER, "Depth at the site (FORMAT DP).", "reads"),
    Column("ad", ColumnType.INTEGER, "Reads that show this allele (FORMAT AD of the ALT).", "reads"),
    Column("af", ColumnType.DOUBLE, "Allele fraction: ad over the sum of AD.", "0..1"),
    Column("gq", ColumnType.INTEGER, "Genotype quality (FORMAT GQ).", "Phred", nullable=True),
)

SAMPLES = TableSchema(
    "samples",
    "One row per analysis: what was ordered, for whom, against which reference, with which programs.",
    (
        _ANALYSIS,
        _SAMPLE,
        Column("patient_reference", ColumnType.STRING, "FHIR reference such as Patient/123.", nullable=True),
        Column("patient_system", ColumnType.STRING, "System of the patient identifier (URI).", nullable=True),
        Column("patient_identifier", ColumnType.STRING, "Patient identifier such as the MRN.", nullable=True),
        Column("requisition_system", ColumnType.STRING, "System of the orderer's number (URI).", nullable=True),
        Column("requisition", ColumnType.STRING, "The orderer's number.", nullable=True),
        Column("test_code", ColumnType.STRING, "Code of the ordered test."),
        Column("test_system", ColumnType.STRING, "Code system of the test; null: the lab's own.", nullable=True),
        Column("test_name", ColumnType.STRING, "Name of the test as the report shows it."),
        Column("specimen_accession", ColumnType.STRING, "Accession number.", nullable=True),
        Column("specimen_type", ColumnType.STRING, "HL7 table 0487 code."),
        Column("specimen_collected", ColumnType.TIMESTAMP, "When it was collected.", "UTC", nullable=True),
        Column("specimen_received", ColumnType.TIMESTAMP, "When the lab received it.", "UTC", nullable=True),
        Column("received", ColumnType.TIMESTAMP, "When the last of the input files came in.", "UTC"),
        Column("reference", ColumnType.STRING, "Name of the reference bundle."),
        Column("assembly", ColumnType.STRING, "Genome build."),
        Column("reference_sha256", ColumnType.STRING, "SHA-256 of the reference bundle's manifest."),
        Column("reference_versions", ColumnType.STRING, "Versions of the bundle's knowledge, a JSON object."),
        Column("caller", ColumnType.STRING, "Variant caller."),
        Column("tools", ColumnType.STRING, "Programs and their versions, a JSON object."),
        Column("results_version", ColumnType.INTEGER, "Version of the code's results."),
        Column(
            "read_groups",
            ColumnType.INTEGER,
            "Read groups (R1/R2 pairs of FASTQ files, or files of single-end reads).",
        ),
        Column("input_bytes", ColumnType.LONG, "FASTQ as it was dropped, compressed.", "bytes"),
        Column("variants", ColumnType.LONG, "Rows of the analysis in the table variants."),
        Column("findings", ColumnType.LONG, "Rows of the analysis in the table findings."),
        Column(
            "limits_missed",
            ColumnType.STRING,
            "Quality figures that missed their limits, joined by semicolons, where a person released the results all "
            "the same; null when all limits were kept.",
            nullable=True,
        ),
    ),
)

VARIANTS = TableSchema(
    "variants",
    "One row per ALT allele that the sample carries, in genome order.",
    (_ANALYSIS, _SAMPLE, *_ALLELE, *_EVIDENCE, *_EFFECT, *_CLINVAR),
)

FINDINGS = TableSchema(
    "findings",
    "One row per reportable variant, in genome order: what the report says of it, and why.",
    (
        _ANALYSIS,
        _SAMPLE,
        *_ALLELE,
        Column("significance", ColumnType.STRING, "Clinical significance in the words of ACMG/AMP."),
        Column("reason", ColumnType.STRING, "Why it is reported."),
        *_EVIDENCE,
        *_EFFECT,
        *_CLINVAR,
    ),
)

QC = TableSchema(
    "qc",
    "One row per quality metric of an analysis, in order of its name.",
    (
        _ANALYSIS,
        _SAMPLE,
        Column("metric", ColumnType.STRING, "Name of the metric."),
        Column("value", ColumnType.DOUBLE, "Its value."),
        Column("unit", ColumnType.STRING, "UCUM code of its unit; 1 for counts and ratios."),
    ),
)

READ_GROUPS = TableSchema(
    "read_groups",
    "One row per read group and quality metric of its reads, in order of both names.",
    (
        _ANALYSIS,
        _SAMPLE,
        Column(
            "read_group", ColumnType.STRING, "Read group: one pair of FASTQ files, or one file of single-end reads."
        ),
        Column("metric", ColumnType.STRING, "Name of the metric."),
        Column("value", ColumnType.DOUBLE, "Its value."),
        Column("unit", ColumnType.STRING, "UCUM code of its unit; 1 for counts and ratios."),
    ),
)

TABLES = (SAMPLES, VARIANTS, FINDINGS, QC, READ_GROUPS)
"""All tables, in the order in which they are written."""


def arrow_schema(table: TableSchema) -> Any:
    """The `pyarrow.Schema` of a table; docs and units are the comments of the columns."""
    import pyarrow as pa

    types: Mapping[ColumnType, Any] = {
        ColumnType.STRING: pa.string(),
        ColumnType.INTEGER: pa.int32(),
        ColumnType.LONG: pa.int64(),
        ColumnType.DOUBLE: pa.float64(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    return pa.schema(
        [
            pa.field(
                column.name,
                types[column.type],
                nullable=column.nullable,
                metadata={"comment": column.doc + (f" Unit: {column.unit}." if column.unit else "")},
            )
            for column in table.columns
        ],
        metadata={"description": table.doc},
    )


def describe() -> str:
    """The tables as Markdown: the body of `docs/lake.md`."""
    parts: list[str] = []
    for table in TABLES:
        parts += [f"## {table.name}", "", table.doc, ""]
        parts += ["| column | type | unit | may be null | meaning |", "|---|---|---|---|---|"]
        parts += [
            f"| `{column.name}` | {column.type} | {column.unit} | {'yes' if column.nullable else ''} | {column.doc} |"
            for column in table.columns
        ]
        parts.append("")
    return "\n".join(parts)
