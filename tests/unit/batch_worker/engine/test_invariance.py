"""The same bytes however the reads are cut into chunks and the genome into shards."""

import gzip
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.header import read_dict
from shared.domain.genome import cut_shards
from tests.engine_pipeline import BATCH_PAIRS, Outcome, align_all, run_pipeline


def bam_text(path: Path) -> list[str]:
    with pysam.AlignmentFile(str(path)) as bam:
        return [str(bam.header), *(record.to_string() for record in bam.fetch(until_eof=True))]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shard_bp", "chunk_pairs", "threads"),
    [
        pytest.param(10**9, BATCH_PAIRS, 2, id="many chunks, two threads"),
        pytest.param(2_500, 3 * BATCH_PAIRS, 1, id="five shards; one ends inside the copied segment"),
        pytest.param(3_017, 2 * BATCH_PAIRS, 2, id="a border behind a microsatellite, two threads"),
        pytest.param(2_012, 10**6, 1, id="borders inside microsatellites"),
    ],
)
def test_cuts_leave_no_trace(world, reference, whole: Outcome, tmp_path, shard_bp, chunk_pairs, threads):
    cut = run_pipeline(world, reference, tmp_path, shard_bp, chunk_pairs, threads)
    assert gzip.decompress(cut.gvcf.path.read_bytes()) == gzip.decompress(whole.gvcf.path.read_bytes())
    assert gzip.decompress(cut.vcf.path.read_bytes()) == gzip.decompress(whole.vcf.path.read_bytes())
    assert cut.vcf.path.read_bytes() == whole.vcf.path.read_bytes()
    assert cut.gvcf.path.read_bytes() == whole.gvcf.path.read_bytes()
    assert cut.vcf.index.read_bytes() == whole.vcf.index.read_bytes()
    assert bam_text(cut.bam.path) == bam_text(whole.bam.path)
    for count in ("records", "primary", "primary_mapped", "duplicates", "unplaced"):
        assert sum(getattr(s.reads, count) for s in cut.called) == getattr(whole.called[0].reads, count), count
    assert sum(s.depth.depth_sum for s in cut.called) == whole.called[0].depth.depth_sum
    assert sum(s.depth.callable_bp for s in cut.called) == whole.called[0].depth.callable_bp


def test_the_world_is_awkward_enough_to_prove_something(whole: Outcome):
    summary = whole.called[0]
    assert summary.reads.duplicates > 100
    assert summary.reads.unplaced > 10
    assert sum(s.supplementary for s in whole.aligned) > 5
    assert summary.variants.snvs > 50
    assert summary.variants.indels > 30
    with pysam.AlignmentFile(str(whole.bam.path)) as bam:
        singles = [r for r in bam.fetch(until_eof=True) if r.mate_is_unmapped and not r.is_unmapped]
    assert any(r.is_duplicate for r in singles)
    assert any(not r.is_duplicate for r in singles)


def test_counts_balance_from_pairs_to_records(world, whole: Outcome):
    pairs = sum(reads.count(b"\n") // 8 for reads in world.read_groups.values())
    assert sum(s.pairs for s in whole.aligned) == pairs
    assert sum(s.primary for s in whole.aligned) == 2 * pairs == sum(s.reads.primary for s in whole.called)
    with pysam.AlignmentFile(str(whole.bam.path)) as bam:
        records = list(bam.fetch(until_eof=True))
    assert len(records) == whole.called[0].reads.records
    assert whole.vcf.records == whole.called[0].variants.variants
    assert whole.called[0].depth.callable_bp == 8_000 - 100 + 3_300 + 90


def test_every_record_is_owned_by_one_shard_and_counted_there(world, reference, tmp_path):
    shards = cut_shards(read_dict(reference.with_name("reference.fa.dict")), 3_000)
    for summary in align_all(world, reference, tmp_path, shards, 4 * BATCH_PAIRS):
        records = summary.primary + summary.secondary + summary.supplementary
        assert sum(part.owned for part in summary.parts) == records
        assert sum(part.owned_primary for part in summary.parts) == 2 * summary.pairs
        for part in summary.parts:
            with pysam.AlignmentFile(str(part.path)) as bam:
                assert part.records == sum(1 for _ in bam.fetch(until_eof=True))
