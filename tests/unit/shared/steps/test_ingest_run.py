"""A run's folder: a sample sheet, a template of orders, and one analysis per sample, as if each had its own folder."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import naming
from shared.domain.markers import FailedMarker
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.errors import TransientError
from shared.naming import BlobRef, Container
from shared.steps.ingest import Drop, ingest
from shared.steps.status import list_drops
from tests.drops import install_bundle
from tests.fakes import World

RUN = "run1"
SETTINGS = ResultSettings(batch_pairs=10)
LAYOUT = Layout(chunk_pairs=20, shard_bp=500)
TEMPLATE = {
    "patient_system": "urn:example:mrn",
    "test": {"code": "demo-panel", "display": "Demo panel"},
    "reference": "demo",
}
SHEET = """\
patient,sample,sex,lane,fastq_1,fastq_2
P1,NA1,XX,1,NA1_S1_L001_R1_001.fastq.gz,NA1_S1_L001_R2_001.fastq.gz
P1,NA1,XX,2,NA1_S1_L002_R1_001.fastq.gz,NA1_S1_L002_R2_001.fastq.gz
P2,NA2,XY,1,NA2_S2_L001_R1_001.fastq.gz,NA2_S2_L001_R2_001.fastq.gz
"""
LANES = {"NA1": (1, 2), "NA2": (1,)}


@pytest.fixture
def world() -> World:
    return new_world()


def new_world() -> World:
    world = World()
    world.clock.tick = timedelta(seconds=1)  # no two uploads have one time
    install_bundle(world.blobs)
    return world


def put(world: World, name: str, data: bytes | str) -> None:
    world.blobs.put(naming.landing_blob(name), data if isinstance(data, bytes) else data.encode())


def put_template(world: World, **fields: Any) -> None:
    put(world, f"{RUN}/order.json", json.dumps({**TEMPLATE, **fields}))


def reads(sample: str, lane: int, mate: int, flowcell: str = "HXXX", x: int = 5) -> bytes:
    """A FASTQ file of one read."""
    return f"@A00123:8:{flowcell}:{lane}:1101:{x}:{len(sample)} {mate}:N:0:ACGT\nACGT\n+\nFFFF\n".encode()


def fastq_name(sample: str, lane: int, mate: int) -> str:
    return f"{sample}_S{list(LANES).index(sample) + 1}_L{lane:03d}_R{mate}_001.fastq.gz"


def put_lanes(world: World, sample: str, *lanes: int, folder: str = RUN) -> None:
    for lane in lanes:
        for mate in (1, 2):
            put(world, f"{folder}/{fastq_name(sample, lane, mate)}", reads(sample, lane, mate))


def put_all(world: World) -> None:
    for sample, lanes in LANES.items():
        put_lanes(world, sample, *lanes)


def look(world: World, about: str | None = None, folder: str = RUN) -> dict[str, Drop]:
    drops = ingest(folder, world.services, SETTINGS, LAYOUT, lambda _: None, about)
    assert len({drop.sample for drop in drops}) == len(drops)
    return {drop.sample: drop for drop in drops}


def plans(world: World) -> dict[str, Plan]:
    names = [name for name in world.blobs.names(Container.WORK) if name.endswith("/plan.json")]
    found = [Plan.model_validate_json(world.blobs.read(BlobRef(Container.WORK, name))) for name in names]
    return {plan.sample: plan for plan in found}


def refusals(world: World) -> list[FailedMarker]:
    return [FailedMarker.model_validate_json(data) for data in world.blobs.contents(Container.RESULTS).values()]


# --- a simple sheet ----------------------------------------------------------------------------------------


def test_each_sample_of_a_sheet_is_an_analysis_of_its_own(world: World) -> None:
    put_all(world)
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    assert {sample: drop.is_news for sample, drop in look(world).items()} == {"NA1": True, "NA2": True}
    found = plans(world)
    assert {sample: [group.id for group in plan.read_groups] for sample, plan in found.items()} == {
        "NA1": ["S1_L001", "S1_L002"],
        "NA2": ["S2_L001"],
    }
    first = found["NA1"]
    assert first.folder == RUN
    assert first.order.patient.identifier is not None
    assert first.order.patient.identifier.value == "P1"
    assert [group.platform_unit for group in first.read_groups] == ["HXXX.1.ACGT", "HXXX.2.ACGT"]
    assert {world.blobs.read(naming.open_entry(plan.analysis)) for plan in found.values()} == {RUN.encode()}
    assert not any(drop.is_news for drop in look(world).values())


def test_a_sample_of_a_sheet_is_read_as_in_a_folder_of_its_own(world: World) -> None:
    put_all(world)
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    look(world)
    put_lanes(world, "NA1", *LANES["NA1"], folder="NA1")
    own = {**TEMPLATE, "sample": "NA1", "sex": "female"}
    own["patient"] = {"identifier": {"system": "urn:example:mrn", "value": "P1"}}
    del own["patient_system"]
    put(world, "NA1/order.json", json.dumps(own))
    in_run = plans(world)["NA1"]
    (alone,) = look(world, folder="NA1").values()
    assert alone.plan is not None

    def told(plan: Plan) -> Any:
        groups = [group.model_dump(exclude={"r1": {"name"}, "r2": {"name"}}, mode="json") for group in plan.read_groups]
        return groups, plan.order.model_dump(exclude={"files"}), plan.reference, plan.settings, plan.sample

    assert told(in_run) == told(alone.plan)


PARTS = [
    "sheet",
    "template",
    *(fastq_name(sample, lane, mate) for sample in LANES for lane in LANES[sample] for mate in (2, 1)),
]


@settings(deadline=None)  # the first look loads what unpacks reads
@given(order=st.permutations(PARTS), looks=st.sets(st.integers(0, len(PARTS) - 1)))
def test_any_order_of_arrival_gives_the_same_analyses(order: list[str], looks: set[int]) -> None:
    expected = new_world()
    put_all(expected)
    put_template(expected)
    put(expected, f"{RUN}/samplesheet.csv", SHEET)
    look(expected)
    world = new_world()
    for number, part in enumerate(order):
        name = f"{RUN}/{part}"
        if part == "sheet":
            name = f"{RUN}/samplesheet.csv"
            put(world, name, SHEET)
        elif part == "template":
            name = f"{RUN}/order.json"
            put_template(world)
        else:
            sample, _, lane, mate, _ = part.split("_")
            put(world, name, reads(sample, int(lane[1:]), int(mate[1])))
        if number in looks:
            look(world, about=name)  # each event is about one blob
    look(world)
    assert {sample: plan.analysis for sample, plan in plans(world).items()} == {
        sample: plan.analysis for sample, plan in plans(expected).items()
    }


def test_the_last_blobs_event_is_enough_for_its_sample_and_costs_the_others_nothing(world: World) -> None:
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    put_all(world)
    last = f"{RUN}/{fastq_name('NA2', 1, 2)}"
    assert set(look(world, about=last)) == {"NA2"}
    assert set(plans(world)) == {"NA2"}
    assert [ref.name for ref in world.blobs.heads] == [f"{RUN}/{fastq_name('NA2', 1, 1)}"]


def test_a_bad_row_is_refused_by_line_and_the_other_samples_go_on(world: World) -> None:
    put_all(world)
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET.replace("P2,NA2,XY", "P2,NA2,ZZ") + "P3,,XX,1,a_1.fq,a_2.fq\n")
    drops = look(world)
    assert set(plans(world)) == {"NA1"}
    assert drops["NA2"].refused.startswith(f"landing/{RUN}/samplesheet.csv, line 4: `sex` is none of")
    assert "the other samples go on" in drops["NA2"].refused
    filed = {marker.sample: marker.message for marker in refusals(world)}
    assert filed["NA2"] == drops["NA2"].refused
    assert "line 5: the column `sample` is empty" in filed[RUN]
    before = len(world.blobs.events)
    assert not any(drop.is_news for drop in look(world).values())
    assert len(world.blobs.events) == before


@pytest.mark.parametrize(
    ("template", "column", "reason"),
    [
        (
            {"patient_system": None},
            "",
            "no system of the patient's identifier is given. Fill the column `patient_system`",
        ),
        ({"test": None}, "", "no test is given. Fill the column `test`, or give `test` in order.json"),
        ({"reference": None}, "", "no reference bundle is given. Fill the column `reference`"),
        ({}, "requisition", "no system of the requisition is given"),
        ({}, "test", "a test is given without its name. Fill the column `test_display`"),
        ({}, "reference", "reference: String should match pattern"),
    ],
)
def test_what_neither_sheet_nor_template_gives_is_named(
    world: World, template: dict[str, Any], column: str, reason: str
) -> None:
    put_template(world, **template)
    sheet = SHEET
    if column:
        lines = SHEET.splitlines()
        sheet = "\n".join([f"{lines[0]},{column}", *(f"{line},X Y" for line in lines[1:])])
    put(world, f"{RUN}/samplesheet.csv", sheet)
    drops = look(world)
    assert set(drops) == {"NA1", "NA2"}
    for drop in drops.values():
        assert reason in drop.refused
        assert "P1" not in drop.refused
        assert "P2" not in drop.refused


def test_a_column_goes_before_the_template(world: World) -> None:
    put_all(world)
    put_template(world)
    header, *lines = SHEET.splitlines()
    columns = "reference,test,test_display,requisition,requisition_system,accession,specimen_type"
    values = "demo,other,Other test,R7,urn:x,A7,SAL"
    sheet = [f"{header},{columns}", *(f"{line.replace('P1', 'Patient/77')},{values}" for line in lines)]
    put(world, f"{RUN}/samplesheet.csv", "\n".join(sheet))
    look(world)
    order = plans(world)["NA1"].order
    assert order.patient.reference == "Patient/77"
    assert (order.test.code, order.test.display) == ("other", "Other test")
    assert order.requisition is not None
    assert (order.requisition.value, order.requisition.system) == ("R7", "urn:x")
    assert (order.specimen.accession, order.specimen.type) == ("A7", "SAL")


def test_a_sheet_waits_for_its_template_and_a_template_for_its_sheet(world: World) -> None:
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    assert "samplesheet.csv is there, landing/run1/order.json is not" in look(world)[RUN].waiting
    other = new_world()
    put_template(other)
    assert "landing/run1/order.json names no sample" in look(other)[RUN].waiting
    assert plans(world) == plans(other) == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("order.json", b'{"refrence": "x"}', "refrence: Extra inputs are not permitted"),
        ("order.json", b'{"specimen": {"accession": "x"}}', "give it in the sheet's column `accession`"),
        ("samplesheet.csv", b"a,b\n", "has no column `sample` in line 1"),
        ("samplesheet.csv", b"x" * (1024**2 + 1), "a sample sheet has at most 1,048,576"),
    ],
)
def test_a_run_whose_sheet_or_template_cannot_be_read_is_refused_as_a_whole(
    world: World, name: str, data: bytes, message: str
) -> None:
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    put(world, f"{RUN}/{name}", data)
    assert message in look(world)[RUN].refused
    assert [marker.sample for marker in refusals(world)] == [RUN]


def test_an_order_of_one_sample_goes_before_a_sheet_beside_it(world: World) -> None:
    put_lanes(world, "NA1", 1, folder="NA1")
    put(world, "NA1/SampleSheet.csv", "[Header]\n")
    own = {**TEMPLATE, "sample": "NA1", "patient": {"reference": "Patient/1"}}
    del own["patient_system"]
    put(world, "NA1/order.json", json.dumps(own))
    drop = look(world, folder="NA1")["NA1"]
    assert drop.plan is not None
    assert drop.notes == (
        "landing/NA1/SampleSheet.csv is not read: landing/NA1/order.json is the order of one sample.",
    )


def test_what_goes_wrong_with_one_sample_for_now_does_not_keep_the_others_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all(world)
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    head = world.blobs.head

    def away(ref: BlobRef, size: int, content: str) -> bytes:
        if "NA1" in ref.name:
            raise TransientError("away")
        return head(ref, size, content)

    monkeypatch.setattr(world.blobs, "head", away)
    with pytest.raises(TransientError, match="away"):
        look(world)
    assert set(plans(world)) == {"NA2"}


def test_the_status_page_tells_every_sample_of_a_run(world: World) -> None:
    put_lanes(world, "NA1", 1, 2)
    put_template(world)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    drops = {drop["sample"]: drop for drop in list_drops(world.services, SETTINGS, LAYOUT)}
    assert {sample: (drop["folder"], drop["state"]) for sample, drop in drops.items()} == {
        "NA1": (RUN, "complete"),
        "NA2": (RUN, "waiting"),
    }
    assert drops["NA2"]["missing"] == [f"{RUN}/{fastq_name('NA2', 1, mate)}" for mate in (1, 2)]
    (only,) = list_drops(world.services, SETTINGS, LAYOUT, sample="NA2")
    assert only == drops["NA2"]
    assert len(list_drops(world.services, SETTINGS, LAYOUT, folder=RUN)) == 2
    assert "P1" not in json.dumps(list(drops.values()))


# --- Illumina's sheet --------------------------------------------------------------------------------------

ILLUMINA = """\
[Header]
FileFormatVersion,2
[BCLConvert_Settings]
SoftwareVersion,4.2.7
[BCLConvert_Data]
Lane,Sample_ID,Index,Index2
1,NA1,ACGT,TTGA
2,NA1,ACGT,TTGA
1,NA2,CCGT,ATGA
"""
PATIENTS = {"patients": {"NA1": "P1", "NA2": "Patient/2"}}


@settings(deadline=None)  # the first look loads what unpacks reads
@given(order=st.permutations([part for part in PARTS if part != "template"]), looks=st.sets(st.integers(0, 6)))
def test_an_illumina_sheet_with_lanes_starts_each_sample_when_its_lanes_are_there(
    order: list[str], looks: set[int]
) -> None:
    world = new_world()
    put_template(world, **PATIENTS)
    for number, part in enumerate(order):
        name = f"{RUN}/SampleSheet.csv" if part == "sheet" else f"{RUN}/{part}"
        if part == "sheet":
            put(world, name, ILLUMINA)
        else:
            sample, _, lane, mate, _ = part.split("_")
            put(world, name, reads(sample, int(lane[1:]), int(mate[1])))
        if number in looks:
            look(world, about=name)
    look(world)
    found = plans(world)
    assert {sample: [group.id for group in plan.read_groups] for sample, plan in found.items()} == {
        "NA1": ["S1_L001", "S1_L002"],
        "NA2": ["S2_L001"],
    }
    assert found["NA2"].order.patient.reference == "Patient/2"
    assert len([name for name in world.blobs.names(Container.WORK) if name.endswith("/plan.json")]) == 2


def test_files_of_no_sample_and_index_reads_are_left_out(world: World) -> None:
    put_all(world)
    for name in ("Undetermined_S0_L001_R1_001.fastq.gz", "NA2_S2_L001_I1_001.fastq.gz", "other_R1.fastq.gz"):
        put(world, f"{RUN}/{name}", name)
    put_template(world, **PATIENTS)
    put(world, f"{RUN}/SampleSheet.csv", ILLUMINA)
    drops = look(world)
    assert set(plans(world)) == {"NA1", "NA2"}
    assert drops["NA2"].notes == ("Left out, as index reads or reads of no sample: NA2_S2_L001_I1_001.fastq.gz.",)


def test_a_sheet_without_lanes_is_for_what_was_there_when_it_arrived(world: World) -> None:
    sheet = ILLUMINA.replace("Lane,", "").replace("\n1,", "\n").replace("\n2,", "\n")
    put_template(world, **PATIENTS)
    put_lanes(world, "NA1", 1)
    put(world, f"{RUN}/SampleSheet.csv", sheet)
    put_lanes(world, "NA1", 2)
    drops = look(world)
    (group,) = plans(world)["NA1"].read_groups
    assert group.id == "S1_L001"
    assert "Came after the order" in " ".join(drops["NA1"].notes)
    assert "Upload the FASTQ files, then upload landing/run1/SampleSheet.csv again" in drops["NA2"].waiting
    put(world, f"{RUN}/SampleSheet.csv", sheet)
    again = look(world)["NA1"].plan
    assert again is not None
    assert [group.id for group in again.read_groups] == ["S1_L001", "S1_L002"]


def test_files_in_a_folder_per_project_are_found(world: World) -> None:
    put_template(world, **PATIENTS)
    put(world, f"{RUN}/SampleSheet.csv", ILLUMINA)
    look(world)
    for sample, lanes in LANES.items():
        put_lanes(world, sample, *lanes, folder=f"{RUN}/project")
    assert all(drop.plan for drop in look(world).values())


def test_files_named_by_the_samples_name_are_found_before_and_after_the_sheet(world: World) -> None:
    sheet = "[Data]\nLane,Sample_ID,Sample_Name\n1,NA1,Ann\n2,NA1,Ann\n"
    put_template(world, **PATIENTS)

    def put_lane(lane: int) -> None:
        for mate in (1, 2):
            put(world, f"{RUN}/Ann_S1_L00{lane}_R{mate}_001.fastq.gz", reads("NA1", lane, mate))

    put_lane(1)
    put(world, f"{RUN}/SampleSheet.csv", sheet)
    assert look(world)["NA1"].missing == tuple(f"{RUN}/NA1_S1_L002_R{mate}_001.fastq.gz" for mate in (1, 2))
    put_lane(2)
    plan = look(world, about=f"{RUN}/Ann_S1_L002_R2_001.fastq.gz")["NA1"].plan
    assert plan is not None
    assert [group.platform_unit for group in plan.read_groups] == ["HXXX.1.ACGT", "HXXX.2.ACGT"]


def test_a_run_without_lane_splitting_waits_for_one_pair_of_each_sample(world: World) -> None:
    put_template(world, **PATIENTS)
    sheet = "[BCLConvert_Settings]\nNoLaneSplitting,true\n[BCLConvert_Data]\nSample_ID\nNA1\nNA2\n"
    put(world, f"{RUN}/SampleSheet.csv", sheet)
    assert look(world)["NA2"].missing == tuple(f"{RUN}/NA2_S2_R{mate}_001.fastq.gz" for mate in (1, 2))
    for mate in (1, 2):
        put(world, f"{RUN}/NA2_S2_R{mate}_001.fastq.gz", reads("NA2", 1, mate))
    look(world)
    assert set(plans(world)) == {"NA2"}


def test_a_file_that_may_be_of_two_samples_is_nobodys(world: World) -> None:
    put_template(world, patients={"X": "P1", "X_S1": "P2", "Y": "P3"})
    for mate in (1, 2):
        put(world, f"{RUN}/X_S1_R{mate}.fastq.gz", f"x{mate}")
        put(world, f"{RUN}/Y_S3_R{mate}_001.fastq.gz", f"y{mate}")
    put(world, f"{RUN}/SampleSheet.csv", "[Data]\nSample_ID\nX\nX_S1\nY\n")
    drops = look(world)
    assert set(plans(world)) == {"Y"}
    for sample in ("X", "X_S1"):
        assert "landing/run1/X_S1_R1.fastq.gz may be of X or X_S1, by its name" in drops[sample].refused


def test_a_simple_sheet_goes_before_illuminas(world: World) -> None:
    put_all(world)
    put_template(world)
    put(world, f"{RUN}/SampleSheet.csv", ILLUMINA)
    put(world, f"{RUN}/samplesheet.csv", SHEET)
    look(world)
    order = plans(world)["NA1"].order
    assert order.files is not None
    assert len(order.files) == 4
