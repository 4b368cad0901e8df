"""The split of single-end reads: the same chunks whatever the budget, and wherever it was killed."""

import gzip
from datetime import timedelta
from typing import Any

import pytest

from shared import naming
from shared.domain.markers import SplitMarker
from shared.domain.reads import InputFile, ReadGroup
from shared.errors import PermanentError
from shared.steps import split
from tests.factories import make_plan
from tests.fakes import FakeBlobs, FakeClock, Killed
from tests.fastq_text import fastq
from tests.unit.shared.steps.test_split import GROUP, R1, Drop

READS = 131  # of 40 a chunk (20 pairs would be one): three whole chunks and one of 11 reads
CHUNKS = 4


def make_drop(data: bytes | None = None, *, tick: float = 0.001) -> Drop:
    clock = FakeClock(tick=timedelta(seconds=tick))
    blobs = FakeBlobs(clock)
    facts = blobs.put(naming.landing_blob(R1), gzip.compress(fastq(READS, 1)) if data is None else data)
    file = InputFile(name=R1, size=facts.size, content=facts.content)
    group = ReadGroup(id=GROUP, r1=file, library="NA00001", platform_unit="NA00001.L1")
    return Drop(blobs, make_plan(chunk_pairs=20).model_copy(update={"read_groups": (group,)}), clock)


@pytest.fixture(scope="module")
def whole() -> Drop:
    drop = make_drop()
    drop.split()
    return drop


def test_chunks_hold_every_read_once_in_order(whole: Drop) -> None:
    assert whole.text() == fastq(READS, 1)
    end = SplitMarker.model_validate_json(whole.blobs.read(naming.split_marker(whole.plan.analysis, GROUP)))
    assert (end.chunks, end.pairs) == (CHUNKS, READS)
    markers = [whole.chunk_marker(number) for number in range(CHUNKS)]
    assert [(marker.first_pair, marker.pairs) for marker in markers] == [(0, 40), (40, 40), (80, 40), (120, 11)]
    assert (markers[1].first_name, markers[1].last_name) == ("M1:7:40", "M1:7:79")


def test_chunks_far_from_any_place_are_copied(whole: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "NEAR_BYTES", -1)
    drop = make_drop()
    drop.split()
    assert [drop.chunk_marker(number).is_in_landing for number in range(CHUNKS)] == [True] + [False] * (CHUNKS - 1)
    assert drop.text() == whole.text()


def test_a_split_that_goes_on_from_every_checkpoint_gives_the_same_blobs(whole: Drop) -> None:
    drop = make_drop(tick=1)
    for number in range(CHUNKS):
        drop.split(next_chunk=number, budget=0)
    assert drop.data() == whole.data()
    assert drop.markers() == whole.markers()


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


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_without_reads_is_refused(pack: Any) -> None:
    with pytest.raises(PermanentError, match=rf"landing/{R1} holds no reads\. Upload the sequencer's files"):
        make_drop(pack(b"")).split()


def test_second_mates_are_refused_by_their_names() -> None:
    with pytest.raises(PermanentError, match=r"is not single-end: read 1 \('M1:7:0'\) is a second mate"):
        make_drop(fastq(9, 2)).split()
