"""Whether a drop is complete, and what the lab is told while it is not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.intake import Complete, Dropped, Request, Waiting, inspect_drop, left_out, located, names_at_arrival
from shared.domain.reads import Pair
from shared.errors import PermanentError
from tests.factories import NOON, make_order

R1, R2 = "NA00001/NA00001_L1_R1.fastq.gz", "NA00001/NA00001_L1_R2.fastq.gz"
LATE = NOON + timedelta(minutes=5)


def dropped(name: str, *, minutes: int = 0, size: int = 10, content: str = "", tier: str = "hot") -> Dropped:
    return Dropped(name, size, content or f"md5:{name}", NOON + timedelta(minutes=minutes), tier)


def request(*there: Dropped, **fields: Any) -> Request:
    values: dict[str, Any] = {
        "folder": "NA00001",
        "order": make_order(),
        "arrived": NOON,
        "source": "NA00001/order.json",
        "upload": "1",
        "candidates": tuple(file.name for file in there),
        **fields,
    }
    return Request(**values)


def test_an_order_that_names_files_is_for_these_whatever_is_there() -> None:
    order = make_order(files=("NA00001_L1_R1.fastq.gz",))
    assert names_at_arrival(request(order=order), [dropped(R2)]) == (R1,)


def test_an_order_without_names_is_for_every_fastq_that_was_there_when_it_arrived() -> None:
    files = [dropped(R1, minutes=-1), dropped(R2, minutes=0), dropped("NA00001/NA00001_L2_R1.fastq.gz", minutes=1)]
    files.append(dropped("NA00001/notes.txt", minutes=-1))
    assert names_at_arrival(request(*files), files) == (R1, R2)


def test_a_complete_drop_gives_its_read_groups_and_when_the_last_part_came() -> None:
    outcome = inspect_drop(request(), [R1, R2], [dropped(R1), dropped(R2, minutes=3)])
    assert isinstance(outcome, Complete)
    assert outcome.received == NOON + timedelta(minutes=3)
    assert outcome.pairs == (Pair("L1", R1, R2),)
    assert outcome.inputs == ((outcome.files[R1], outcome.files[R2]),)
    assert outcome.files[R2].content == f"md5:{R2}"


@pytest.mark.parametrize(
    ("names", "there", "missing"),
    [
        ((R1, R2), (R1,), (R2,)),  # not uploaded yet
        ((R1,), (R1,), (R2,)),  # the order names one mate: the other is needed too
        ((R1, R2), (), (R1, R2)),
        ((R2,), (), (R1, R2)),
    ],
)
def test_what_is_missing_is_named(names: tuple[str, ...], there: tuple[str, ...], missing: tuple[str, ...]) -> None:
    outcome = inspect_drop(request(), names, [dropped(name) for name in there])
    assert isinstance(outcome, Waiting)
    assert outcome.missing == missing
    assert f"{len(missing)} of 2 files are missing" in outcome.reason
    for name in missing:
        assert name.removeprefix("NA00001/") in outcome.reason


def test_a_mate_that_came_after_an_order_without_names_belongs_to_it() -> None:
    outcome = inspect_drop(request(), [R1], [dropped(R1), dropped(R2, minutes=9)])
    assert isinstance(outcome, Complete)
    assert outcome.received == NOON + timedelta(minutes=9)


def test_an_order_without_any_files_says_what_to_upload() -> None:
    outcome = inspect_drop(request(), [], [])
    assert isinstance(outcome, Waiting)
    assert "none were in the folder when it arrived. Upload the FASTQ files, then" in outcome.reason


@pytest.mark.parametrize(
    ("names", "there", "message"),
    [
        (
            ("NA00001/NA00001.fastq.gz",),
            [dropped("NA00001/NA00001.fastq.gz")],
            r"landing/NA00001/NA00001\.fastq\.gz follows no known naming.*Name the files SAMPLE_S1_L001_R1_001",
        ),
        (
            (R1, R2),
            [dropped(R1, content="md5:same"), dropped(R2, content="md5:same")],
            r"have the same content \(10 bytes\)\. One of them was uploaded under a wrong name",
        ),
    ],
)
def test_a_drop_that_can_never_work_is_refused_with_what_to_do(
    names: tuple[str, ...], there: list[Dropped], message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        inspect_drop(request(), names, there)


def test_a_lane_uploaded_twice_under_two_names_is_refused() -> None:
    names = [R1, R2, R1.replace("L1", "L2"), R2.replace("L1", "L2")]
    there = [dropped(name, content=f"md5:{name[-10:]}") for name in names]
    with pytest.raises(PermanentError, match="have the same content"):
        inspect_drop(request(), names, there)


def test_two_empty_files_are_not_called_twins() -> None:
    there = [dropped(name, size=0, content="md5:d41d8cd98f00b204e9800998ecf8427e") for name in (R1, R2)]
    assert isinstance(inspect_drop(request(), [R1, R2], there), Complete)  # the split says they are empty


@given(
    lanes=st.integers(1, 4),
    minutes=st.lists(st.integers(0, 60), min_size=8, max_size=8),
    data=st.data(),
)
def test_the_outcome_does_not_depend_on_the_order_of_the_listing(
    lanes: int, minutes: list[int], data: st.DataObject
) -> None:
    names = [f"NA00001/NA00001_L{lane}_R{mate}.fastq.gz" for lane in range(lanes) for mate in (1, 2)]
    there = [dropped(name, minutes=at) for name, at in zip(names, minutes, strict=False)]
    expected = inspect_drop(request(), names, there)
    shuffled = inspect_drop(request(), data.draw(st.permutations(names)), data.draw(st.permutations(there)))
    assert shuffled == expected


def test_an_order_that_names_one_mate_is_refused_even_when_the_other_lies_there() -> None:
    # It may be left over from an earlier drop; the order must say that it means it.
    order = make_order(files=("NA00001_L1_R1.fastq.gz",))
    with pytest.raises(PermanentError, match=r"without its mate NA00001_L1_R2\.fastq\.gz\. Name both"):
        inspect_drop(request(order=order), [R1], [dropped(R1), dropped(R2)])


def test_index_reads_are_not_waited_for_and_told() -> None:
    index = dropped("NA00001/NA00001_L1_I1.fastq.gz")
    there = [dropped(R1), dropped(R2), index]
    outcome = inspect_drop(request(), [file.name for file in there], there)
    assert isinstance(outcome, Complete)
    assert outcome.pairs == (Pair("L1", R1, R2),)
    notes = left_out(request(*there), [file.name for file in there], there)
    assert notes == ("Left out, as index reads or reads of no sample: NA00001_L1_I1.fastq.gz.",)


def test_a_folder_of_index_reads_alone_waits() -> None:
    index = dropped("NA00001/NA00001_L1_I1.fastq.gz")
    assert isinstance(inspect_drop(request(index), [index.name], [index]), Waiting)


def test_what_came_after_an_order_without_names_is_told() -> None:
    there = [dropped(R1), dropped(R2), dropped("NA00001/NA00001_L2_R1.fq", minutes=1)]
    (note,) = left_out(request(*there), [R1, R2], there)
    assert note.startswith("Came after the order, which names no files: NA00001_L2_R1.fq. Upload the order again")


def foreseen(lane: int | None) -> tuple[str, str]:
    middle = f"_L{lane:03d}" if lane else ""
    return f"run1/NA00001_S1{middle}_R1_001.fastq.gz", f"run1/NA00001_S1{middle}_R2_001.fastq.gz"


@pytest.mark.parametrize(
    ("there", "expected_lanes", "awaited"),
    [
        ((), (1, 2), (1, 2)),  # the sheet came first
        ((1,), (1, 2), (2,)),
        ((1, 2), (1, 2), ()),
        ((None,), (1, 2), ()),  # one file for all lanes
        ((), (None,), (None,)),
    ],
)
def test_lanes_of_an_illumina_sheet_that_have_no_file_yet_are_waited_for_by_their_names(
    there: tuple[int | None, ...], expected_lanes: tuple[int | None, ...], awaited: tuple[int | None, ...]
) -> None:
    files = [dropped(name, minutes=-1) for lane in there for name in foreseen(lane)]
    wanted = request(*files, folder="run1", expected={lane: foreseen(lane) for lane in expected_lanes})
    names = names_at_arrival(wanted, files)
    assert set(names) == {file.name for file in files} | {name for lane in awaited for name in foreseen(lane)}


def test_a_foreseen_file_is_found_in_the_folder_of_its_project() -> None:
    r1, r2 = foreseen(1)
    below = dropped(r1.replace("run1/", "run1/project/"), minutes=5)
    wanted = request(below, folder="run1", expected={1: (r1, r2)})
    names = names_at_arrival(wanted, [below])
    assert located(wanted, names, [below]) == (below.name, r2)


def test_an_archived_file_cannot_be_read() -> None:
    outcome = inspect_drop(request(), [R1, R2], [dropped(R1), dropped(R2, tier="archive")])
    assert isinstance(outcome, Complete)
    with pytest.raises(PermanentError, match=r"L1_R2.* is in the archive tier.*Rehydrate it"):
        outcome.check_readable()
