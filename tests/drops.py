"""A lab's drops into the landing folder of a fake world, and a settings object for it."""

import json
from typing import Any

from shared import naming
from shared.domain.ids import Document
from shared.domain.markers import AnnotatedMarker, FlaggedMarker, GatheredMarker, SplitMarker
from shared.domain.order import Order
from shared.domain.plan import Plan
from shared.domain.thresholds import Missed
from shared.domain.work import ChunkKey, Stage
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


def file_annotated(world: World, plan: Plan, *, missed: tuple[Missed, ...] = ()) -> None:
    """File what gather, annotate and the quality report leave of a sample without variants: figures and markers.

    Args:
        missed: The limits that it missed; with any it is flagged.
    """
    common: dict[str, Any] = {
        "analysis": plan.analysis,
        "started": world.clock.now,
        "ended": world.clock.now,
        "core_seconds": 0,
    }
    figures = {"mean_depth": {"value": 12.4, "unit": "1"}}
    qc = naming.result_blob(plan.sample, plan.analysis, naming.Result.QC)
    world.blobs.put(qc, json.dumps({"metrics": figures}).encode())
    markers: dict[Stage, Document] = {
        Stage.GATHERED: GatheredMarker(**common, pairs=20, primary=40, variants=0, tools={"bcftools": "1"}),
        Stage.ANNOTATED: AnnotatedMarker(**common, variants=0, alleles=0, findings=0),
    }
    if missed:
        markers[Stage.FLAGGED] = FlaggedMarker(analysis=plan.analysis, sample=plan.sample, missed=missed)
    for stage, marker in markers.items():
        world.blobs.create(naming.result_marker(plan.sample, plan.analysis, stage), marker.to_json())
    # Nobody reads what it says.
    world.blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.QC_REPORTED), b"{}")
