"""When a file without a mate is single-end: where an order, a template or a sheet says so, and never else."""

import itertools
from typing import Any

import pytest

from shared import naming
from shared.domain.plan import Plan
from tests.drops import SAMPLE, drop_fastq, drop_order, install_bundle
from tests.fakes import World
from tests.landing import look, new_world, plans, refusal
from tests.unit.shared.formats.test_sample_sheet import V1
from tests.unit.shared.steps import test_ingest_run as run


@pytest.fixture
def world() -> World:
    return new_world()


def put(world: World, *names: str, folder: str = SAMPLE) -> None:
    for name in names:
        world.blobs.put(naming.landing_blob(f"{folder}/{name}"), f"@{name}\nA\n+\nF\n".encode())


def groups(plan: Plan | None) -> dict[str, tuple[str, ...]]:
    assert plan is not None
    return {group.id: tuple(file.name.partition("/")[2] for file in group.files) for group in plan.read_groups}


def test_a_lone_r1_of_an_order_that_says_nothing_waits_for_its_mate(world: World) -> None:
    drop_fastq(world.blobs, "L1", 1)
    drop_order(world.blobs)
    drop = look(world)
    assert drop.plan is None
    assert drop.missing == (f"{SAMPLE}/{SAMPLE}_L1_R2.fastq.gz",)
    drop_fastq(world.blobs, "L1", 2)
    assert groups(look(world).plan) == {"L1": (f"{SAMPLE}_L1_R1.fastq.gz", f"{SAMPLE}_L1_R2.fastq.gz")}


NAMES = {
    f"{SAMPLE}.fastq.gz": "RG1",
    f"{SAMPLE}_S1_L001.fastq.gz": "S1_L001",
    f"{SAMPLE}_S1_L001_R1_001.fastq.gz": "S1_L001",
    f"{SAMPLE}_S1_L002_R1_002.fq.zst": "S1_L002_002",
    f"{SAMPLE}_L3_R1.fastq": "L3",
    f"{SAMPLE}_1.fq.gz": "RG1",
    "SRR0001.fastq.gz": "SRR0001",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_single_end_order_takes_any_name_that_is_not_of_a_second_mate(world: World, name: str) -> None:
    put(world, name)
    drop_order(world.blobs, single_end=True)
    plan = look(world).plan
    assert groups(plan) == {NAMES[name]: (name,)}
    assert plan is not None
    assert plan.read_groups[0].r2 is None


def test_files_that_the_order_names_are_waited_for_and_come_in_any_order() -> None:
    names = [f"{SAMPLE}_L1.fastq.gz", f"{SAMPLE}_L2_R1.fastq.gz"]
    ids = set()
    for parts in itertools.permutations(["order", *names]):
        world = new_world()
        for part in parts:
            if part == "order":
                drop_order(world.blobs, single_end=True)  # without files: replaced by one with them below
                order = naming.order_blob(SAMPLE)
                value = world.blobs.read(order).replace(
                    b'"files": null', f'"files": ["{names[0]}", "{names[1]}"]'.encode()
                )
                world.blobs.put(order, value)
            else:
                put(world, part)
            drop = look(world)
            assert (drop.plan is not None) == (part == parts[-1])
        assert groups(drop.plan) == {"L1": (names[0],), "L2": (names[1],)}
        assert len(plans(world)) == 1
        assert drop.plan is not None
        ids.add(drop.plan.analysis)
    assert len(ids) == 1


def test_index_reads_and_reads_of_no_sample_are_left_out(world: World) -> None:
    put(
        world, f"{SAMPLE}_S1_L001_R1_001.fastq.gz", f"{SAMPLE}_S1_L001_I1_001.fastq.gz", "Undetermined_S0_L001.fastq.gz"
    )
    drop_order(world.blobs, single_end=True)
    drop = look(world)
    assert list(groups(drop.plan)) == ["S1_L001"]
    assert "Left out" in drop.notes[0]
    assert "Undetermined_S0_L001.fastq.gz" in drop.notes[0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (f"{SAMPLE}_R1.fastq.gz", f"{SAMPLE}_R2.fastq.gz"),
            "_R2.fastq.gz is named as second mates, but the order says",
        ),
        ((f"{SAMPLE}_2.fq.gz",), "_2.fq.gz is named as second mates, but the order says `single_end`"),
        ((f"{SAMPLE}_R1.fastq.gz", f"{SAMPLE}.fastq.gz"), "would both be R1 of read group RG1"),
    ],
)
def test_second_mates_and_lanes_of_one_name_are_refused(world: World, names: tuple[str, ...], message: str) -> None:
    put(world, *names)
    drop_order(world.blobs, single_end=True)
    assert look(world).plan is None
    assert message in refusal(world).message


def test_the_same_bytes_under_two_names_are_refused(world: World) -> None:
    for name in ("a", "b"):
        world.blobs.put(naming.landing_blob(f"{SAMPLE}/{name}.fastq.gz"), b"@r\nA\n+\nF\n")
    drop_order(world.blobs, single_end=True)
    look(world)
    assert "have the same content" in refusal(world).message


def test_pairs_that_are_called_single_end_later_are_another_analysis(world: World) -> None:
    drop_fastq(world.blobs, "L1", 1)
    drop_order(world.blobs, single_end=True)
    single = look(world).plan
    drop_fastq(world.blobs, "L1", 2)
    drop_order(world.blobs)
    paired = look(world).plan
    assert single is not None
    assert paired is not None
    assert paired.analysis != single.analysis
    assert paired.follows == single.analysis
    assert (len(single.read_groups[0].files), len(paired.read_groups[0].files)) == (1, 2)


# --- runs ---------------------------------------------------------------------------------------------------

SHEET = """\
patient,sample,sex,lane,fastq_1,fastq_2
P1,NA1,XX,1,NA1_S1_L001_R1_001.fastq.gz,NA1_S1_L001_R2_001.fastq.gz
P1,NA1,XX,2,more/NA1_run2.fastq.gz,
P2,NA2,XY,1,NA2.fastq.gz,
"""


def run_world(sheet: str = SHEET, name: str = "samplesheet.csv", **template: Any) -> World:
    world = new_world()
    install_bundle(world.blobs)
    run.put_template(world, **template)
    run.put(world, f"{run.RUN}/{name}", sheet)
    return world


def test_rows_without_fastq_2_give_single_end_read_groups_beside_paired_ones() -> None:
    world = run_world()
    put(world, "NA1_S1_L001_R1_001.fastq.gz", "more/NA1_run2.fastq.gz", "NA2.fastq.gz", folder=run.RUN)
    found = run.look(world)
    assert found["NA1"].missing == (f"{run.RUN}/NA1_S1_L001_R2_001.fastq.gz",)
    assert groups(found["NA2"].plan) == {"1": ("NA2.fastq.gz",)}
    put(world, "NA1_S1_L001_R2_001.fastq.gz", folder=run.RUN)
    plan = run.look(world)["NA1"].plan
    assert groups(plan) == {
        "2": ("more/NA1_run2.fastq.gz",),
        "S1_L001": ("NA1_S1_L001_R1_001.fastq.gz", "NA1_S1_L001_R2_001.fastq.gz"),
    }
    assert plan is not None
    assert not plan.order.single_end


def test_a_template_that_says_single_end_refuses_rows_with_fastq_2() -> None:
    world = run_world(single_end=True)
    put(world, "NA2.fastq.gz", folder=run.RUN)
    found = run.look(world)
    assert "`fastq_2` is filled, but order.json says `single_end`" in found["NA1"].refused
    assert found["NA2"].plan is not None
    assert found["NA2"].plan.order.single_end


@pytest.mark.parametrize("says", ["template", "sheet"])
def test_lanes_of_an_illumina_sheet_are_foreseen_without_second_mates(says: str) -> None:
    one_read = V1.replace("151,,,,,\n151,,,,,\n", "151,,,,,\n")
    with_patients = {"patients": {"NA1": "P1", "NA2": "P2"}}
    if says == "sheet":
        world = run_world(one_read, "SampleSheet.csv", **with_patients)
    else:
        world = run_world(V1, "SampleSheet.csv", single_end=True, **with_patients)
    put(world, "NA1_S1_L001_R1_001.fastq.gz", folder=run.RUN)
    assert run.look(world)["NA1"].missing == (f"{run.RUN}/NA1_S1_L002_R1_001.fastq.gz",)
    put(world, "NA1_S1_L002_R1_001.fastq.gz", "NA2_S2_L001.fastq.gz", folder=run.RUN)
    found = run.look(world)
    assert groups(found["NA1"].plan) == {
        "S1_L001": ("NA1_S1_L001_R1_001.fastq.gz",),
        "S1_L002": ("NA1_S1_L002_R1_001.fastq.gz",),
    }
