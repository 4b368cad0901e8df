"""Drops: complete in any order of arrival, refused with words a technician can act on, never started twice."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import naming
from shared.domain.ids import AnalysisId
from shared.domain.markers import FailedMarker
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.reference import BundleFile, Role
from shared.domain.work import Stage
from shared.errors import TransientError
from shared.naming import Container
from shared.steps.ingest import Drop, ingest, look_at_folder
from shared.steps.landing import MAX_ORDER_BYTES
from tests.drops import SAMPLE, drop_fastq, drop_order, fastq_blob, install_bundle
from tests.factories import make_manifest, make_order
from tests.fakes import Killed, World

SETTINGS = ResultSettings(batch_pairs=10)
LAYOUT = Layout(chunk_pairs=20, shard_bp=500)


@pytest.fixture
def world() -> World:
    return new_world()


def new_world() -> World:
    world = World()
    world.clock.tick = timedelta(seconds=1)  # no two uploads have one time
    install_bundle(world.blobs)
    return world


def look(world: World, told: list[AnalysisId] | None = None) -> Drop:
    (drop,) = ingest(SAMPLE, world.services, SETTINGS, LAYOUT, (told if told is not None else []).append)
    return drop


def plans(world: World) -> list[str]:
    return [name for name in world.blobs.names(Container.WORK) if name.endswith("/plan.json")]


def open_entries(world: World) -> list[str]:
    return world.blobs.names(Container.WORK, naming.OPEN_PREFIX)


def drop_all(world: World, *lanes: str) -> None:
    for lane in lanes:
        for mate in (1, 2):
            drop_fastq(world.blobs, lane, mate)


def refusal(world: World) -> FailedMarker:
    (name,) = [name for name in world.blobs.names(Container.RESULTS) if name.endswith("/failed.json")]
    return FailedMarker.model_validate_json(world.blobs.read(naming.BlobRef(Container.RESULTS, name)))


# --- complete ----------------------------------------------------------------------------------------------


def test_a_complete_drop_leaves_its_plan_after_its_index_entry(world: World) -> None:
    drop_all(world, "L1", "L2")
    drop_order(world.blobs, "L1", "L2")
    drop = look(world)
    assert drop.plan is not None
    plan = Plan.model_validate_json(world.blobs.read(naming.plan_blob(drop.plan.analysis)))
    assert plan == drop.plan
    assert [group.id for group in plan.read_groups] == ["L1", "L2"]
    assert (plan.settings, plan.layout) == (SETTINGS, LAYOUT)
    written = [ref for ref in world.blobs.events if ref.container is Container.WORK]
    assert written[-3:] == [
        naming.history_entry(SAMPLE, SAMPLE, plan.analysis),
        naming.open_entry(plan.analysis),
        naming.plan_blob(plan.analysis),
    ]
    assert world.blobs.read(naming.open_entry(plan.analysis)) == SAMPLE.encode()


@settings(deadline=None)  # the first look loads what unpacks reads
@given(order=st.permutations(["order", "L1-1", "L1-2", "L2-1", "L2-2"]), looks=st.sets(st.integers(0, 4)))
def test_any_order_of_arrival_gives_one_analysis(order: list[str], looks: set[int]) -> None:
    reference = new_world()
    drop_all(reference, "L1", "L2")
    drop_order(reference.blobs, "L1", "L2")
    expected = look(reference).plan
    world = new_world()
    for number, part in enumerate(order):
        if part == "order":
            drop_order(world.blobs, "L1", "L2")
        else:
            drop_fastq(world.blobs, part[:2], int(part[3]))
        if number in looks:  # events may come after each upload, or be lost
            look(world)
    drop = look(world)
    assert drop.plan is not None
    assert expected is not None
    assert drop.plan.analysis == expected.analysis
    assert len(plans(world)) == len(open_entries(world)) == 1


def test_looking_again_at_the_same_drop_writes_nothing(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    look(world)
    before = len(world.blobs.events)
    look(world)
    assert len(world.blobs.events) == before


@pytest.mark.parametrize("is_named", [True, False])
def test_the_same_files_and_order_uploaded_again_are_the_same_analysis(world: World, is_named: bool) -> None:
    lanes = ("L1",) if is_named else ()
    for _ in range(2):
        drop_all(world, "L1")
        drop_order(world.blobs, *lanes)
        look(world)
    assert len(plans(world)) == 1


def test_a_replaced_file_makes_a_new_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert first.analysis != second.analysis
    assert len(plans(world)) == 2


def test_a_plan_whose_writer_died_after_the_index_entry_is_written_by_the_next_look(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    world.blobs.kill_after = 4  # the frozen list of files and definition of the test, the two index entries
    with pytest.raises(Killed):
        look(world)
    assert plans(world) == []
    assert len(open_entries(world)) == 1
    world.blobs.kill_after = None
    look(world)
    assert len(plans(world)) == 1


def test_files_of_other_folders_and_deeper_ones_are_not_looked_at(world: World) -> None:
    drop_all(world, "L1")
    drop_fastq(world.blobs, "L1", 1, sample="NA00001x")
    world.blobs.put(naming.landing_blob(f"{SAMPLE}/old/NA00001_L9_R1.fastq.gz"), b"x")
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1"]


# --- an order that names no files --------------------------------------------------------------------------


def test_an_order_without_files_is_frozen_to_what_was_there_when_it_arrived(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    drop_all(world, "L2")  # before any event was seen
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1"]
    drop_all(world, "L3")  # and after
    look(world)
    assert len(plans(world)) == 1


def test_an_order_uploaded_again_is_for_what_is_there_then(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    look(world)
    drop_all(world, "L2")
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1", "L2"]


def test_a_drop_repeated_with_its_order_first_is_the_same_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_all(world, "L2")
    drop_order(world.blobs)
    first = look(world).plan
    drop_order(world.blobs)
    drop_all(world, "L1")  # the same bytes with a later time than the order's, before any event is seen
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.analysis == first.analysis


def test_an_order_before_any_file_waits_and_starts_when_uploaded_again_after_them(world: World) -> None:
    drop_order(world.blobs)
    assert "The order names no files and none were in the folder" in look(world).waiting
    drop_all(world, "L1")
    assert look(world).plan is None
    drop_order(world.blobs)
    assert look(world).plan is not None


def test_files_renamed_after_a_refusal_are_taken_when_the_same_order_is_uploaded_again(world: World) -> None:
    wrong = [naming.landing_blob(f"{SAMPLE}/{SAMPLE}-{mate}.fastq.gz") for mate in (1, 2)]
    for ref in wrong:
        world.blobs.put(ref, ref.name.encode())
    drop_order(world.blobs)
    assert "follows no known naming" in look(world).refused
    for ref in wrong:
        world.blobs.remove(ref)
    drop_all(world, "L1")
    drop_order(world.blobs)
    assert look(world).plan is not None


def test_the_status_page_freezes_nothing(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    before = len(world.blobs.events)
    (drop,) = look_at_folder(SAMPLE, world.services, SETTINGS, LAYOUT)
    assert drop.plan is not None
    assert len(world.blobs.events) == before


# --- waiting -----------------------------------------------------------------------------------------------


def test_files_without_an_order_wait_and_tell_which_mates_are_missing(world: World) -> None:
    drop_all(world, "L1")
    drop_fastq(world.blobs, "L2", 1)
    drop = look(world)
    assert drop.waiting == (
        "3 FASTQ files are there, landing/NA00001/order.json is not. The analysis starts when the order is uploaded. "
        "Mates missing: NA00001_L2_R2.fastq.gz."
    )


def test_files_that_cannot_be_paired_say_so_while_the_order_is_awaited(world: World) -> None:
    for suffix in ("_R1.fastq.gz", "_R1_001.fastq.gz"):
        world.blobs.put(naming.landing_blob(f"{SAMPLE}/{SAMPLE}_L1{suffix}"), suffix.encode())
    drop = look(world)
    assert "They cannot be paired: " in drop.waiting
    assert "would both be R1 of read group L1" in drop.waiting


def test_an_order_with_files_missing_waits_for_them_and_writes_no_plan(world: World) -> None:
    drop_order(world.blobs, "L1")
    drop_fastq(world.blobs, "L1", 1)
    drop = look(world)
    assert drop.missing == (fastq_blob("L1", 2).name,)
    assert "1 of 2 files are missing: NA00001_L1_R2.fastq.gz" in drop.waiting
    assert plans(world) == []


# --- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (b"{", "is not JSON: "),
        (json.dumps({"sample": SAMPLE}).encode(), "is not a valid order: patient: Field required"),
        (b" " * (MAX_ORDER_BYTES + 1), "an order has at most 1,048,576. Is it another file under this name?"),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_under_results(world: World, order: bytes, message: str) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), order)
    drop = look(world)
    marker = refusal(world)
    assert message in marker.message
    assert marker.message == drop.refused
    assert "docs/order.schema.json" in marker.message
    assert (marker.sample, marker.work, marker.analysis) == (SAMPLE, "ingest", drop.refused_id)
    assert plans(world) == []


def test_a_bundle_that_is_not_installed_is_named_with_those_that_are(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", reference="grch38")
    look(world)
    text = refusal(world).message
    assert "Reference bundle 'grch38' is not installed (installed: demo)" in text
    assert "Correct `reference` in the order, or install the bundle" in text


def test_recalibration_on_a_bundle_without_known_sites_is_refused_and_calling_without_it_is_not(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", options={"caller": "gatk"})
    look(world)
    text = refusal(world).message
    assert "reference bundle 'demo' has no known sites" in text
    assert "`./run reference make --known-sites`" in text
    assert "set `recalibrate` to false" in text
    drop_order(world.blobs, "L1", options={"caller": "gatk", "recalibrate": False})
    assert look(world).plan is not None


def test_recalibration_on_a_bundle_with_known_sites_is_planned(world: World) -> None:
    files = (*make_manifest().files, BundleFile(path="k.vcf.gz", role=Role.KNOWN_SITES, size=1, sha256="0" * 64))
    world.blobs.put(naming.manifest_blob("demo"), make_manifest(files=files).to_json())
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", options={"caller": "gatk"})
    plan = look(world).plan
    assert plan is not None
    assert plan.order.options.recalibrates


def test_a_bundle_installed_after_the_refusal_starts_the_same_drop(world: World) -> None:
    world.blobs.remove(naming.manifest_blob("demo"))
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert "(installed: none)" in look(world).refused
    install_bundle(world.blobs)
    assert look(world).plan is not None


def test_a_manifest_that_cannot_be_read_is_refused(world: World) -> None:
    world.blobs.put(naming.manifest_blob("demo"), b"{}")
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert "reference/demo/manifest.json is no valid manifest" in look(world).refused


def test_a_refusal_is_told_once_and_before_it_is_filed(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    told: list[AnalysisId] = []

    def break_down(refused: AnalysisId) -> None:
        raise Killed(refused)

    with pytest.raises(Killed):  # the topic does not answer: the next look tells
        ingest(SAMPLE, world.services, SETTINGS, LAYOUT, break_down)
    assert world.blobs.names(Container.RESULTS) == []
    for _ in range(3):
        look(world, told)
    assert told == [refusal(world).analysis]


def test_a_corrected_order_starts_after_a_refusal_and_the_refusal_stays_on_file(world: World) -> None:
    drop_all(world, "L1")
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    look(world)
    drop_order(world.blobs, "L1")
    assert look(world).plan is not None
    assert "is not JSON" in refusal(world).message


def test_another_fault_is_another_refusal(world: World) -> None:
    for data in (b"{", b"["):
        world.blobs.put(naming.order_blob(SAMPLE), data)
        look(world)
    assert len(world.blobs.names(Container.RESULTS)) == 2


def test_a_refusal_lies_where_a_failed_analysis_does(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    drop = look(world)
    assert drop.refused_id is not None
    assert world.blobs.facts(naming.result_marker(SAMPLE, drop.refused_id, Stage.FAILED)) is not None


def test_only_the_look_that_starts_or_refuses_is_news(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    assert [look(world).is_news for _ in range(2)] == [True, False]
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert [look(world).is_news for _ in range(2)] == [True, False]


# --- what the reads tell -----------------------------------------------------------------------------------


def reads(mate: int, *, flowcell: str = "HXXX", lane: int = 1, x: int = 5) -> bytes:
    """A FASTQ file of one read."""
    return f"@A00123:8:{flowcell}:{lane}:1101:{x}:7 {mate}:N:0:ACGT+TTGA\nACGT\n+\nFFFF\n".encode()


def put(world: World, name: str, data: bytes) -> None:
    world.blobs.put(naming.landing_blob(f"{SAMPLE}/{name}"), data)


def test_read_groups_say_flowcell_lane_index_and_model(world: World) -> None:
    for lane in (1, 2):
        for mate in (1, 2):
            drop_fastq(world.blobs, f"L{lane}", mate, data=reads(mate, lane=lane))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit, group.model) for group in plan.read_groups] == [
        ("L1", "HXXX.1.ACGT+TTGA", "NovaSeq 6000"),
        ("L2", "HXXX.2.ACGT+TTGA", "NovaSeq 6000"),
    ]


def test_only_a_plan_that_is_not_there_yet_costs_a_look_into_the_files(world: World) -> None:
    drop_all(world, "L1", "L2")
    drop_order(world.blobs)
    look(world)
    first = [ref.name for ref in world.blobs.heads]
    assert first == [fastq_blob("L1", 1).name, fastq_blob("L2", 1).name]
    look(world)
    assert len(world.blobs.heads) == len(first)


def test_the_same_name_and_lane_of_two_flowcells_is_two_read_groups(world: World) -> None:
    files = [
        (f"{run}/{SAMPLE}_S1_L001_R{mate}_001.fastq.gz", reads(mate, flowcell=flowcell))
        for run, flowcell in (("run1", "HAAA"), ("run2", "HBBB"))
        for mate in (1, 2)
    ]
    for name, data in files:
        put(world, name, data)
    world.blobs.put(naming.order_blob(SAMPLE), make_order(files=tuple(name for name, _ in files)).to_json())
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit) for group in plan.read_groups] == [
        ("S1_L001_HAAA", "HAAA.1.ACGT+TTGA"),
        ("S1_L001_HBBB", "HBBB.1.ACGT+TTGA"),
    ]


def test_two_files_of_one_lane_are_two_read_groups_of_one_unit(world: World) -> None:
    for part in (1, 2):
        for mate in (1, 2):
            put(world, f"{SAMPLE}_S1_L001_R{mate}_00{part}.fastq.gz", reads(mate, x=part))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit) for group in plan.read_groups] == [
        ("S1_L001", "HXXX.1.ACGT+TTGA"),
        ("S1_L001_002", "HXXX.1.ACGT+TTGA"),
    ]


def test_a_lane_given_twice_in_other_bytes_is_refused(world: World) -> None:
    for lane, end in (("L1", b""), ("L2", b"\n")):
        for mate in (1, 2):
            drop_fastq(world.blobs, lane, mate, data=reads(mate) + end)
    drop_order(world.blobs)
    assert "begin with the same read: a lane was given twice" in look(world).refused


def test_a_file_that_tells_nothing_is_left_to_the_split(world: World) -> None:
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate, data=b"\x1f\x8bbroken" + bytes([mate]))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.platform_unit for group in plan.read_groups] == [f"{SAMPLE}.L1"]


def test_a_file_replaced_between_listing_and_reading_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    head = world.blobs.head

    def replaced_first(ref: naming.BlobRef, size: int, content: str) -> bytes:
        monkeypatch.setattr(world.blobs, "head", head)
        drop_fastq(world.blobs, "L1", 1, data=b"better reads")
        return head(ref, size, content)

    monkeypatch.setattr(world.blobs, "head", replaced_first)
    with pytest.raises(TransientError, match="has changed since its folder was listed"):
        look(world)
    assert plans(world) == []
    plan = look(world).plan  # the queue delivers the event again
    assert plan is not None
    assert plan.follows is None  # the first version was never analysed


# --- after an analysis began -------------------------------------------------------------------------------


def test_an_analysis_of_a_replaced_file_follows_the_one_before_it(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    second = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"still better reads")
    third = look(world).plan
    assert first is not None
    assert second is not None
    assert third is not None
    assert [plan.follows for plan in (first, second, third)] == [None, first.analysis, second.analysis]
    frozen = look(world).plan
    assert frozen == third  # a further look changes nothing


def test_a_lane_that_comes_later_waits_for_the_order_to_be_uploaded_again(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    first = look(world).plan
    drop_all(world, "L2")
    late = look(world)
    assert late.plan == first
    assert "Came after the order, which names no files: NA00001_L2_R1.fastq.gz" in " ".join(late.notes)
    drop_order(world.blobs)
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.follows == first.analysis
    assert [group.id for group in second.read_groups] == ["L1", "L2"]


def test_an_order_that_refuses_late_files_begins_no_second_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    assert first is not None
    drop_all(world, "L2")
    assert look(world).plan == first
    drop_order(world.blobs, late_files="refuse")
    drop = look(world)
    assert f"are not those with which analysis {first.analysis} has begun" in drop.refused
    assert refusal(world).message == drop.refused
    drop_order(world.blobs)  # the way out that the message names
    second = look(world).plan
    assert second is not None
    assert second.follows == first.analysis


def test_a_changed_order_for_the_same_files_is_no_late_file(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    drop_order(world.blobs, late_files="refuse", test={"code": "other", "display": "Other"})
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.follows == first.analysis


def test_the_policy_for_late_files_is_no_part_of_the_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    drop_order(world.blobs)
    assert look(world).plan == first


def test_files_put_back_are_the_analysis_that_they_were(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", late_files="refuse")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"other reads")
    assert look(world).refused
    drop_fastq(world.blobs, "L1", 2)
    assert look(world).plan == first


def test_an_analysis_that_was_never_planned_is_not_followed(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    world.blobs.kill_after = 3  # all but the plan
    with pytest.raises(Killed):
        look(world)
    world.blobs.kill_after = None
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    plan = look(world).plan
    assert plan is not None
    assert plan.follows is None


def test_files_that_were_archived_after_their_analysis_are_no_fault_and_those_archived_before_it_are(
    world: World,
) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    plan = look(world).plan
    world.blobs.set_tier(fastq_blob("L1", 1), "Archive")
    assert look(world).plan == plan
    drop_order(world.blobs, "L1", test={"code": "other", "display": "Other"})
    assert "is in the archive tier and cannot be read" in look(world).refused


@settings(deadline=None)
@given(looks=st.sets(st.integers(0, 7)))
def test_whenever_events_are_seen_each_upload_of_an_order_is_for_what_was_there(looks: set[int]) -> None:
    world = new_world()
    steps = [("L1", 1), ("L1", 2), ("order", 0), ("L2", 1), ("L2", 2), ("order", 0), ("L3", 2), ("L3", 1)]
    begun: list[tuple[list[str], AnalysisId | None]] = []
    ids: list[AnalysisId] = []
    for number, (part, mate) in enumerate(steps):
        if part == "order":
            drop_order(world.blobs)
        else:
            drop_fastq(world.blobs, part, mate)
        drop = look(world) if number in looks or number == len(steps) - 1 else None
        if drop is not None and drop.plan is not None and drop.is_news:
            begun.append(([group.id for group in drop.plan.read_groups], drop.plan.follows))
            ids.append(drop.plan.analysis)
    # The first upload of the order is seen only if somebody looks before the second one replaces it.
    first_was_seen = bool(looks & {2, 3, 4})
    expected: list[tuple[list[str], AnalysisId | None]] = [(["L1", "L2"], None)]
    if first_was_seen:
        expected = [(["L1"], None), (["L1", "L2"], ids[0])]
    assert begun == expected
    assert len(plans(world)) == len(expected)
