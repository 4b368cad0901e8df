"""A lab's drops into the landing folder of a fake world, and a settings object for it."""

from typing import Any

from shared import naming
from shared.domain.markers import SplitMarker
from shared.domain.order import Order
from shared.domain.plan import Plan
from shared.domain.work import ChunkKey
from shared.naming import BlobRef
from shared.settings import AppSettings
from tests.factories import make_manifest, make_order
from tests.fakes import FakeBlobs, World

SAMPLE = "NA00001"


def app_settings(**changes: Any) -> AppSettings:
    """Settings by their environment names; small chunks."""
    values = {
        "DATA_STORAGE": "UseDevelopmentStorage=true",
        "LAKE_STORAGE": "UseDevelopmentStorage=true",
        "BATCH_ENDPOINT": "http://127.0.0.1:1",
        "BATCH_POOL": "pool",
        "FHIR_URL": "http://127.0.0.1:1/fhir",
        "BATCH_PAIRS": 10,
        "CHUNK_PAIRS": 20,
        "SHARD_BP": 500,
        **changes,
    }
    return AppSettings.model_validate(values)


def fastq_blob(lane: str, mate: int, sample: str = SAMPLE) -> BlobRef:
    """A FASTQ file of a lane."""
    return naming.landing_blob(f"{sample}/{sample}_{lane}_R{mate}.fastq.gz")


def drop_fastq(blobs: FakeBlobs, lane: str, mate: int, sample: str = SAMPLE, data: bytes = b"") -> None:
    """Upload a FASTQ file; its bytes are its name unless given."""
    ref = fastq_blob(lane, mate, sample)
    blobs.put(ref, data or ref.name.encode())


def drop_order(blobs: FakeBlobs, *lanes: str, sample: str = SAMPLE, **fields: Any) -> Order:
    """Upload an order that names the pairs of some lanes; without lanes it names none."""
    names = tuple(fastq_blob(lane, mate, sample).name.rpartition("/")[2] for lane in lanes for mate in (1, 2))
    order = make_order(sample, files=names or None, **fields)
    blobs.put(naming.order_blob(sample), order.to_json())
    return order


def install_bundle(blobs: FakeBlobs) -> None:
    """Install the demo reference bundle's manifest."""
    blobs.put(naming.manifest_blob("demo"), make_manifest().to_json())


def open_analysis(world: World, plan: Plan) -> None:
    """File a plan as ingest leaves it."""
    world.blobs.create(naming.open_entry(plan.analysis), plan.sample.encode())
    world.blobs.create(naming.plan_blob(plan.analysis), plan.to_json())


def file_aligned(world: World, plan: Plan, group: str, chunks: int) -> None:
    """File chunk, split and aligned markers of a read group; only names count for the decision."""
    common: dict[str, Any] = {"started": world.clock.now, "ended": world.clock.now, "core_seconds": 0}
    for number in range(chunks):
        world.blobs.create(naming.chunk_marker(plan.analysis, ChunkKey(group, number)), b"{}")
        world.blobs.create(naming.aligned_marker(plan.analysis, ChunkKey(group, number)), b"{}")
    marker = SplitMarker(analysis=plan.analysis, read_group=group, chunks=chunks, pairs=20 * chunks, **common)
    world.blobs.create(naming.split_marker(plan.analysis, group), marker.to_json())
