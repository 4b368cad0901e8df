"""The split: the same chunks whatever the budget, the layout, and wherever it was killed."""

import gzip
import json
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shared import naming
from shared.domain.markers import Checkpoint, ChunkMarker, SplitMarker
from shared.domain.plan import Plan
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.work import ChunkKey
from shared.errors import PermanentError, TransientError
from shared.naming import Container
from shared.steps import split
from shared.steps.chunk_reads import open_in_landing
from shared.steps.split import split_read_group
from tests.factories import make_plan
from tests.fakes import FakeBlobs, FakeClock, Killed
from tests.fastq_text import fastq

GROUP = "L1"
R1, R2 = (f"NA00001/NA00001_L1_R{mate}.fastq.gz" for mate in (1, 2))
READS = 130  # of 20 a chunk: six whole chunks and one of half a batch
CHUNKS = 7


@dataclass
class Drop:
    """A landing folder with one read group, its plan, and the storage."""

    blobs: FakeBlobs
    plan: Plan
    clock: FakeClock

    def split(self, next_chunk: int = 0, budget: float = 300) -> None:
        split_read_group(self.plan, GROUP, next_chunk, self.blobs, self.clock, budget)

    def data(self) -> dict[str, bytes]:
        return self.blobs.contents(Container.WORK, naming.data_folder(self.plan.analysis))

    def copies(self) -> dict[str, bytes]:
        """Chunks that were written again, by name."""
        return {name: data for name, data in self.data().items() if name.endswith(".fastq.gz")}

    def chunk_text(self, number: int) -> bytes:
        """The reads of a chunk as its alignment gets them."""
        marker = self.chunk_marker(number)
        if marker.is_in_landing:
            with open_in_landing(self.plan, marker, self.blobs) as stream:
                return stream.read()
        return gzip.decompress(self.data()[marker.outputs[0].name])

    def text(self) -> bytes:
        end = SplitMarker.model_validate_json(self.blobs.read(naming.split_marker(self.plan.analysis, GROUP)))
        return b"".join(map(self.chunk_text, range(end.chunks)))

    def chunk_marker(self, number: int) -> ChunkMarker:
        data = self.blobs.read(naming.chunk_marker(self.plan.analysis, ChunkKey(GROUP, number)))
        return ChunkMarker.model_validate_json(data)

    def markers(self) -> list[dict[str, Any]]:
        """The markers without what depends on the hour."""
        folder = f"{naming.analysis_folder(self.plan.analysis)}chunks/"
        found = [json.loads(data) for data in self.blobs.contents(Container.WORK, folder).values()]
        for marker in found:
            for field in ("started", "ended", "core_seconds"):
                del marker[field]
        return found

    def checkpoints(self) -> list[str]:
        folder = f"{naming.analysis_folder(self.plan.analysis)}checkpoints/"
        return self.blobs.names(Container.WORK, folder)


def make_drop(r1: bytes | None = None, r2: bytes | None = None, *, chunk_pairs: int = 20, tick: float = 0.001) -> Drop:
    clock = FakeClock(tick=timedelta(seconds=tick))
    blobs = FakeBlobs(clock)
    files = []
    for mate, (name, data) in enumerate(((R1, r1), (R2, r2)), 1):
        text = gzip.compress(fastq(READS, mate)) if data is None else data
        facts = blobs.put(naming.landing_blob(name), text)
        files.append(InputFile(name=name, size=facts.size, content=facts.content))
    plan = make_plan(chunk_pairs=chunk_pairs)
    group = ReadGroup(id=GROUP, r1=files[0], r2=files[1], library="NA00001", platform_unit="NA00001.L1")
    return Drop(blobs, plan.model_copy(update={"read_groups": (group,)}), clock)


def make_far_drop(monkeypatch: pytest.MonkeyPatch, r1: bytes | None = None, r2: bytes | None = None) -> Drop:
    """A drop whose files count as such that unpacking cannot begin near a chunk."""
    monkeypatch.setattr(split, "NEAR_BYTES", -1)
    return make_drop(r1, r2)


def make_text(reads: int) -> bytes:
    """The pairs as FASTQ, R1 before R2."""
    r1, r2 = fastq(reads, 1).splitlines(), fastq(reads, 2).splitlines()
    lines = [line for at in range(0, 4 * reads, 4) for line in (*r1[at : at + 4], *r2[at : at + 4])]
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture(scope="module")
def whole() -> Drop:
    """A split that was never interrupted."""
    drop = make_drop()
    drop.split()
    return drop


def test_chunks_hold_every_pair_once_in_order_r1_before_r2(whole: Drop) -> None:
    assert whole.text() == make_text(READS)


def test_markers_tell_counts_and_names(whole: Drop) -> None:
    analysis = whole.plan.analysis
    for number in range(CHUNKS):
        marker = whole.chunk_marker(number)
        last = min(READS, 20 * (number + 1)) - 1
        assert (marker.first_pair, marker.pairs) == (20 * number, last - 20 * number + 1)
        assert (marker.first_name, marker.last_name) == (f"M1:7:{20 * number}", f"M1:7:{last}")
        (output,) = marker.outputs
        assert marker.is_in_landing
        facts = whole.blobs.facts(naming.chunk_place(analysis, ChunkKey(GROUP, number + 1)))
        assert facts is not None
        assert (output.name, output.size, output.md5) == (facts.ref.name, facts.size, facts.md5)
    end = SplitMarker.model_validate_json(whole.blobs.read(naming.split_marker(analysis, GROUP)))
    assert (end.chunks, end.pairs) == (CHUNKS, READS)


@pytest.mark.parametrize("is_far", [False, True])
def test_a_chunks_marker_is_written_after_its_data_and_the_splits_marker_last(
    is_far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = make_far_drop(monkeypatch) if is_far else make_drop()
    drop.split()
    written = [ref.name for ref in drop.blobs.events if ref.container is Container.WORK]
    analysis = drop.plan.analysis
    expected = []
    for number in range(CHUNKS):
        key = ChunkKey(GROUP, number)
        if is_far and number:  # a file's first chunk is where the file begins
            expected.append(naming.chunk_data(analysis, key).name)
        expected.append(naming.chunk_place(analysis, ChunkKey(GROUP, number + 1)).name)
        expected.append(naming.chunk_marker(analysis, key).name)
    assert written == [*expected, naming.split_marker(analysis, GROUP).name]


def test_chunks_far_from_any_place_where_unpacking_can_begin_are_copied(
    whole: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = make_far_drop(monkeypatch)
    drop.split()
    assert [drop.chunk_marker(number).is_in_landing for number in range(CHUNKS)] == [True] + [False] * (CHUNKS - 1)
    for number in range(CHUNKS):
        assert drop.chunk_text(number) == whole.chunk_text(number)


def test_copies_of_the_same_reads_are_the_same_bytes_at_another_time_and_packed_in_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = make_far_drop(monkeypatch)
    other = make_far_drop(monkeypatch, fastq(READS, 1), gzip.compress(fastq(READS, 2), compresslevel=1, mtime=7))
    other.clock.sleep(86_400)
    one.split()
    other.split()
    assert len(one.copies()) == CHUNKS - 1
    assert list(one.copies().values()) == list(other.copies().values())


def test_the_gzip_header_of_a_copy_holds_neither_time_nor_name(monkeypatch: pytest.MonkeyPatch) -> None:
    drop = make_far_drop(monkeypatch)
    drop.split()
    for data in drop.copies().values():
        flags, time = data[3], data[4:8]
        assert (flags, time) == (0, bytes(4))


@pytest.mark.parametrize("chunk_pairs", [20, 40, 60, 140, 1_000])
def test_whatever_the_chunk_size_the_reads_are_the_same(whole: Drop, chunk_pairs: int) -> None:
    other = make_drop(chunk_pairs=chunk_pairs)
    other.split()
    assert other.text() == whole.text()
    assert len(other.data()) == -(-READS // chunk_pairs)  # a place for each


def test_a_budget_that_is_spent_leaves_a_checkpoint_after_a_whole_chunk() -> None:
    drop = make_drop(tick=1)
    drop.split(budget=0)
    assert len(drop.data()) == 1
    (name,) = drop.checkpoints()
    assert name == naming.checkpoint_blob(drop.plan.analysis, GROUP, 1).name
    checkpoint = Checkpoint.model_validate_json(drop.blobs.read(naming.checkpoint_blob(drop.plan.analysis, GROUP, 1)))
    assert (checkpoint.next_chunk, checkpoint.pairs_done) == (1, 20)
    assert drop.blobs.facts(naming.split_marker(drop.plan.analysis, GROUP)) is None


def test_a_split_that_goes_on_from_every_checkpoint_gives_the_same_blobs(whole: Drop) -> None:
    drop = make_drop(tick=1)
    for number in range(CHUNKS):
        drop.split(next_chunk=number, budget=0)
    assert drop.data() == whole.data()
    assert drop.markers() == whole.markers()
    assert len(drop.checkpoints()) == CHUNKS - 1


@pytest.mark.parametrize("writes", range(2 * CHUNKS + 1))
def test_a_split_killed_after_any_write_and_begun_again_gives_the_same_blobs(whole: Drop, writes: int) -> None:
    drop = make_drop()
    drop.blobs.kill_after = writes
    with pytest.raises(Killed):
        drop.split()
    drop.blobs.kill_after = None
    drop.split()
    assert drop.data() == whole.data()
    assert drop.markers() == whole.markers()


@pytest.mark.parametrize("writes", range(1, 3 * CHUNKS - 1, 2))
def test_a_split_with_checkpoints_killed_after_any_write_gives_the_same_blobs(whole: Drop, writes: int) -> None:
    drop = make_drop(tick=1)
    drop.blobs.kill_after = writes
    for _ in range(3 * CHUNKS):  # each run goes on from the newest checkpoint, as the function does
        names = drop.checkpoints()
        try:
            drop.split(next_chunk=int(names[-1][-10:-5]) if names else 0, budget=0)
        except Killed:
            drop.blobs.kill_after = None
        if drop.blobs.facts(naming.split_marker(drop.plan.analysis, GROUP)):
            break
    assert drop.data() == whole.data()
    assert drop.markers() == whole.markers()


def test_a_chunk_that_is_there_is_not_written_again() -> None:
    drop = make_drop()
    drop.split()
    before = len(drop.blobs.events)
    drop.split()
    assert len(drop.blobs.events) == before


def test_nothing_of_a_chunk_is_left_when_its_reads_are_faulty_half_way() -> None:
    drop = make_drop(fastq(30, 1) + b"@broken\nAC\n", fastq(40, 2))
    with pytest.raises(PermanentError, match=r"R1\.fastq\.gz is not valid FASTQ at .*read 31"):
        drop.split()
    assert list(drop.data()) == [naming.chunk_place(drop.plan.analysis, ChunkKey(GROUP, 1)).name]
    assert len(drop.markers()) == 1
    assert drop.blobs.facts(naming.split_marker(drop.plan.analysis, GROUP)) is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_without_reads_are_refused(pack: Any) -> None:
    drop = make_drop(pack(b""), pack(b""))
    with pytest.raises(
        PermanentError, match=rf"landing/{R1} and its mate hold no reads\. Upload the sequencer's files"
    ):
        drop.split()
    assert drop.markers() == []


def test_a_file_that_was_replaced_since_the_plan_is_not_read() -> None:
    drop = make_drop()
    drop.blobs.put(naming.landing_blob(R2), gzip.compress(fastq(READS, 2, letters="ACGT")))
    with pytest.raises(PermanentError, match="was replaced after the analysis was planned"):
        drop.split()
    assert drop.data() == {}


def test_a_file_that_is_gone_is_named() -> None:
    drop = make_drop()
    drop.blobs.remove(naming.landing_blob(R1))
    with pytest.raises(PermanentError, match=rf"landing/{R1} is not there any more\. Upload it again"):
        drop.split()


def test_a_whole_number_of_chunks_leaves_no_empty_one_at_the_end() -> None:
    drop = make_drop(fastq(40, 1), fastq(40, 2))
    drop.split()
    assert len(drop.data()) == 2
    assert drop.text() == make_text(40)


def test_a_marker_has_the_checksums_of_its_reads() -> None:
    drop = make_drop()
    drop.split()
    lines = drop.chunk_text(1).splitlines(keepends=True)
    records = [b"".join(lines[at : at + 4]) for at in range(0, len(lines), 4)]
    assert drop.chunk_marker(1).checksums == tuple(zlib.crc32(b"".join(records[mate::2])) for mate in (0, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"checksums": (1, 2)}, "20 of 20 templates, CRC-32"), ({"pairs": 500, "number": 6}, "10 of 500 templates")],
)
def test_a_chunk_that_does_not_read_as_it_was_checked_is_not_aligned(change: dict[str, Any], words: str) -> None:
    drop = make_drop()
    drop.split()
    marker = drop.chunk_marker(change.get("number", 1)).model_copy(update=change)
    assert marker.is_in_landing
    with (
        pytest.raises(TransientError, match=f"does not read as it did when it was checked: {words}"),
        open_in_landing(drop.plan, marker, drop.blobs) as stream,
    ):
        stream.read()
