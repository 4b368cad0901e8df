"""A split that is killed at any byte it reads or before any blob it writes ends with the same chunks."""

import gzip
import io
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, BinaryIO, cast

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import naming
from shared.domain.markers import ChunkMarker, SplitMarker
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.work import ChunkKey
from shared.formats import gzip_text
from shared.naming import BlobRef, Container
from shared.steps import split
from shared.steps.chunk_reads import open_in_landing
from shared.steps.split import split_read_group
from tests.factories import make_plan
from tests.fakes import FakeBlobs, FakeClock, Killed
from tests.fastq_text import bgzf

GROUP = "L1"
READS = 2_410
CHUNK_PAIRS = 300
CHUNKS = 9


class MortalBlobs(FakeBlobs):
    """Blobs whose reader is killed after so many bytes.

    Attributes:
        life: Bytes until then; None: no end.
        read_bytes: What was read of the dropped files.
    """

    life: int | None = None
    read_bytes = 0

    def open(self, ref: BlobRef, content: str | None = None, start: int = 0) -> BinaryIO:
        inner = super().open(ref, content, start)
        return cast("BinaryIO", io.BufferedReader(cast("Any", _Mortal(self, inner)), 5_000))


class _Mortal(io.RawIOBase):
    def __init__(self, blobs: MortalBlobs, inner: BinaryIO) -> None:
        super().__init__()
        self._blobs, self._inner = blobs, inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(min(len(buffer), 5_000))
        self._blobs.read_bytes += len(data)
        if self._blobs.life is not None:
            self._blobs.life -= len(data)
            if self._blobs.life < 0:
                raise Killed("in the middle of reading")
        buffer[: len(data)] = data
        return len(data)


def text(mate: int) -> bytes:
    draw = random.Random(mate)
    records = []
    for number in range(READS):
        bases, qualities = "".join(draw.choices("ACGT", k=70)), "".join(draw.choices("FGHIJ:,#", k=70))
        records.append(f"@A1:{number} {mate}:N:0:AC\n{bases}\n+\n{qualities}\n")
    return "".join(records).encode()


TEXTS = text(1), text(2)
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bgzf": lambda data: bgzf(data, 20_000),
    "members": lambda data: b"".join(gzip.compress(data[at : at + 90_000]) for at in range(0, len(data), 90_000)),
    "zstd": zstd.compress,
    "frames": lambda data: b"".join(zstd.compress(data[at : at + 50_000]) for at in range(0, len(data), 50_000)),
}
PACKED = {name: tuple(map(pack, TEXTS)) for name, pack in PACKINGS.items()}


class Drop:
    """One read group and its split."""

    def __init__(self, packings: tuple[str, str]) -> None:
        clock = FakeClock(tick=timedelta(seconds=1))
        self.blobs, self.clock, files = MortalBlobs(clock), clock, []
        for mate, packing in enumerate(packings):
            facts = self.blobs.put(naming.landing_blob(f"NA1/NA1_L1_R{mate + 1}.fastq.gz"), PACKED[packing][mate])
            files.append(InputFile(name=facts.ref.name, size=facts.size, content=facts.content))
        group = ReadGroup(id=GROUP, r1=files[0], r2=files[1], library="NA1", platform_unit="NA1.L1")
        self.plan = make_plan(chunk_pairs=CHUNK_PAIRS).model_copy(update={"read_groups": (group,)})

    @property
    def is_done(self) -> bool:
        return self.blobs.facts(naming.split_marker(self.plan.analysis, GROUP)) is not None

    def split(self, budget: float) -> None:
        """As the function does: from the newest checkpoint on."""
        names = self.blobs.names(Container.WORK, f"{naming.analysis_folder(self.plan.analysis)}checkpoints/")
        next_chunk = int(names[-1][-10:-5]) if names else 0
        split_read_group(self.plan, GROUP, next_chunk, self.blobs, self.clock, budget)

    def chunks(self) -> list[tuple[int, int, str, str, bytes]]:
        """Of every chunk what its marker says and the reads that its alignment gets."""
        end = SplitMarker.model_validate_json(self.blobs.read(naming.split_marker(self.plan.analysis, GROUP)))
        assert end.pairs == READS
        found = []
        for number in range(end.chunks):
            key = ChunkKey(GROUP, number)
            marker = ChunkMarker.model_validate_json(self.blobs.read(naming.chunk_marker(self.plan.analysis, key)))
            if marker.is_in_landing:
                with open_in_landing(self.plan, marker, self.blobs) as stream:
                    reads = stream.read()
            else:
                reads = gzip.decompress(self.blobs.read(naming.chunk_data(self.plan.analysis, key)))
            found.append((marker.first_pair, marker.pairs, marker.first_name, marker.last_name, reads))
        return found


def expected() -> list[tuple[int, int, str, str, bytes]]:
    lines = [data.splitlines(keepends=True) for data in TEXTS]
    found = []
    for first in range(0, READS, CHUNK_PAIRS):
        end = min(READS, first + CHUNK_PAIRS)
        records = [b"".join(mate[4 * at : 4 * at + 4]) for at in range(first, end) for mate in lines]
        found.append((first, end - first, f"A1:{first}", f"A1:{end - 1}", b"".join(records)))
    return found


EXPECTED = expected()


@pytest.fixture(autouse=True)
def small_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short file has many places, and some of its chunks are too far from one."""
    monkeypatch.setattr(gzip_text, "FEED_BYTES", 4_096)
    monkeypatch.setattr(split, "NEAR_BYTES", 100_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data())
def test_a_split_killed_anywhere_any_number_of_times_gives_the_same_chunks(data: st.DataObject) -> None:
    names = st.sampled_from(sorted(PACKINGS))
    drop = Drop((data.draw(names), data.draw(names)))
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            drop.blobs.life = data.draw(st.integers(0, 600_000))
        else:
            drop.blobs.kill_after = data.draw(st.integers(0, 2 * CHUNKS))
        with suppress(Killed):
            drop.split(data.draw(st.sampled_from([0, 3, 8, 1_000])))
        drop.blobs.life = drop.blobs.kill_after = None
    while not drop.is_done:
        drop.split(data.draw(st.sampled_from([0, 5, 1_000])))
    assert drop.chunks() == EXPECTED


@pytest.mark.parametrize("packing", ["plain", "bgzf", "members", "gzip", "frames"])
def test_a_killed_split_reads_on_near_where_it_stopped_and_writes_no_chunk_again(
    packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split, "NEAR_BYTES", 400_000)
    drop = Drop((packing, packing))
    drop.blobs.kill_after = 2 * 7 + 1  # the eighth chunk has its place, and no marker
    with pytest.raises(Killed):
        drop.split(1_000)
    drop.blobs.kill_after = None
    written, whole = list(drop.blobs.events), sum(map(len, PACKED[packing]))
    drop.blobs.read_bytes = 0
    drop.split(1_000)
    again = [ref for ref in drop.blobs.events[len(written) :] if ref in written]
    assert again == [naming.chunk_place(drop.plan.analysis, ChunkKey(GROUP, 8))]
    assert drop.blobs.read_bytes < 0.55 * whole
    assert drop.chunks() == EXPECTED


def test_a_file_of_one_zstd_frame_is_read_through_again() -> None:
    """There is no place inside a frame, and so its chunks are copied."""
    drop = Drop(("zstd", "zstd"))
    drop.split(1_000)
    markers = [
        ChunkMarker.model_validate_json(drop.blobs.read(naming.chunk_marker(drop.plan.analysis, ChunkKey(GROUP, n))))
        for n in range(CHUNKS)
    ]
    assert [marker.is_in_landing for marker in markers] == [True] * 3 + [False] * (CHUNKS - 3)
    assert drop.chunks() == EXPECTED
