"""Looking at a landing folder, as the tests of ingest do."""

from datetime import timedelta

from shared import naming
from shared.domain.ids import AnalysisId
from shared.domain.markers import FailedMarker
from shared.domain.plan import Layout, ResultSettings
from shared.naming import Container
from shared.steps.ingest import Drop, ingest
from tests.drops import SAMPLE, drop_fastq, install_bundle
from tests.fakes import World

SETTINGS = ResultSettings(batch_pairs=10)
LAYOUT = Layout(chunk_pairs=20, shard_bp=500)


def new_world() -> World:
    world = World()
    world.clock.tick = timedelta(seconds=1)  # no two uploads have one time
    install_bundle(world.blobs)
    return world


def look(world: World, told: list[AnalysisId] | None = None) -> Drop:
    (drop,) = ingest(SAMPLE, world.services, SETTINGS, LAYOUT, (told if told is not None else []).append)
    return drop


def plans(world: World) -> list[str]:
    return [name for name in world.blobs.names(Container.WORK) if name.endswith("/plan.json")]


def open_entries(world: World) -> list[str]:
    return world.blobs.names(Container.WORK, naming.OPEN_PREFIX)


def drop_all(world: World, *lanes: str) -> None:
    for lane in lanes:
        for mate in (1, 2):
            drop_fastq(world.blobs, lane, mate)


def refusal(world: World) -> FailedMarker:
    (name,) = [name for name in world.blobs.names(Container.RESULTS) if name.endswith("/failed.json")]
    return FailedMarker.model_validate_json(world.blobs.read(naming.BlobRef(Container.RESULTS, name)))


def reads(mate: int, *, flowcell: str = "HXXX", lane: int = 1, x: int = 5) -> bytes:
    """A FASTQ file of one read."""
    return f"@A00123:8:{flowcell}:{lane}:1101:{x}:7 {mate}:N:0:ACGT+TTGA\nACGT\n+\nFFFF\n".encode()


def put(world: World, name: str, data: bytes) -> None:
    world.blobs.put(naming.landing_blob(f"{SAMPLE}/{name}"), data)
