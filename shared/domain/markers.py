"""The documents that are written last: a marker says that its outputs are there, whole."""

from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated

from pydantic import Field

from shared.domain.ids import AnalysisId, Document
from shared.domain.thresholds import Missed


@unique
class FailureKind(StrEnum):
    """Whether trying again can help."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"


@unique
class Decision(StrEnum):
    """What an operator decides on a held analysis."""

    RELEASED = "released"
    REJECTED = "rejected"


class OutputFile(Document):
    """A blob that a marker vouches for: container, name, bytes and MD5 (hex)."""

    container: str
    name: str
    size: int
    md5: str


class Marker(Document):
    """What every marker tells.

    Attributes:
        outputs: The blobs that were written before it.
        tools: Programs and their versions.
        core_seconds: CPU time used, user and system, children included.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    started: datetime
    ended: datetime
    core_seconds: float
    outputs: tuple[OutputFile, ...] = ()
    tools: dict[str, str] = Field(default_factory=dict)


class Checkpoint(Document):
    """Where the split of a read group goes on: the next chunk's number and the templates already in chunks."""

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    read_group: str
    next_chunk: int
    pairs_done: int


class ChunkMarker(Marker):
    """A chunk is there: consecutive read pairs, or single-end reads, of one read group, checked.

    Attributes:
        first_pair: Number of its first template, from 0.
        pairs: Its templates: read pairs, or the reads of a single-end read group.
        checksums: CRC-32 of the checked text of R1 and of R2, line ends and third lines made plain; empty in markers of
            older versions.
        is_in_landing: Whether the reads are read from the dropped files, from the chunk's place on; else the first
            output holds them, as interleaved FASTQ, gzip. The last output is the place of the next chunk.
    """

    read_group: str
    number: int
    first_pair: int
    pairs: int
    first_name: str
    last_name: str
    checksums: tuple[int, ...] = ()
    is_in_landing: bool = False


class SplitMarker(Marker):
    """A read group is split completely.

    Attributes:
        pairs: Its templates: read pairs, or the reads of a single-end read group.
    """

    read_group: str
    chunks: int
    pairs: int


class ShardPart(Document):
    """A chunk's alignments for one shard: the records that overlap it or its halo.

    Attributes:
        output: The BAM part; it may hold no record.
        owned: Records whose start lies in the shard (the last shard also owns the unplaced ones).
        owned_primary: Primary ones among them.
    """

    shard: int
    output: OutputFile
    owned: int
    owned_primary: int


class AlignedMarker(Marker):
    """A chunk is aligned, sorted and cut into shards.

    Attributes:
        pairs: Templates: read pairs, or the reads of a single-end read group.
        metrics: Counts that add up over chunks.
        insert_sizes: Properly paired pairs by fragment length, bp (0, 1, ...); the last bin that there can be
            (2,000) also holds the longer ones, and empty bins at the end are left out.
    """

    read_group: str
    number: int
    pairs: int
    primary: int
    records: int
    parts: tuple[ShardPart, ...]
    metrics: dict[str, int] = Field(default_factory=dict)
    insert_sizes: tuple[int, ...] = ()


class RecalibratedMarker(Marker):
    """A shard's bases are counted for the recalibration of base qualities.

    Attributes:
        records: Alignments owned by the shard; all were read, GATK counts those that are placed well.
    """

    shard: int
    records: int


class CalledMarker(Marker):
    """A shard is merged, duplicate-marked and called.

    Attributes:
        records: Alignments owned by the shard (written to its BAM).
        primary: Primary ones among them.
        variants: Records of its VCF.
        gvcf_records: Records of its GVCF.
        metrics: Counts that add up over shards.
        duplicates: Duplicate reads by read group.
    """

    shard: int
    records: int
    primary: int
    variants: int
    gvcf_records: int
    metrics: dict[str, int] = Field(default_factory=dict)
    duplicates: dict[str, int] = Field(default_factory=dict)


class GatheredMarker(Marker):
    """All shards are in one VCF, GVCF, BAM and QC summary.

    Attributes:
        pairs: Read pairs of the sample.
        single_reads: Reads of its single-end read groups.
        primary: Primary alignments in the BAM; twice the pairs, and one for each single-end read.
        variants: Records of the VCF.
    """

    pairs: int
    single_reads: int = 0
    primary: int
    variants: int


class AnnotatedMarker(Marker):
    """The variants are annotated and interpreted.

    Attributes:
        variants: VCF records that were annotated.
        alleles: ALT alleles that the sample carries; each is a row of the lake's variants.
        findings: Reportable ones among them.
    """

    variants: int
    alleles: int
    findings: int


class FlaggedMarker(Document):
    """The sample missed its quality limits: nothing is released before somebody decides.

    Attributes:
        missed: What it missed, in order of figure; never empty.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    sample: str
    missed: Annotated[tuple[Missed, ...], Field(min_length=1)]


class HeldMarker(Marker):
    """The EHR knows that the sample is held and why; the analysis waits for a decision.

    Attributes:
        resources: FHIR references as the server answered.
    """

    resources: tuple[str, ...]


class DecidedMarker(Document):
    """What was decided on a held analysis. One blob for either decision: the store lets only the first one in.

    Attributes:
        by: Who decided: a staff id or a role of the laboratory.
        reason: Why, in words that the report repeats.
        decided: When, UTC; the time of issue of the report that follows.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    sample: str
    decision: Decision
    by: str
    reason: str
    decided: datetime


class RejectedMarker(Marker):
    """The EHR knows that there will be no result.

    Attributes:
        resources: FHIR references as the server answered.
    """

    resources: tuple[str, ...]


class DeliveredMarker(Marker):
    """Report, lake and FHIR server hold the results.

    Attributes:
        resources: FHIR references as the server answered, such as ``DiagnosticReport/...``.
        lake_rows: Rows by table.
    """

    resources: tuple[str, ...]
    lake_rows: dict[str, int]


class QcReportedMarker(Marker):
    """The quality page and the statistics that other tools read are among the results."""


class ArchivedMarker(Marker):
    """What is no longer needed is gone; the inputs are in a cheaper tier."""

    deleted: int
    tiered: int


class FailureRecord(Document):
    """A unit of work failed; retried when transient, the end of the analysis when permanent.

    Attributes:
        work: Name of the unit of work (`str(work)`).
        attempt: Which attempt failed, from 0.
        message: What, where, why, what to do; no patient data.
        detail: For the operator, such as the end of a task's log.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    work: str
    attempt: int
    kind: FailureKind
    message: str
    detail: str = ""
    failed: datetime


class RetriedMarker(Document):
    """An operator let a failed analysis be tried again: the failures before are past, what was done stays done.

    Attributes:
        round: Which retry, from 1.
        past: Attempts by unit of work that the earlier rounds used up; the next ones are numbered from there.
        by: Who asked for it: a staff id or a role of the laboratory.
        reason: Why; for the laboratory.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    round: Annotated[int, Field(ge=1)]
    past: dict[str, int]
    by: str
    reason: str
    retried: datetime


class FailedMarker(Document):
    """The analysis ended without results: `results/{sample}/{analysis}/failed.json`, after a retry `failed.1.json`.

    Attributes:
        work: The unit of work that failed for good; `ingest` when the order itself was refused.
        message: What, where, why, what to do; for the lab's staff.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    sample: str
    work: str
    message: str
    detail: str = ""
    failed: datetime
