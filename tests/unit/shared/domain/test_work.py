"""Units of work and their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.work import (
    RESULT_STAGES,
    AlignWork,
    CallWork,
    ChunkKey,
    JointWork,
    RecalibrateWork,
    SplitWork,
    Stage,
    Step,
    StepWork,
    Work,
    parse_work,
)
from shared.errors import PermanentError

groups = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
works = st.one_of(
    st.builds(AlignWork, st.builds(ChunkKey, groups, st.integers(0, 99_999))),
    st.builds(RecalibrateWork, st.integers(0, 99_999)),
    st.builds(CallWork, st.integers(0, 99_999)),
    st.builds(SplitWork, groups),
    st.builds(JointWork),
    st.builds(StepWork, st.sampled_from(Step)),
)


@given(work=works)
def test_a_unit_of_work_is_parsed_back_from_its_name(work: Work) -> None:
    assert parse_work(str(work)) == work


@given(one=works, other=works)
def test_two_units_of_work_never_share_a_name(one: Work, other: Work) -> None:
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize("name", ["", "align", "align-L1", "align-L1-7", "call-1", "call-000001x", "split-", "Gather"])
def test_a_name_of_no_work_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(PermanentError, match=f"'{name}' names no unit of work such as align-S1_L001-00000"):
        parse_work(name)


def test_every_step_ends_with_a_stage_of_the_results() -> None:
    # Told by gather, by an operator, by a cohort's task, by the reconciler.
    others = {Stage.FLAGGED, Stage.DECIDED, Stage.JOINED, Stage.FAILED}
    assert sorted(step.stage for step in Step) == sorted(set(RESULT_STAGES) - others)


def test_chunks_are_in_order_of_read_group_and_number() -> None:
    keys = [ChunkKey("L2", 0), ChunkKey("L1", 10), ChunkKey("L1", 9)]
    assert sorted(keys) == [ChunkKey("L1", 9), ChunkKey("L1", 10), ChunkKey("L2", 0)]
