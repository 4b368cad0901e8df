"""One running local stack and one small synthetic genome for all tests of the whole chain."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from infra.local.demo_data import BUNDLE, DemoData, make_demo_data
from infra.local.drop import Lab
from infra.local.stack import Stack, StackOptions
from shared.adapters.blobs import AzureBlobs
from shared.domain.reference import Assembly

GENOME_BP = 30_000
SETTINGS = {"BATCH_PAIRS": "100", "CHUNK_PAIRS": "400", "SHARD_BP": "12000", "STALLED_SECONDS": "5"}
"""Small enough for several chunks per lane and several shards."""


@dataclasses.dataclass(frozen=True)
class Running:
    """A stack with the demo's bundle installed, a lab to drop from, and the demo's data."""

    stack: Stack
    lab: Lab
    blobs: AzureBlobs
    data: DemoData
    state: Path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make_demo_data(tmp_path_factory.mktemp("demo"), genome_bp=GENOME_BP, depth=15)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, demo: DemoData) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle(
        BUNDLE,
        Assembly.OTHER,
        BundleSources(demo.fasta, demo.genes, demo.clinvar, common_sites=demo.common_sites),
        folder,
    )
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, demo: DemoData, bundle: Path) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("stack")
    with Stack(StackOptions(state=state, slots=2, settings=SETTINGS)) as stack:
        blobs = AzureBlobs.connect(stack.endpoints.connection_string)
        install_bundle(bundle, blobs)
        yield Running(stack, Lab(stack.endpoints), blobs, demo, state)


def rename_sample(demo: DemoData, sample: str, folder: Path) -> list[Path]:
    """The demo's drop as another sample's: FASTQ files and order under its name; the order last."""
    old = demo.fastqs[0].parent.name
    target = folder / sample
    target.mkdir(parents=True)
    files = []
    for fastq in demo.fastqs:
        path = target / fastq.name.replace(old, sample)
        shutil.copy(fastq, path)
        files.append(path)
    order = target / "order.json"
    order.write_text(demo.order.read_text().replace(old, sample))
    return [*files, order]
