"""FASTQ names and the read groups they form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.reads import MAX_READ_GROUP_ID, is_fastq, pair_up, read_group_id
from shared.domain.work import AlignWork, ChunkKey
from shared.errors import PermanentError
from shared.naming import task_id

lanes = st.from_regex(r"S[0-9]{1,2}_L[0-9]{3}", fullmatch=True)


@pytest.mark.parametrize(
    ("r1", "r2", "group"),
    [
        ("NA1_S1_L001_R1_001.fastq.gz", "NA1_S1_L001_R2_001.fastq.gz", "S1_L001"),  # bcl2fastq
        ("NA1_R1.fastq.gz", "NA1_R2.fastq.gz", "RG1"),  # shortest form
        ("NA1_R1.fq", "NA1_R2.fq", "RG1"),  # not compressed
        ("NA1_L002_R1.fq.gz", "NA1_L002_R2.fq.gz", "L002"),
        ("NA1.runA_R1.fastq.gz", "NA1.runA_R2.fastq.gz", "runA"),
        ("other_R1.fastq.gz", "other_R2.fastq.gz", "other"),  # not named after the sample
        ("NA1_lane 1_R1.fastq.gz", "NA1_lane 1_R2.fastq.gz", "lane-1"),  # made safe for SAM and Batch
        ("NA1_R1_x_R1.fastq.gz", "NA1_R1_x_R2.fastq.gz", "R1_x"),  # the last R1 is the mate
    ],
)
def test_the_names_sequencers_give_are_paired(r1: str, r2: str, group: str) -> None:
    pairing = pair_up("NA1", [f"NA1/{r2}", f"NA1/{r1}"])
    assert pairing.pairs == ((group, f"NA1/{r1}", f"NA1/{r2}"),)
    assert pairing.missing == ()
    assert pairing.unreadable == ()


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("NA1/NA1_S1_L001_R1_001.fastq.gz", "NA1/NA1_S1_L001_R2_001.fastq.gz"),
        ("NA1/NA1_R2.fq", "NA1/NA1_R1.fq"),
        ("NA1_R1.fastq.gz", "NA1_R2.fastq.gz"),  # no folder
        ("NA1/NA1_R1_b_R2.fastq.gz", "NA1/NA1_R1_b_R1.fastq.gz"),
    ],
)
def test_the_missing_mate_is_named(there: str, missing: str) -> None:
    pairing = pair_up("NA1", [there])
    assert pairing.pairs == ()
    assert pairing.missing == (missing,)


@pytest.mark.parametrize(
    "name",
    [
        "NA1/NA1_1.fastq.gz",
        "NA1/NA1.fastq.gz",
        "NA1/NA1_R3.fastq.gz",
        "NA1/NA1_I1_001.fastq.gz",  # index reads
        "NA1/_R1.fastq.gz",  # no stem
    ],
)
def test_a_name_outside_the_convention_is_told_as_it_is(name: str) -> None:
    assert pair_up("NA1", [name]).unreadable == (name,)


def test_two_files_for_one_mate_are_refused() -> None:
    with pytest.raises(PermanentError, match=r"would both be R1 of read group L1\. Rename one"):
        pair_up("NA1", ["NA1/NA1_L1_R1.fastq.gz", "NA1/NA1_L1_R1_001.fastq.gz"])


def test_read_groups_that_differ_in_case_only_are_refused_because_batch_would_run_one_task_for_both() -> None:
    names = [f"NA1/NA1_{lane}_R{mate}.fastq.gz" for lane in ("L1", "l1") for mate in (1, 2)]
    with pytest.raises(PermanentError, match="Read groups L1 and l1 differ in upper and lower case only"):
        pair_up("NA1", names)


def test_a_read_group_id_that_no_task_id_could_hold_is_refused() -> None:
    longest = "x" * MAX_READ_GROUP_ID
    assert read_group_id("NA1", f"NA1_{longest}") == longest
    with pytest.raises(PermanentError, match=r"longer than 40 characters.*Use Illumina's names"):
        read_group_id("NA1", f"NA1_{longest}x")


@given(sample=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), stem=st.text(max_size=60))
def test_every_read_group_id_fits_into_a_task_id(sample: str, stem: str) -> None:
    try:
        group = read_group_id(sample, stem)
    except PermanentError as error:
        assert "too long" in str(error)  # noqa: PT017 - either outcome is right
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", task_id(AlignWork(ChunkKey(group, 99_999)), 99))


@given(groups=st.sets(lanes, min_size=1, max_size=5), half=st.sets(lanes, max_size=3), data=st.data())
def test_every_name_is_in_exactly_one_pair_or_waits_for_its_mate(
    groups: set[str], half: set[str], data: st.DataObject
) -> None:
    half -= groups
    whole = [f"NA1/NA1_{group}_R{mate}_001.fastq.gz" for group in groups for mate in (1, 2)]
    halves = [f"NA1/NA1_{group}_R1_001.fastq.gz" for group in half]
    pairing = pair_up("NA1", data.draw(st.permutations(whole + halves)))
    assert sorted(name for _, r1, r2 in pairing.pairs for name in (r1, r2)) == sorted(whole)
    assert [group for group, _, _ in pairing.pairs] == sorted(groups)
    assert sorted(pairing.missing) == sorted(name.replace("_R1_", "_R2_") for name in halves)
    completed = pair_up("NA1", [*whole, *halves, *pairing.missing])
    assert len(completed.pairs) == len(groups | half)
    assert completed.missing == ()


@pytest.mark.parametrize(
    ("name", "answer"),
    [("a.fastq.gz", True), ("a.fq", True), ("a.fastq.bz2", False), ("order.json", False), ("fastq.gz.md5", False)],
)
def test_a_fastq_is_known_by_its_ending(name: str, answer: bool) -> None:
    assert is_fastq(name) is answer
