"""Calling one shard: refusals, tools that fail, filters, depth."""

import gzip
import shutil

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_worker.engine.bgzf import read_bgzf, write_bgzf
from batch_worker.engine.call import CallOptions, call_shard
from batch_worker.engine.depth import fetch
from batch_worker.engine.filters import FilterLimits
from batch_worker.engine.header import read_dict
from batch_worker.engine.vcf_text import VariantCounts, finish_variants
from shared.domain.genome import Interval, cut_shards
from shared.errors import PermanentError, TransientError
from tests.engine_pipeline import HALO_BP


def call(parts, reference, out_dir, halo_bp=HALO_BP, **options):
    (shard,) = cut_shards(read_dict(reference.with_name("reference.fa.dict")), 10**9)
    return call_shard(
        parts,
        shard=shard,
        reference=reference,
        halo_bp=halo_bp,
        options=CallOptions(**options),
        out_dir=out_dir,
        log=out_dir / "log",
    )


@given(st.lists(st.binary(max_size=200_000), max_size=4), st.integers(0, 3))
def test_bgzf_that_is_written_is_read_and_is_gzip(tmp_path_factory, pieces, level):
    path = tmp_path_factory.mktemp("bgzf") / "x"
    assert write_bgzf(path, pieces, level) == path.stat().st_size
    assert read_bgzf(path) == gzip.decompress(path.read_bytes()) == b"".join(pieces)


def test_damaged_parts_are_refused(whole, reference, tmp_path):
    good = whole.aligned[0].parts[0].path.read_bytes()
    bad = tmp_path / "00000.bam"
    for data, message in (
        (good[:-40], "has no BGZF end marker"),
        (good[:5_000] + bytes([good[5_000] ^ 255]) + good[5_001:], "00000.bam"),
        (gzip.compress(b"BAM"), "has no BGZF end marker"),
        (good[:1000] + good[2000:], "00000.bam"),
    ):
        bad.write_bytes(data)
        with pytest.raises(PermanentError, match=message):
            call([bad], reference, tmp_path / "out")
    write_bgzf(bad, [b"SAM?"])
    with pytest.raises(PermanentError, match="is no BAM file"):
        call([bad], reference, tmp_path / "out")


def test_a_part_of_another_reference_is_refused(reference, tmp_path):
    alien = tmp_path / "00000.bam"
    with pysam.AlignmentFile(str(alien), "wb", header={"SQ": [{"SN": "chrX", "LN": 10}]}):
        pass
    with pytest.raises(PermanentError, match="was aligned to another reference"):
        call([alien], reference, tmp_path / "out")


def test_a_halo_too_small_for_the_reads_is_refused(whole, reference, tmp_path):
    with pytest.raises(PermanentError, match=r"Shard 0 has an alignment over \d+ bp, but the halo is 300 bp"):
        call([whole.aligned[0].parts[0].path], reference, tmp_path / "out", halo_bp=300)


def test_no_parts_are_refused(reference, tmp_path):
    with pytest.raises(PermanentError, match="has no parts to call"):
        call([], reference, tmp_path / "out")


def test_a_tool_that_fails_says_why_and_leaves_no_scratch(whole, reference, tmp_path):
    parts = [part.path for summary in whole.aligned for part in summary.parts]
    with pytest.raises(TransientError, match=r"(?s)bcftools call \(exit status \d+\) failed.*ploidy"):
        call(parts, reference, tmp_path / "out", ploidy=77)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == []


def test_a_reference_that_is_cut_off_is_refused(whole, reference, tmp_path):
    folder = tmp_path / "index"
    shutil.copytree(reference.parent, folder)
    (folder / reference.name).write_bytes(reference.read_bytes()[:5_000])
    parts = [part.path for summary in whole.aligned for part in summary.parts]
    with pytest.raises(PermanentError, match=r"reference\.fa is shorter than its \.fai says"):
        call(parts, folder / reference.name, tmp_path / "out")


def test_depth_agrees_with_samtools(whole):
    with pysam.AlignmentFile(str(whole.bam.path), index_filename=str(whole.bam.index)) as bam:
        total = 0
        for contig, length in zip(bam.references, bam.lengths, strict=True):
            for column in bam.pileup(
                contig, 0, length, stepper="all", min_base_quality=0, max_depth=10**6, ignore_overlaps=False
            ):
                if not (contig == "chrA" and 6_500 <= column.reference_pos < 6_600):
                    total += sum(not p.is_del and not p.is_refskip for p in column.pileups)
    depth = whole.called[0].depth
    assert depth.depth_sum == total
    assert sum(depth.histogram) == depth.callable_bp
    assert int(np.dot(depth.histogram, np.arange(len(depth.histogram)))) == total


def test_letters_are_fetched_across_lines(world, reference):
    for start, end in ((0, 1), (59, 61), (0, 60), (60, 120), (7_900, 8_000), (119, 500)):
        assert fetch(reference, Interval("chrA", start, end)).decode() == world.contigs["chrA"][start:end]
    with pytest.raises(PermanentError, match="lacks contig 'nope'"):
        fetch(reference, Interval("nope", 0, 1))


@pytest.mark.parametrize(
    ("qual", "depth", "mapping_quality", "verdict"),
    [
        ("20", "5", "10", "PASS"),
        ("19.9", "5", "10", "LowQual"),
        (".", "5", "10", "LowQual"),
        ("20", "3", "10", "PASS"),
        ("20", "2", "10", "LowDepth"),
        ("20", ".", "10", "LowDepth"),
        ("20", "5", "2", "PASS"),
        ("20", "5", "1", "LowMapQ"),
        ("20", "5", "", "PASS"),
        ("1", "1", "1", "LowQual;LowDepth;LowMapQ"),
    ],
)
def test_filters_name_every_limit_that_was_missed(qual, depth, mapping_quality, verdict):
    assert FilterLimits().verdict(qual, depth, mapping_quality) == verdict


def test_variants_are_counted_by_kind_and_format_is_ordered():
    counts = VariantCounts()
    lines = [
        "1\t5\t.\tA\tG\t50\t.\tDP=9;MQ=60\tGT:PL:DP:AD:GQ\t0/1:9,0,9:9:4,5:99",
        "1\t6\t.\tA\tT\t50\t.\tDP=9;MQ=60\tGT:PL:DP:AD:GQ\t1/1:9,0,9:9:0,9:99",
        "1\t7\t.\tAT\tA\t5\t.\tDP=9;MQ=60\tGT:PL:DP:AD:GQ\t0/1:9,0,9:9:4,5:99",
    ]
    finished = list(finish_variants(lines, FilterLimits(), counts))
    assert finished[0] == "1\t5\t.\tA\tG\t50\tPASS\tDP=9;MQ=60\tGT:AD:DP:GQ:PL\t0/1:4,5:9:99:9,0,9"
    assert (counts.variants, counts.passing, counts.snvs, counts.indels) == (3, 2, 2, 1)
    assert (counts.transitions, counts.transversions, counts.heterozygous, counts.homozygous) == (1, 1, 1, 1)
    assert counts.reasons == {"PASS": 2, "LowQual": 1}
