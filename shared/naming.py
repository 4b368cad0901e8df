"""Every container, queue, blob name, job id and task id: made and parsed here and nowhere else.

Names of blobs are facts of the chain, so this module is also its map. In the work container, markers lie
in a folder per analysis and end in ``.json``; data lies below ``data/`` and never ends in ``.json``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique

from shared.domain.ids import AnalysisId
from shared.domain.work import RESULT_STAGES, ChunkKey, Stage, Work, parse_work


@unique
class Container(StrEnum):
    """Blob containers; `LAKE` lies in the lake's account, the others in the data account."""

    LANDING = "landing"
    WORK = "work"
    RESULTS = "results"
    REFERENCE = "reference"
    LAKE = "lake"


DATA_CONTAINERS = (Container.LANDING, Container.WORK, Container.RESULTS, Container.REFERENCE)


@unique
class Queue(StrEnum):
    """Storage queues of the chain, one per function that an event starts."""

    INGEST = "ingest"
    SPLIT = "split"
    FAN_OUT = "fan-out"
    GATHER = "gather"
    ANNOTATE = "annotate"
    DELIVER = "deliver"
    ARCHIVE = "archive"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob: container and name."""

    container: Container
    name: str

    def __str__(self) -> str:
        return f"{self.container}/{self.name}"


# --- landing -----------------------------------------------------------------------------------------------


def order_blob(folder: str) -> BlobRef:
    """The order of a sample's folder, or the orders' template of a run's."""
    return BlobRef(Container.LANDING, f"{folder}/order.json")


def cohort_blob(cohort: str) -> BlobRef:
    """The samples that are to be genotyped together."""
    return BlobRef(Container.LANDING, f"{cohort}/cohort.json")


def parse_cohort_blob(name: str) -> str | None:
    """The cohort of a blob of landing; None for any other blob."""
    folder, _, rest = name.partition("/")
    return folder if folder and rest == "cohort.json" else None


def landing_prefix(folder: str) -> str:
    """Prefix of all that was dropped into a folder."""
    return f"{folder}/"


def landing_blob(name: str) -> BlobRef:
    """A dropped blob by its full name."""
    return BlobRef(Container.LANDING, name)


def landing_folder(name: str) -> str | None:
    """The folder of a drop that a blob belongs to, however deep it lies; None for one that lies in no folder."""
    folder, _, rest = name.partition("/")
    return folder if folder and rest else None


def sheet_blobs(folder: str) -> tuple[BlobRef, ...]:
    """Where the sample sheet of a run's folder may lie: the names that people give it."""
    return tuple(BlobRef(Container.LANDING, f"{folder}/{name}") for name in ("samplesheet.csv", "SampleSheet.csv"))


def sheet_name(names: Iterable[str]) -> str | None:
    """The sample sheet among the blob names of a folder: `samplesheet.csv`, else Illumina's `SampleSheet.csv`."""
    found = [name for name in names if name.count("/") == 1 and name.lower().endswith("/samplesheet.csv")]
    return min(found, key=lambda name: (not name.endswith("/samplesheet.csv"), name), default=None)


# --- reference ---------------------------------------------------------------------------------------------


def manifest_blob(bundle: str) -> BlobRef:
    """The manifest of a reference bundle."""
    return BlobRef(Container.REFERENCE, f"{bundle}/manifest.json")


TESTS_FOLDER = "tests"
"""Folder of the reference container that holds the tests' definitions; no bundle may have this name."""


def definition_blob(test_code: str) -> BlobRef:
    """The definition of a test of the laboratory's catalogue."""
    return BlobRef(Container.REFERENCE, f"{TESTS_FOLDER}/{test_code}/definition.json")


def definition_targets(test_code: str, bed: str) -> BlobRef:
    """A BED file beside a test's definition."""
    return BlobRef(Container.REFERENCE, f"{TESTS_FOLDER}/{test_code}/{bed}")


def bundle_blob(bundle: str, path: str) -> BlobRef:
    """A file of a reference bundle."""
    return BlobRef(Container.REFERENCE, f"{bundle}/{path}")


# --- work: indexes -----------------------------------------------------------------------------------------

OPEN_PREFIX = "open/"
"""Work-container prefix of the index of analyses that have not ended."""


def open_entry(analysis: AnalysisId) -> BlobRef:
    """The index entry of an analysis that has not ended."""
    return BlobRef(Container.WORK, f"{OPEN_PREFIX}{analysis}")


def parse_open_entry(name: str) -> AnalysisId:
    """The analysis of an index entry's name."""
    return AnalysisId(name.removeprefix(OPEN_PREFIX))


WAITING_PREFIX = "waiting/"
"""Work-container prefix of the index of samples that cohorts wait for."""


def waiting_prefix(sample: str) -> str:
    """Prefix of the cohorts that wait for a sample's delivery."""
    return f"{WAITING_PREFIX}{sample}/"


def waiting_entry(sample: str, cohort: str) -> BlobRef:
    """A cohort waits for a sample's delivery."""
    return BlobRef(Container.WORK, f"{waiting_prefix(sample)}{cohort}")


def parse_waiting_entry(name: str) -> tuple[str, str]:
    """The sample and the cohort of such an entry's name."""
    sample, _, cohort = name.removeprefix(WAITING_PREFIX).partition("/")
    return sample, cohort


def cohort_choice(cohort: str, upload: str) -> BlobRef:
    """Which analyses an upload of a cohort is of, frozen when all were there; the digest tells uploads apart."""
    return BlobRef(Container.WORK, f"intake-cohorts/{cohort}/{upload}")


COHORTS_PREFIX = "cohorts/"
"""Work-container prefix of the index of cohorts that were ever planned."""


def cohort_entry(cohort: str, analysis: AnalysisId) -> BlobRef:
    """A cohort that was planned."""
    return BlobRef(Container.WORK, f"{COHORTS_PREFIX}{cohort}/{analysis}")


def parse_cohort_entry(name: str) -> AnalysisId:
    """The id of the cohort of such an entry's name."""
    return AnalysisId(name.rpartition("/")[2])


def intake_prefix(folder: str, sample: str) -> str:
    """Prefix of the frozen file lists of a sample's drop, one per upload of its order."""
    return f"intake/{folder}/" if sample == folder else f"intake/{folder}/{sample}/"


def intake_blob(folder: str, sample: str, order_digest: str) -> BlobRef:
    """The files that an upload of an order is for, frozen when it was first seen; the digest tells uploads apart."""
    return BlobRef(Container.WORK, f"{intake_prefix(folder, sample)}{order_digest}")


def history_prefix(folder: str, sample: str) -> str:
    """Prefix of the index of a sample's analyses that one landing folder gave."""
    return f"history/{folder}/{sample}/"


def history_entry(folder: str, sample: str, analysis: AnalysisId) -> BlobRef:
    """An analysis that a landing folder gave."""
    return BlobRef(Container.WORK, f"{history_prefix(folder, sample)}{analysis}")


def parse_history_entry(name: str) -> AnalysisId:
    """The analysis of a history entry's name."""
    return AnalysisId(name.rpartition("/")[2])


def intake_definition(folder: str, sample: str, order_digest: str) -> BlobRef:
    """The definition of the ordered test as it was when the drop of an upload of an order was first complete."""
    return BlobRef(Container.WORK, f"intake-definitions/{folder}/{sample}/{order_digest}")


# --- work: markers -----------------------------------------------------------------------------------------

_ANALYSIS = r"(?P<analysis>[0-9a-f]{24})"


def analysis_folder(analysis: AnalysisId) -> str:
    """Prefix of the markers of an analysis in the work container; its listing gives the facts."""
    return f"{analysis}/"


def parse_analysis_folder(prefix: str) -> AnalysisId | None:
    """The analysis of a top-level folder of the work container; None for the indexes."""
    match = re.fullmatch(_ANALYSIS + "/", prefix)
    return AnalysisId(match["analysis"]) if match else None


def plan_blob(analysis: AnalysisId) -> BlobRef:
    """The plan."""
    return BlobRef(Container.WORK, f"{analysis}/plan.json")


def cohort_plan_blob(analysis: AnalysisId) -> BlobRef:
    """The plan of a cohort."""
    return BlobRef(Container.WORK, f"{analysis}/cohort.json")


def checkpoint_blob(analysis: AnalysisId, read_group: str, next_chunk: int) -> BlobRef:
    """Where the split of a read group goes on; each checkpoint is a blob of its own, never overwritten."""
    return BlobRef(Container.WORK, f"{analysis}/checkpoints/{read_group}/{next_chunk:05d}.json")


def chunk_marker(analysis: AnalysisId, chunk: ChunkKey) -> BlobRef:
    """A chunk is there."""
    return BlobRef(Container.WORK, f"{analysis}/chunks/{chunk.read_group}/{chunk.number:05d}.json")


def split_marker(analysis: AnalysisId, read_group: str) -> BlobRef:
    """A read group is split."""
    return BlobRef(Container.WORK, f"{analysis}/chunks/{read_group}/split.json")


def aligned_marker(analysis: AnalysisId, chunk: ChunkKey) -> BlobRef:
    """A chunk is aligned."""
    return BlobRef(Container.WORK, f"{analysis}/aligned/{chunk.read_group}/{chunk.number:05d}.json")


def recalibrated_marker(analysis: AnalysisId, shard: int) -> BlobRef:
    """A shard's bases are counted for recalibration."""
    return BlobRef(Container.WORK, f"{analysis}/recalibrated/{shard:05d}.json")


def called_marker(analysis: AnalysisId, shard: int) -> BlobRef:
    """A shard is called."""
    return BlobRef(Container.WORK, f"{analysis}/called/{shard:05d}.json")


def failure_record(analysis: AnalysisId, work: Work | str, attempt: int) -> BlobRef:
    """A unit of work failed."""
    return BlobRef(Container.WORK, f"{analysis}/failed/{work}.{attempt}.json")


def retried_folder(analysis: AnalysisId) -> str:
    """Prefix of an analysis's retries."""
    return f"{analysis}/retried/"


def retried_marker(analysis: AnalysisId, number: int) -> BlobRef:
    """An operator let a failed analysis be tried again, for the `number`-th time."""
    return BlobRef(Container.WORK, f"{retried_folder(analysis)}{number:03d}.json")


def claim_blob(analysis: AnalysisId, work: Work) -> BlobRef:
    """What a function leases while it runs a unit of work, so that a doubled event does not do it twice."""
    return BlobRef(Container.WORK, f"{analysis}/claims/{work}")


# --- work: data --------------------------------------------------------------------------------------------


DATA_PREFIX = "data/"
"""Work-container prefix of all intermediate data; the storage's lifecycle rule names it too."""


def data_folder(analysis: AnalysisId) -> str:
    """Prefix of the analysis's intermediate data, away from its markers: one listing then gives all facts."""
    return f"{DATA_PREFIX}{analysis}/"


def chunk_data(analysis: AnalysisId, chunk: ChunkKey) -> BlobRef:
    """The reads of a chunk: R1 and R2 interleaved, FASTQ, gzip."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/chunks/{chunk.read_group}/{chunk.number:05d}.fastq.gz")


def chunk_place(analysis: AnalysisId, chunk: ChunkKey) -> BlobRef:
    """Where a chunk begins in the files of its read group: how to read on from there."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/chunks/{chunk.read_group}/{chunk.number:05d}.place")


def aligned_part(analysis: AnalysisId, chunk: ChunkKey, shard: int) -> BlobRef:
    """A chunk's alignments for one shard."""
    return BlobRef(
        Container.WORK, f"{DATA_PREFIX}{analysis}/aligned/{chunk.read_group}/{chunk.number:05d}/{shard:05d}.bam"
    )


def targets_data(analysis: AnalysisId) -> BlobRef:
    """The intervals that an analysis is limited to: BED, merged and padded."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/targets.bed")


def recalibration_table(analysis: AnalysisId, shard: int) -> BlobRef:
    """GATK's recalibration table of a shard."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/recalibrated/{shard:05d}.table")


def known_fingerprint_data(analysis: AnalysisId, sha256: str) -> BlobRef:
    """The genotypes that a sample is compared with, as they were when its plan was frozen: VCF, plain or gzip."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/known-fingerprint-{sha256[:16]}.vcf")


def called_data(analysis: AnalysisId, shard: int, suffix: str) -> BlobRef:
    """An output of a shard: suffix ``bam``, ``vcf.gz``, ``g.vcf.gz``, ``sites.tsv``."""
    return BlobRef(Container.WORK, f"{DATA_PREFIX}{analysis}/called/{shard:05d}.{suffix}")


# --- results -----------------------------------------------------------------------------------------------


@unique
class Result(StrEnum):
    """Files of a finished analysis; the value is what follows `{sample}.` in the name."""

    BAM = "bam"
    BAI = "bam.bai"
    CRAM = "cram"
    CRAI = "cram.crai"
    VCF = "vcf.gz"
    VCF_INDEX = "vcf.gz.tbi"
    GVCF = "g.vcf.gz"
    GVCF_INDEX = "g.vcf.gz.tbi"
    ANNOTATED_VCF = "annotated.vcf.gz"
    ANNOTATED_VCF_INDEX = "annotated.vcf.gz.tbi"
    QC = "qc.json"
    QC_PAGE = "qc.html"
    SAMTOOLS_STATS = "samtools-stats.txt"
    BCFTOOLS_STATS = "bcftools-stats.txt"
    MULTIQC = "qc_mqc.json"
    MULTIQC_REPORT = "multiqc.html"
    FINGERPRINT = "fingerprint.vcf.gz"
    FINGERPRINT_INDEX = "fingerprint.vcf.gz.tbi"
    TARGETS = "targets.bed"
    BUNDLE = "fhir.json"
    REPORT = "report.html"
    HELD_BUNDLE = "held.fhir.json"
    HELD_REPORT = "held.report.html"


def sample_folder(sample: str) -> str:
    """Prefix of all results of a sample."""
    return f"{sample}/"


def results_folder(sample: str, analysis: AnalysisId) -> str:
    """Prefix of an analysis's results."""
    return f"{sample}/{analysis}/"


def result_blob(sample: str, analysis: AnalysisId, result: Result) -> BlobRef:
    """A result file."""
    return BlobRef(Container.RESULTS, f"{sample}/{analysis}/{sample}.{result}")


def result_marker(sample: str, analysis: AnalysisId, stage: Stage) -> BlobRef:
    """The marker of a stage of the results."""
    assert stage in RESULT_STAGES, stage
    return BlobRef(Container.RESULTS, f"{sample}/{analysis}/{stage}.json")


def failed_marker(sample: str, analysis: AnalysisId, round_number: int) -> BlobRef:
    """The marker of the end of a round without results; each round has its own."""
    suffix = f".{round_number}" if round_number else ""
    return BlobRef(Container.RESULTS, f"{sample}/{analysis}/{Stage.FAILED}{suffix}.json")


# --- parsing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarkerRef:
    """What a marker's name says: the analysis, the stage, and which unit of it.

    Attributes:
        sample: For stages of the results; empty for those of work.
        read_group: For checkpoint, chunk, split and aligned.
        number: Chunk number, shard number, the checkpoint's next chunk, the failure's attempt, or the round that was
            retried or failed.
        work: The unit of work that failed, for a failure.
    """

    analysis: AnalysisId
    stage: Stage
    sample: str = ""
    read_group: str = ""
    number: int = 0
    work: Work | None = None

    @property
    def chunk(self) -> ChunkKey:
        """The chunk, for stages of chunks."""
        return ChunkKey(self.read_group, self.number)


_WORK_MARKERS = (
    (Stage.PLANNED, re.compile(_ANALYSIS + r"/plan\.json")),
    (Stage.COHORT, re.compile(_ANALYSIS + r"/cohort\.json")),
    (Stage.CHECKPOINT, re.compile(_ANALYSIS + r"/checkpoints/(?P<rg>[^/]+)/(?P<n>\d{5})\.json")),
    (Stage.CHUNK, re.compile(_ANALYSIS + r"/chunks/(?P<rg>[^/]+)/(?P<n>\d{5})\.json")),
    (Stage.SPLIT, re.compile(_ANALYSIS + r"/chunks/(?P<rg>[^/]+)/split\.json")),
    (Stage.ALIGNED, re.compile(_ANALYSIS + r"/aligned/(?P<rg>[^/]+)/(?P<n>\d{5})\.json")),
    (Stage.RECALIBRATED, re.compile(_ANALYSIS + r"/recalibrated/(?P<n>\d{5})\.json")),
    (Stage.CALLED, re.compile(_ANALYSIS + r"/called/(?P<n>\d{5})\.json")),
    (Stage.FAILURE, re.compile(_ANALYSIS + r"/failed/(?P<work>[^/]+)\.(?P<n>\d+)\.json")),
    (Stage.RETRIED, re.compile(_ANALYSIS + r"/retried/(?P<n>\d{3})\.json")),
)
_FAILED_AGAIN = re.compile(r"(?P<sample>[^/]+)/" + _ANALYSIS + r"/failed\.(?P<n>[1-9]\d*)\.json")
_RESULT_MARKER = re.compile(r"(?P<sample>[^/]+)/" + _ANALYSIS + r"/(?P<stage>" + "|".join(RESULT_STAGES) + r")\.json")


def parse_marker(container: str, name: str) -> MarkerRef | None:
    """What a blob's name says when it is a marker; None for any other blob.

    Raises:
        PermanentError: For a failure record that names no known unit of work.
    """
    if container == Container.RESULTS and (match := _RESULT_MARKER.fullmatch(name)):
        return MarkerRef(AnalysisId(match["analysis"]), Stage(match["stage"]), sample=match["sample"])
    if container == Container.RESULTS and (match := _FAILED_AGAIN.fullmatch(name)):
        return MarkerRef(AnalysisId(match["analysis"]), Stage.FAILED, sample=match["sample"], number=int(match["n"]))
    if container != Container.WORK:
        return None
    for stage, pattern in _WORK_MARKERS:
        if match := pattern.fullmatch(name):
            found = match.groupdict()
            return MarkerRef(
                AnalysisId(found["analysis"]),
                stage,
                read_group=found.get("rg", ""),
                number=int(found.get("n", 0)),
                work=parse_work(found["work"]) if stage is Stage.FAILURE else None,
            )
    return None


# --- Azure Batch -------------------------------------------------------------------------------------------


def job_id(analysis: AnalysisId, round_number: int = 0) -> str:
    """The Batch job of an analysis; an operator's retry has a new one, because an ended job takes no task."""
    return f"analysis-{analysis}-{round_number}" if round_number else f"analysis-{analysis}"


def task_id(work: Work, attempt: int) -> str:
    """The Batch task of one attempt at a unit of work, at most 64 characters of ``[A-Za-z0-9_-]``."""
    return f"{work}-{attempt}"


def parse_task_id(task: str) -> tuple[Work, int]:
    """The unit of work and the attempt of a task id."""
    work, _, attempt = task.rpartition("-")
    return parse_work(work), int(attempt)
