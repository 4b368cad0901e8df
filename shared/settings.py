"""Every setting of the system; nothing else reads the environment.

Cloud and local differ only here: an identity-based setting (`NAME__blobServiceUri`) in the cloud, a connection
string (`NAME`) locally. Names ending in `__...` follow the convention of Azure Functions connections.
"""

from functools import cache
from typing import Annotated, Self

from pydantic import Field, HttpUrl, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.advance import RetryPolicy
from shared.domain.cohort import CohortSettings
from shared.domain.plan import MOST_CHUNK_PAIRS, Layout, ResultSettings

DATA_CONNECTION = "DATA_STORAGE"
"""Connection name of the data account in the bindings of the functions."""


QUEUE_MAX_TRIES = 5
"""How often the host delivers a queue message before it is poison: `maxDequeueCount` of host.json."""


class StorageSettings(BaseSettings):
    """Where the blobs and queues are.

    Attributes:
        data_connection: Connection string of the data account (local stack only).
        data_blob_uri: Blob endpoint of the data account, used with the managed identity.
        data_queue_uri: Queue endpoint of the data account, used with the managed identity.
        lake_connection: Connection string of the lake account (local stack only).
        lake_blob_uri: Blob endpoint of the lake account, used with the managed identity.
    """

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True)

    data_connection: Annotated[str | None, Field(alias="DATA_STORAGE")] = None
    data_blob_uri: Annotated[str | None, Field(alias="DATA_STORAGE__blobServiceUri")] = None
    data_queue_uri: Annotated[str | None, Field(alias="DATA_STORAGE__queueServiceUri")] = None
    lake_connection: Annotated[str | None, Field(alias="LAKE_STORAGE")] = None
    lake_blob_uri: Annotated[str | None, Field(alias="LAKE_STORAGE__blobServiceUri")] = None
    identity_client_id: Annotated[
        str | None, Field(alias="AZURE_CLIENT_ID", description="Client id of the user-assigned identity")
    ] = None

    @model_validator(mode="after")
    def _data_account_is_named(self) -> Self:
        if not self.data_connection and not self.data_blob_uri:
            raise ValueError(
                "no data storage: set DATA_STORAGE (a connection string) or DATA_STORAGE__blobServiceUri "
                "and DATA_STORAGE__queueServiceUri (identity-based)"
            )
        return self


class AppSettings(StorageSettings):
    """Settings of the function app.

    Attributes:
        batch_endpoint: Batch account URL.
        batch_account: Account name; only with a key.
        batch_key: Shared key, base64 (local stack only; the cloud uses the managed identity).
        batch_pool: Pool that runs the tasks.
        batch_worker_image: Container image of the worker; empty runs `batch_worker_command` on the node itself.
        batch_worker_command: What starts the worker, split like a shell would.
        batch_share_index: Whether a node's align tasks share one copy of the aligner's index in its memory. Containers
            then run in the node's IPC namespace, to see its /dev/shm.
        batch_task_slots: Slots an align or call task takes; also its threads.
        batch_task_seconds: Wall-clock limit of one run of a task, s.
        worker_client_id: Client id of the identity that the pool's nodes carry.
        fhir_url: Base URL of the FHIR service.
        fhir_audience: Token audience of the FHIR service; empty sends no token (local stack only).
        completed_topic_endpoint: Custom Event Grid topic for "completed" and "failed" notices; empty: none are sent.
        completed_topic_key: Access key of the topic (local stack only).
        laboratory_name: The performing laboratory as the report shows it.
        laboratory_system: URI under which the laboratory issues identifiers.
        landing_tier: Tier of the FASTQ after delivery. Cold, not Archive, by default: a later analysis with one
            changed lane must be able to read the others at once; a lifecycle rule archives them later.
        reference_cache: Folder for this instance's copies of reference bundles; kept while the instance lives.
        reconcile_schedule: NCRONTAB schedule of the timer; read by the host, named here to be complete.
        function_seconds: Time budget of one function run, s; below functionTimeout of host.json.
        stalled_seconds: Without a new marker for this long, the timer looks closer at an analysis, s.
        chunk_pairs: See `Layout`.
        shard_bp: See `Layout`.
        large_input_bytes: See `Layout`.
        large_reference_bp: See `Layout`.
        large_read_group_bytes: See `Layout`.
        batch_pairs: See `ResultSettings`.
        gatk_shard_bp: See `ResultSettings`.
        gatk_home: Passed on to the tasks (local stack only); see `WorkerSettings`.
        multiqc: Passed on to the tasks (local stack only); see `WorkerSettings`.
        max_attempts: Attempts at computing before a transient failure ends the analysis.
        max_delivery_attempts: Attempts at delivering before a transient failure ends the analysis.
        retry_seconds: Delay before the second attempt, s; four times longer before each further one.
    """

    batch_endpoint: Annotated[str, Field(alias="BATCH_ENDPOINT")]
    batch_account: Annotated[str, Field(alias="BATCH_ACCOUNT")] = ""
    batch_key: Annotated[str, Field(alias="BATCH_KEY")] = ""
    batch_pool: Annotated[str, Field(alias="BATCH_POOL")]
    batch_worker_image: Annotated[str, Field(alias="BATCH_WORKER_IMAGE")] = ""
    batch_worker_command: Annotated[str, Field(alias="BATCH_WORKER_COMMAND")] = "python -m batch_worker"
    batch_share_index: Annotated[bool, Field(alias="BATCH_SHARE_INDEX")] = False
    batch_task_slots: Annotated[int, Field(alias="BATCH_TASK_SLOTS", ge=1, le=256)] = 1
    batch_task_seconds: Annotated[int, Field(alias="BATCH_TASK_SECONDS", ge=60)] = 6 * 3600
    worker_client_id: Annotated[str | None, Field(alias="BATCH_WORKER_CLIENT_ID")] = None
    fhir_url: Annotated[HttpUrl, Field(alias="FHIR_URL")]
    fhir_audience: Annotated[str, Field(alias="FHIR_AUDIENCE")] = ""
    completed_topic_endpoint: Annotated[str, Field(alias="COMPLETED_TOPIC_ENDPOINT")] = ""
    completed_topic_key: Annotated[str, Field(alias="COMPLETED_TOPIC_KEY")] = ""
    laboratory_name: Annotated[str, Field(alias="LABORATORY_NAME")] = "Clinical genomics laboratory"
    laboratory_system: Annotated[str, Field(alias="LABORATORY_SYSTEM")] = "urn:example:laboratory"
    landing_tier: Annotated[str, Field(alias="LANDING_TIER", pattern="^(Hot|Cool|Cold|Archive)$")] = "Cold"
    reference_cache: Annotated[str, Field(alias="REFERENCE_CACHE")] = "/tmp/reference-bundles"  # noqa: S108 - one app a machine
    reconcile_schedule: Annotated[str, Field(alias="RECONCILE_SCHEDULE")] = "0 */5 * * * *"
    function_seconds: Annotated[int, Field(alias="FUNCTION_SECONDS", ge=1)] = 300
    stalled_seconds: Annotated[int, Field(alias="STALLED_SECONDS", ge=0)] = 600
    chunk_pairs: Annotated[int, Field(alias="CHUNK_PAIRS", ge=1, le=MOST_CHUNK_PAIRS)] = Layout().chunk_pairs
    shard_bp: Annotated[int, Field(alias="SHARD_BP", ge=1)] = Layout().shard_bp
    large_input_bytes: Annotated[int, Field(alias="LARGE_INPUT_BYTES", ge=0)] = Layout().large_input_bytes
    large_reference_bp: Annotated[int, Field(alias="LARGE_REFERENCE_BP", ge=0)] = Layout().large_reference_bp
    large_read_group_bytes: Annotated[int, Field(alias="LARGE_READ_GROUP_BYTES", ge=0)] = (
        Layout().large_read_group_bytes
    )
    batch_pairs: Annotated[int, Field(alias="BATCH_PAIRS", ge=1)] = ResultSettings().batch_pairs
    gatk_shard_bp: Annotated[int, Field(alias="GATK_SHARD_BP", ge=1)] = ResultSettings().gatk_shard_bp
    gatk_home: Annotated[str, Field(alias="GATK_HOME")] = ""
    multiqc: Annotated[str, Field(alias="MULTIQC")] = ""
    max_attempts: Annotated[int, Field(alias="MAX_ATTEMPTS", ge=1)] = RetryPolicy().max_attempts
    max_delivery_attempts: Annotated[int, Field(alias="MAX_DELIVERY_ATTEMPTS", ge=1)] = (
        RetryPolicy().max_delivery_attempts
    )
    retry_seconds: Annotated[int, Field(alias="RETRY_SECONDS", ge=0)] = RetryPolicy().first_delay_seconds

    @model_validator(mode="after")
    def _chunks_are_whole_batches(self) -> Self:
        if self.chunk_pairs % self.batch_pairs:
            raise ValueError(
                f"CHUNK_PAIRS {self.chunk_pairs:,} is no multiple of BATCH_PAIRS {self.batch_pairs:,}: a chunk is a "
                "whole number of alignment batches, so that results do not depend on where reads are cut"
            )
        return self

    @model_validator(mode="after")
    def _queues_and_lake_are_named(self) -> Self:
        if not self.data_connection and not self.data_queue_uri:
            raise ValueError("no queue endpoint: set DATA_STORAGE__queueServiceUri beside DATA_STORAGE__blobServiceUri")
        if not self.lake_connection and not self.lake_blob_uri:
            raise ValueError("no lake storage: set LAKE_STORAGE or LAKE_STORAGE__blobServiceUri")
        return self

    @property
    def worker_environment(self) -> dict[str, str]:
        """The variables of a task: where the data account is, and as whom to reach it."""
        values = {
            "DATA_STORAGE": self.data_connection,
            "DATA_STORAGE__blobServiceUri": self.data_blob_uri,
            "AZURE_CLIENT_ID": self.worker_client_id,
            "SHARE_INDEX": "true" if self.batch_share_index else None,
            "GATK_HOME": self.gatk_home,
            "MULTIQC": self.multiqc,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def worker_run_options(self) -> str:
        """Options of the worker's containers: without the node's IPC namespace each has 64 MiB of /dev/shm alone."""
        return "--ipc=host" if self.batch_share_index else ""

    @property
    def layout(self) -> Layout:
        """How new plans cut up the work."""
        return Layout(
            chunk_pairs=self.chunk_pairs,
            shard_bp=self.shard_bp,
            large_input_bytes=self.large_input_bytes,
            large_reference_bp=self.large_reference_bp,
            large_read_group_bytes=self.large_read_group_bytes,
        )

    @property
    def result_settings(self) -> ResultSettings:
        """Settings of new plans that change results."""
        return ResultSettings(batch_pairs=self.batch_pairs, gatk_shard_bp=self.gatk_shard_bp)

    @property
    def cohort_settings(self) -> CohortSettings:
        """Settings of new cohorts that change results: their groups of contigs are as large as shards are."""
        return CohortSettings(gatk_group_bp=self.gatk_shard_bp)

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often and when failed work is tried again."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            max_delivery_attempts=self.max_delivery_attempts,
            first_delay_seconds=self.retry_seconds,
        )


class WorkerSettings(StorageSettings):
    """Settings of a task on a Batch node.

    Attributes:
        node_shared_dir: Directory that tasks of a node share (Batch sets it); holds the reference cache.
        task_dir: Working directory of the task (Batch sets it).
        share_index: See `AppSettings.batch_share_index`; off where nothing would drop what tasks leave in memory.
        gatk_home: Folder of GATK's jars; by default where the worker image has them.
        multiqc: The program MultiQC, by default where an image built with it has it; where it is not, no report of
            its is made.
    """

    node_shared_dir: Annotated[str, Field(alias="AZ_BATCH_NODE_SHARED_DIR")] = ""
    task_dir: Annotated[str, Field(alias="AZ_BATCH_TASK_WORKING_DIR")] = ""
    share_index: Annotated[bool, Field(alias="SHARE_INDEX")] = False
    gatk_home: Annotated[str, Field(alias="GATK_HOME")] = "/opt/gatk"
    multiqc: Annotated[str, Field(alias="MULTIQC")] = "/opt/multiqc/bin/multiqc"


@cache
def app_settings() -> AppSettings:
    """The function app's settings, read and checked once."""
    return AppSettings()  # type: ignore[call-arg]  # fields come from the environment


@cache
def worker_settings() -> WorkerSettings:
    """The worker's settings, read and checked once."""
    return WorkerSettings()
