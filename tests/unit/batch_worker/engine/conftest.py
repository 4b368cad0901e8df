"""The small world of engine tests, made and indexed once."""

from pathlib import Path

import pytest

from batch_worker.engine.index import build_index
from tests.engine_pipeline import Outcome, run_pipeline
from tests.simulate import World, make_world


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def reference(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    source = folder / "source.fa"
    source.write_bytes(world.fasta())
    return build_index(source, folder / "index")[0]


@pytest.fixture(scope="session")
def whole(world: World, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One chunk per read group, one shard, one thread: what every cut must equal."""
    return run_pipeline(world, reference, tmp_path_factory.mktemp("whole"), shard_bp=10**9)
