"""Deep places: the same reads are shown to the caller whatever is called with them, and never too many."""

import numpy as np
import pytest

from batch_worker.engine.header import read_dict
from batch_worker.engine.packed import FIXED, Records
from batch_worker.engine.thin import MOST_READS, _deepest, thin
from shared.domain.genome import Interval, cut_shards
from shared.domain.intervals import Intervals
from tests.engine_pipeline import align_all
from tests.simulate import make_world
from tests.unit.batch_worker.engine.test_regions import Called, call_world


def records_at(starts: list[int], names: list[str], ref: int = 0) -> Records:
    head = np.zeros(len(starts), dtype=FIXED)
    encoded = [name.encode() + b"\0" for name in names]
    head["ref"], head["pos"] = ref, starts
    head["name_length"] = [len(name) for name in encoded]
    pieces = [bytes(FIXED.itemsize) + name for name in encoded]
    offsets = np.cumsum([0, *map(len, pieces)])[:-1]
    return Records(np.frombuffer(b"".join(pieces), dtype=np.uint8), offsets, head)


def test_depth_is_that_of_every_position():
    rng = np.random.default_rng(4)
    ref = np.sort(rng.integers(0, 3, 6_000)).astype(np.int32)
    start = np.concatenate([np.sort(rng.integers(0, 300, (ref == one).sum())) for one in range(3)])
    end = start + rng.integers(1, 90, len(start))
    found = _deepest(ref, start, end)
    for one in range(3):
        mine = ref == one
        depth = np.zeros(400, dtype=int)
        for low, high in zip(start[mine], end[mine], strict=True):
            depth[low:high] += 1
        true = np.array([depth[low:high].max() for low, high in zip(start[mine], end[mine], strict=True)])
        assert (true > MOST_READS).any()
        assert (np.where(found[mine] > MOST_READS, found[mine], 0) == np.where(true > MOST_READS, true, 0)).all()


@pytest.mark.parametrize(("depth", "kept"), [(0, (0, 0)), (255, (255, 255)), (256, (100, 200)), (3_000, (100, 200))])
def test_reads_are_left_out_beyond_what_the_caller_counts_and_mates_go_together(depth, kept):
    names = [f"A00:{number * 7919}:x" for number in range(depth)]
    records = records_at([10] * depth, names)
    rows = np.arange(depth)
    chosen = thin(records, np.full(depth, 110), rows)
    assert kept[0] <= len(chosen) <= kept[1]
    longer = records_at([10] * depth, names[::-1])
    again = {names[::-1][row] for row in thin(longer, np.full(depth, 110), rows)}
    assert again == {names[row] for row in chosen}


@pytest.mark.thorough
def test_calls_at_deep_places_do_not_depend_on_shards_or_targets(reference, tmp_path):
    deep = make_world(seed=7, pairs=17_000, variety=0.3)  # some 330 reads over every position
    contigs = read_dict(reference.with_name("reference.fa.dict"))

    def call(shard_bp: int, targets: Intervals | None = None) -> Called:
        shards = cut_shards(contigs, shard_bp)
        work = tmp_path / str(shard_bp)
        if targets is None:
            align_all(deep, reference, work, shards, 10**6)
        parts = [sorted(work.glob(f"{lane}-0/parts/*.bam")) for lane in deep.read_groups]
        return call_world(parts, shards, reference, tmp_path / f"{shard_bp}-{targets is None}", targets=targets)

    whole, cut = call(10**9), call(3_017)
    assert cut.gvcf == whole.gvcf
    targets = (Interval("chrA", 3_500, 4_400), Interval("chrB", 100, 900))
    some = call(10**9, targets)
    inside = [line for line in whole.variants if any(_in(line, target) for target in targets)]
    assert some.variants == inside
    assert len(inside) > 2
    depths = [_depth(line) for line in whole.variants]
    assert 100 < np.median(depths) <= max(depths) <= MOST_READS


def _depth(line: str) -> int:
    names, values = line.split("\t")[8:10]
    return int(values.split(":")[names.split(":").index("DP")])


def _in(line: str, target: Interval) -> bool:
    contig, pos, _ = line.split("\t", 2)
    return contig == target.contig and target.start < int(pos) <= target.end
