"""Piling up windows only gives what piling up everything gives."""

import random
from pathlib import Path

import pytest

from batch_worker.engine import call as call_module
from batch_worker.engine.bgzf import read_bgzf
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.evidence import find_evidence
from batch_worker.engine.header import read_dict
from batch_worker.engine.index import build_index
from shared.domain.genome import cut_shards
from tests.engine_pipeline import HALO_BP, align_all
from tests.simulate import World, make_world
from tests.unit.batch_worker.engine.test_single_reads import single_world


def called(
    parts: list[list[Path]], shard_bp: int, reference: Path, out: Path, options: CallOptions
) -> list[CallSummary]:
    shards = cut_shards(read_dict(reference.with_name(reference.name + ".dict")), shard_bp)
    return [
        call_shard(
            [chunk[shard.number] for chunk in parts],
            shard=shard,
            reference=reference,
            halo_bp=HALO_BP,
            options=options,
            out_dir=out / str(shard.number),
            log=out / "log",
        )
        for shard in shards
    ]


def compare(
    world: World,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: CallOptions,
    shard_bp: int = 10**9,
    singles: tuple[str, ...] = (),
) -> tuple[int, float]:
    """Call with windows and without, compare; return the number of variants and the share piled up."""
    folder.mkdir(exist_ok=True)
    source = folder / "source.fa"
    source.write_bytes(world.fasta())
    reference = build_index(source, folder / "index")[0]
    shards = cut_shards(read_dict(reference.with_name(reference.name + ".dict")), shard_bp)
    aligned = align_all(world, reference, folder / "aligned", shards, 10**6, singles=singles)
    parts = [[part.path for part in one.parts] for one in aligned]
    share: list[float] = []

    def watched(*args, **kwargs):
        found = find_evidence(*args, **kwargs)
        share.append(sum(e.windows.sum() for e in found) / sum(len(e.windows) for e in found))
        return found

    def everything(*args, **kwargs):
        found = find_evidence(*args, **kwargs)
        for evidence in found:
            evidence.windows[:] = True
        return found

    monkeypatch.setattr(call_module, "find_evidence", watched)
    some = called(parts, shard_bp, reference, folder / "some", options)
    monkeypatch.setattr(call_module, "find_evidence", everything)
    full = called(parts, shard_bp, reference, folder / "full", options)
    for one, other in zip(some, full, strict=True):
        assert read_bgzf(one.gvcf).decode().splitlines() == read_bgzf(other.gvcf).decode().splitlines()
        assert read_bgzf(one.vcf).decode().splitlines() == read_bgzf(other.vcf).decode().splitlines()
        assert one.gvcf_records == other.gvcf_records
        assert one.variants == other.variants
    return sum(one.variants.variants for one in some), sum(share) / len(share)


GOOD = (25, 37, 37, 37)
WORLDS = {
    "few variants": {"variety": 0.1, "phreds": GOOD, "pairs": 1_200},
    "few variants, sixfold": {"variety": 0.1, "phreds": (12, 37, 37, 37), "pairs": 300, "fragment_bp": 140},
    "few variants, few clips": {"variety": 0.1, "phreds": (37, 40), "tears": 0.004},
    "few variants, mixed depth": {"variety": 0.1, "phreds": (37,), "pairs": 2_500, "start_step": 170},
    "poor bases, mates overlap": {"fragment_bp": 120, "tears": 0.02},
    "bases of quality 0, 1 and 2": {"phreds": (0, 1, 2, 20, 30) + (37,) * 40, "fragment_bp": 150},
    "N in shallow reads": {"phreds": (2,) + (37,) * 100, "pairs": 100, "fragment_bp": 150},
    "clips and odd indels": {"tears": 0.15, "phreds": (37,)},
    "long reads": {"read_bp": 250, "fragment_bp": 400, "pairs": 300, "variety": 0.2, "phreds": GOOD},
    "deeper than 255": {"pairs": 17_000, "variety": 0.1, "phreds": (37,)},
}
SETTINGS = {
    "haploid": CallOptions(ploidy=1),
    "mapping quality": CallOptions(min_mapq=30),
    "base quality": CallOptions(min_base_quality=20),
    "bands that mix depth 0 with others": CallOptions(depth_bands=(0, 5, 20)),
    "a prior that calls much": CallOptions(prior=0.3),
    "a prior that calls little": CallOptions(prior=1e-5),
    "fewer reads kept than there are": CallOptions(max_depth=15),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", WORLDS)
def test_windows_give_what_the_whole_pileup_gives(name, tmp_path, monkeypatch):
    variants, share = compare(make_world(seed=11, **WORLDS[name]), tmp_path, monkeypatch, CallOptions())
    assert variants > 5
    assert share > 0
    if name.startswith("few variants"):
        assert share < 0.6  # else nothing was compared


@pytest.mark.thorough
@pytest.mark.parametrize("name", SETTINGS)
def test_windows_give_what_the_whole_pileup_gives_at_every_setting(name, tmp_path, monkeypatch):
    world = make_world(seed=12, variety=0.2, phreds=GOOD, pairs=500)
    variants, share = compare(world, tmp_path, monkeypatch, SETTINGS[name], shard_bp=6_000)
    assert variants > 5
    assert share > 0


@pytest.mark.parametrize("has_names_twice", [False, True])
def test_windows_of_single_end_reads_give_what_the_whole_pileup_gives(has_names_twice, tmp_path, monkeypatch):
    world = make_world(seed=13, variety=0.1, phreds=GOOD, pairs=700, fragment_bp=140)
    if not has_names_twice:
        world = single_world(world)
    variants, share = compare(world, tmp_path, monkeypatch, CallOptions(), singles=("L1", "L2"))
    assert variants > 5
    assert 0 < share < 1


def test_where_no_read_lies_nothing_is_piled_up(tmp_path, monkeypatch):
    letters = "".join(random.Random(3).choices("ACGT", k=200))
    reads = "".join(f"@r {mate}\n{letters[at : at + 100]}\n+\n{'I' * 100}\n" for mate, at in ((1, 0), (2, 100)))
    world = World(make_world(pairs=0).contigs, {"L1": reads.encode()})
    assert compare(world, tmp_path, monkeypatch, CallOptions()) == (0, 0)
