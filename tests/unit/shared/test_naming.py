"""Names are made and parsed in one module, so each made name is parsed back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import naming
from shared.domain.ids import AnalysisId
from shared.domain.work import (
    RESULT_STAGES,
    AlignWork,
    CallWork,
    ChunkKey,
    RecalibrateWork,
    SplitWork,
    Stage,
    Step,
    StepWork,
    Work,
)
from shared.naming import BlobRef, MarkerRef

ANALYSIS = AnalysisId("0123456789abcdef01234567")
groups = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
numbers = st.integers(0, 99_999)
works = st.one_of(
    st.builds(AlignWork, st.builds(ChunkKey, groups, numbers)),
    st.builds(RecalibrateWork, numbers),
    st.builds(CallWork, numbers),
    st.builds(SplitWork, groups),
    st.builds(StepWork, st.sampled_from(Step)),
)


def parse(ref: BlobRef) -> MarkerRef | None:
    return naming.parse_marker(ref.container, ref.name)


@given(group=groups, number=numbers)
def test_a_chunks_markers_are_parsed_back(group: str, number: int) -> None:
    key = ChunkKey(group, number)
    assert parse(naming.chunk_marker(ANALYSIS, key)) == MarkerRef(
        ANALYSIS, Stage.CHUNK, read_group=group, number=number
    )
    assert parse(naming.aligned_marker(ANALYSIS, key)) == MarkerRef(
        ANALYSIS, Stage.ALIGNED, read_group=group, number=number
    )
    assert parse(naming.checkpoint_blob(ANALYSIS, group, number)) == MarkerRef(
        ANALYSIS, Stage.CHECKPOINT, read_group=group, number=number
    )
    assert parse(naming.split_marker(ANALYSIS, group)) == MarkerRef(ANALYSIS, Stage.SPLIT, read_group=group)


@given(number=numbers)
def test_a_shards_markers_are_parsed_back_and_its_data_are_none(number: int) -> None:
    recalibrated = MarkerRef(ANALYSIS, Stage.RECALIBRATED, number=number)
    assert parse(naming.recalibrated_marker(ANALYSIS, number)) == recalibrated
    assert parse(naming.called_marker(ANALYSIS, number)) == MarkerRef(ANALYSIS, Stage.CALLED, number=number)
    assert parse(naming.recalibration_table(ANALYSIS, number)) is None


@given(work=works, attempt=st.integers(0, 99))
def test_a_unit_of_work_is_parsed_back_from_its_failure_and_its_task(work: Work, attempt: int) -> None:
    ref = parse(naming.failure_record(ANALYSIS, work, attempt))
    assert ref == MarkerRef(ANALYSIS, Stage.FAILURE, number=attempt, work=work)
    task = naming.task_id(work, attempt)
    assert naming.parse_task_id(task) == (work, attempt)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", task)


@pytest.mark.parametrize("stage", RESULT_STAGES)
def test_a_results_marker_is_parsed_back(stage: Stage) -> None:
    ref = naming.result_marker("NA.1-b", ANALYSIS, stage)
    assert parse(ref) == MarkerRef(ANALYSIS, stage, sample="NA.1-b")


@given(number=st.integers(1, 999))
def test_a_retry_and_the_failure_of_its_round_are_parsed_back(number: int) -> None:
    assert parse(naming.retried_marker(ANALYSIS, number)) == MarkerRef(ANALYSIS, Stage.RETRIED, number=number)
    failed = MarkerRef(ANALYSIS, Stage.FAILED, sample="NA1", number=number)
    assert parse(naming.failed_marker("NA1", ANALYSIS, number)) == failed
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", naming.job_id(ANALYSIS, number))
    assert naming.job_id(ANALYSIS, number) != naming.job_id(ANALYSIS)


def test_the_failure_of_the_first_round_has_the_name_of_its_stage() -> None:
    assert naming.failed_marker("NA1", ANALYSIS, 0) == naming.result_marker("NA1", ANALYSIS, Stage.FAILED)


@pytest.mark.parametrize(
    "ref",
    [
        naming.chunk_data(ANALYSIS, ChunkKey("L1", 0)),
        naming.aligned_part(ANALYSIS, ChunkKey("L1", 0), 3),
        naming.called_data(ANALYSIS, 3, "vcf.gz"),
        naming.open_entry(ANALYSIS),
        naming.claim_blob(ANALYSIS, CallWork(1)),
        naming.intake_blob("NA1", "NA1", "ab"),
        naming.history_entry("run1", "NA1", ANALYSIS),
        naming.result_blob("gathered", ANALYSIS, naming.Result.QC),
        naming.order_blob("NA1"),
    ],
)
def test_what_is_no_marker_is_not_taken_for_one(ref: BlobRef) -> None:
    assert parse(ref) is None


def test_the_job_id_of_an_analysis_is_a_batch_id() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", naming.job_id(ANALYSIS))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("NA1/NA1_R1.fastq.gz", "NA1"),
        ("NA1/order.json", "NA1"),
        ("loose.fastq.gz", None),  # in no folder
        ("run1/project/a.fastq.gz", "run1"),  # however deep
        ("/a.fastq.gz", None),
    ],
)
def test_a_dropped_blob_belongs_to_the_folder_it_lies_in(name: str, folder: str | None) -> None:
    assert naming.landing_folder(name) == folder
