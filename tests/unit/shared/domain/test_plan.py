"""The frozen plan and the id that everything which decides the results gives it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain import plan as plan_module
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from tests.factories import NOON, make_manifest, make_order, make_plan, make_read_group


def freeze(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "order": make_order(),
        "received": NOON,
        "read_groups": (make_read_group("L1"), make_read_group("L2")),
        "manifest": make_manifest(),
        "settings": ResultSettings(),
        "layout": Layout(),
        **changes,
    }
    return freeze_plan(**values)


def test_an_id_is_24_hex_digits_and_stays_the_same_from_release_to_release() -> None:
    # Changes only with RESULTS_VERSION or with the fields that decide the results: running analyses would be redone.
    assert freeze().analysis == freeze().analysis
    assert len(freeze().analysis) == 24
    assert int(freeze().analysis, 16)


@given(
    chunks=st.integers(1, 50),
    shard_bp=st.integers(1, 10**8),
    large=st.integers(0, 10**12),
    seconds=st.integers(0, 10**6),
)
def test_layout_and_time_do_not_change_the_id(chunks: int, shard_bp: int, large: int, seconds: int) -> None:
    layout = Layout(chunk_pairs=chunks * 20_000, shard_bp=shard_bp, large_input_bytes=large)
    assert freeze(layout=layout, received=NOON + timedelta(seconds=seconds)).analysis == freeze().analysis


def changed_file(**change: Any) -> tuple[Any, ...]:
    group = make_read_group("L2")
    return (make_read_group("L1"), group.model_copy(update={"r2": group.r2.model_copy(update=change)}))


@pytest.mark.parametrize(
    "changes",
    [
        {"order": make_order("NA00002")},
        {"order": make_order(patient={"reference": "Patient/2"})},
        {"order": make_order(test={"code": "other", "display": "Demo panel"})},
        {"order": make_order(specimen={"type": "SAL"})},
        {"order": make_order(requisition={"system": "urn:x", "value": "2"})},
        {"read_groups": (make_read_group("L1"),)},
        {"read_groups": changed_file(content="md5:other")},
        {"read_groups": changed_file(size=1_001)},
        {"read_groups": changed_file(name="NA00001/NA00001_L2_R2.fq.gz")},
        {"manifest": make_manifest((("chr1", 1_001), ("chr2", 600)))},
        {"manifest": make_manifest(versions={"genes": "demo 2"})},
        {"manifest": make_manifest(name="demo-2")},
        {"settings": ResultSettings(batch_pairs=10_000)},
        {"settings": ResultSettings(halo_bp=3_000)},
    ],
)
def test_whatever_decides_the_results_changes_the_id(changes: dict[str, Any]) -> None:
    assert freeze(**changes).analysis != freeze().analysis


def test_a_new_version_of_the_results_changes_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = freeze().analysis
    monkeypatch.setattr(plan_module, "RESULTS_VERSION", plan_module.RESULTS_VERSION + 1)
    assert freeze().analysis != before


@given(contents=st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=2, unique=True))
def test_any_two_contents_give_two_ids(contents: list[str]) -> None:
    one, other = (freeze(read_groups=(make_read_group("L1", content=content),)).analysis for content in contents)
    assert one != other


def test_the_same_orders_in_another_spelling_are_one() -> None:
    spelled = make_order(specimen={"type": "BLD"}, options={"caller": "bcftools"}, files=None)
    assert freeze(order=spelled).analysis == freeze().analysis


def test_a_plan_is_read_back_from_its_json() -> None:
    plan = make_plan(groups=("L1", "L2"))
    assert Plan.model_validate_json(plan.to_json()) == plan
    assert Plan.model_validate_json(plan.to_json()).to_json() == plan.to_json()


def test_a_chunk_that_is_no_whole_number_of_batches_is_refused() -> None:
    with pytest.raises(ValidationError, match="chunk_pairs 25 is no multiple of batch_pairs 10"):
        make_plan(batch_pairs=10, chunk_pairs=25)


def test_a_sample_is_large_from_the_limit_on() -> None:
    assert make_plan().input_bytes == 2_000
    assert make_plan(large_input_bytes=2_000).is_large
    assert not make_plan(large_input_bytes=2_001).is_large


def test_where_gatk_is_cut_decides_its_results_and_the_layout_does_not() -> None:
    gatk = {"caller": "gatk"}
    wide, fine = (make_plan(options=gatk, gatk_shard_bp=1_000, shard_bp=shard_bp) for shard_bp in (1_000, 500))
    assert wide.analysis == fine.analysis
    assert wide.shards == fine.shards
    other = make_plan(options=gatk, gatk_shard_bp=500)
    assert len(other.shards) > len(wide.shards)
    assert other.analysis != wide.analysis


def test_the_shards_of_a_plan_follow_its_layout() -> None:
    plan = make_plan(contigs=(("chr1", 1_000), ("chr2", 600)), shard_bp=500)
    assert [shard.length for shard in plan.shards] == [500, 500, 500, 100]
    assert [contig.name for contig in plan.contigs] == ["chr1", "chr2"]


def test_orders_without_single_end_keep_their_ids_and_single_end_gives_another() -> None:
    assert "single_end" not in plan_module._defaults_of_newer_fields(make_order(single_end=True))
    assert plan_module._defaults_of_newer_fields(make_order()) == {"single_end"}
    assert freeze(order=make_order(single_end=False)).analysis == freeze().analysis
    assert freeze(order=make_order(single_end=True)).analysis != freeze().analysis


def test_files_without_mates_are_another_analysis_than_pairs() -> None:
    single = make_read_group("L2").model_copy(update={"r2": None})
    assert freeze(read_groups=(make_read_group("L1"), single)).analysis != freeze().analysis


def test_a_chunk_holds_twice_as_many_single_end_reads_as_pairs() -> None:
    plan = make_plan(chunk_pairs=20)
    pairs = plan.read_groups[0]
    assert (plan.chunk_templates(pairs), pairs.unit) == (20, "read pairs")
    single = pairs.model_copy(update={"r2": None})
    assert (plan.chunk_templates(single), single.unit, single.is_single_end) == (40, "single-end reads", True)
