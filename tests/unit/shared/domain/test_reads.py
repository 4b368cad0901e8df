"""FASTQ names and the read groups they form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.reads import (
    MAX_READ_GROUP_ID,
    InputFile,
    Origin,
    Pair,
    ReadGroup,
    label_of,
    make_read_groups,
    pair_up,
    read_group_id,
)
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
        ("NA1_1.fq.gz", "NA1_2.fq.gz", "RG1"),  # the SRA's and BGI's
        ("NA1_L01_1.fastq", "NA1_L01_2.fastq", "L01"),
        ("NA1_S1_L001_R1_002.fastq.gz", "NA1_S1_L001_R2_002.fastq.gz", "S1_L001_002"),  # a lane's second file
        ("NA1_R1.fastq.zst", "NA1_R2.fastq.zst", "RG1"),
    ],
)
def test_the_names_sequencers_give_are_paired(r1: str, r2: str, group: str) -> None:
    pairing = pair_up("NA1", [f"NA1/{r2}", f"NA1/{r1}"])
    assert pairing.pairs == (Pair(group, f"NA1/{r1}", f"NA1/{r2}"),)
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
        "NA1/NA1.fastq.gz",
        "NA1/NA1_R3.fastq.gz",
        "NA1/NA1_R1_2.fastq.gz",  # first mate, or second?
        "NA1/NA1_3.fastq.gz",
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
    assert sorted(name for pair in pairing.pairs for name in (pair.r1, pair.r2)) == sorted(whole)
    assert [pair.label for pair in pairing.pairs] == sorted(groups)
    assert sorted(pairing.missing) == sorted(name.replace("_R1_", "_R2_") for name in halves)
    completed = pair_up("NA1", [*whole, *halves, *pairing.missing])
    assert len(completed.pairs) == len(groups | half)
    assert completed.missing == ()


def test_index_reads_and_reads_of_no_sample_are_known_and_left_out() -> None:
    names = [
        f"NA1/{name}_001.fastq.gz"
        for name in ("NA1_S1_L001_R1", "NA1_S1_L001_R2", "NA1_S1_L001_I1", "NA1_S1_L001_I2", "Undetermined_S0_L001_R1")
    ]
    pairing = pair_up("NA1", names)
    assert [pair.label for pair in pairing.pairs] == ["S1_L001"]
    assert pairing.left_out == tuple(sorted(names[2:]))
    assert (pairing.missing, pairing.unreadable) == ((), ())


@pytest.mark.parametrize(
    ("sample", "names", "labels", "unreadable"),
    [
        ("X_1", ["X_1_1.fq.gz", "X_1_2.fq.gz"], ["RG1"], []),
        ("X_1", ["X_1_R1.fq.gz", "X_1_R2.fq.gz"], ["RG1"], []),
        # Of sample X_1 the only file, or the first mate of X? Nobody can know.
        ("X_1", ["X_1.fq.gz", "X_2.fq.gz"], [], ["X_1.fq.gz"]),
        ("X", ["X_1.fq.gz", "X_2.fq.gz"], ["RG1"], []),
        ("X_R1", ["X_R1_R1.fq.gz", "X_R1_R2.fq.gz"], ["RG1"], []),
        ("X_R1", ["X_R1.fq.gz", "X_R2.fq.gz"], [], ["X_R1.fq.gz"]),
        ("X_R1", ["X_R1_1.fq.gz", "X_R1_2.fq.gz"], [], ["X_R1_1.fq.gz", "X_R1_2.fq.gz"]),
    ],
)
def test_a_sample_named_like_a_mate_is_told_from_a_mate(
    sample: str, names: list[str], labels: list[str], unreadable: list[str]
) -> None:
    pairing = pair_up(sample, names)
    assert [pair.label for pair in pairing.pairs] == labels
    assert list(pairing.unreadable) == unreadable


def test_the_same_name_in_two_folders_is_two_pairs() -> None:
    names = [f"NA1/{run}/NA1_S1_L001_R{mate}_001.fastq.gz" for run in ("a", "b") for mate in (1, 2)]
    pairing = pair_up("NA1", names)
    assert [(pair.label, pair.r1) for pair in pairing.pairs] == [("S1_L001", names[0]), ("S1_L001", names[2])]


def groups_of(labels: list[str], origins: list[Origin]) -> tuple[ReadGroup, ...]:
    pairs = [Pair(label, f"NA1/{number}_1.fq", f"NA1/{number}_2.fq") for number, label in enumerate(labels)]
    files = {name: InputFile(name=name, size=1, content=name) for pair in pairs for name in (pair.r1, pair.r2)}
    return make_read_groups("NA1", pairs, files, {pair.r1: one for pair, one in zip(pairs, origins, strict=True)})


def origin(flowcell: str, lane: str, **fields: str) -> Origin:
    return Origin(flowcell=flowcell, lane=lane, index="ACGT", platform="ILLUMINA", **fields)


def test_what_the_reads_tell_is_in_the_read_group() -> None:
    (group,) = groups_of(["L1"], [origin("HX", "2", model="NovaSeq X")])
    assert (group.id, group.platform_unit, group.platform, group.model) == ("L1", "HX.2.ACGT", "ILLUMINA", "NovaSeq X")
    assert (group.library, group.files) == ("NA1", (group.r1, group.r2))


def test_reads_that_tell_nothing_are_a_unit_of_their_own() -> None:
    (group,) = groups_of(["L1"], [Origin()])
    assert (group.platform_unit, group.platform, group.model) == ("NA1.L1", "ILLUMINA", "")


def test_one_lane_number_of_two_flowcells_is_two_read_groups_named_by_their_flowcells() -> None:
    groups = groups_of(["L1", "L1", "L2"], [origin("HA", "1"), origin("HB", "1"), origin("HA", "2")])
    assert [(group.id, group.platform_unit) for group in groups] == [
        ("L1_HA", "HA.1.ACGT"),
        ("L1_HB", "HB.1.ACGT"),
        ("L2", "HA.2.ACGT"),
    ]


def test_two_files_of_one_lane_have_ids_of_their_own_and_one_unit() -> None:
    groups = groups_of(["L1", "L1"], [origin("HA", "1", first_read="a"), origin("HA", "1", first_read="b")])
    assert [(group.id, group.platform_unit) for group in groups] == [("L1_1", "HA.1.ACGT"), ("L1_2", "HA.1.ACGT")]


def test_a_lane_given_twice_is_known_by_its_first_read() -> None:
    with pytest.raises(PermanentError, match="begin with the same read: a lane was given twice"):
        groups_of(["L1", "L2"], [origin("HA", "1", first_read="a"), origin("HA", "1", first_read="a")])


@given(
    labels=st.lists(st.sampled_from(["L1", "l1", "L1_HA", "L1_1", "L2", "x" * 40]), min_size=1, max_size=6),
    flowcells=st.lists(st.sampled_from(["", "HA", "HB", "ha"]), min_size=6, max_size=6),
)
def test_read_group_ids_are_unique_without_regard_to_case_and_fit_a_task_id(
    labels: list[str], flowcells: list[str]
) -> None:
    groups = groups_of(labels, [Origin(flowcell=cell, lane="1") for cell in flowcells[: len(labels)]])
    ids = [group.id for group in groups]
    assert len({one.lower() for one in ids}) == len(labels)
    for one in ids:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", task_id(AlignWork(ChunkKey(one, 99_999)), 99))
    assert len({(group.r1.name, group.r2.name) for group in groups}) == len(labels)


@pytest.mark.parametrize(
    ("name", "lane", "label"),
    [
        ("run1/NA1_S1_L001_R1_001.fastq.gz", "L007", "S1_L001"),  # as in a folder of its own
        ("run1/reads.fastq.gz", "7", "7"),
        ("run1/reads.fastq.gz", "", "reads"),
        ("ä.fastq.gz", "", "-"),
    ],
)
def test_a_pair_that_a_sheet_names_has_the_label_of_its_name_or_else_the_sheets_lane(
    name: str, lane: str, label: str
) -> None:
    assert label_of("NA1", name, lane) == label
