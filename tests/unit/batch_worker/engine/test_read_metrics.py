"""Counts of reads and alignments, against what pysam reads from the finished BAM and the FASTQ text."""

from collections import Counter

import numpy as np
import pysam
import pytest

from batch_worker.engine.packed import DUPLICATE, FIXED, records_of
from batch_worker.engine.read_metrics import ReadMetrics, duplicates_by_read_group
from shared.domain.qc import LONGEST_INSERT_BP, add_histograms
from tests.engine_pipeline import Outcome, run_pipeline


def counts(outcome: Outcome, lane: int) -> dict[str, int]:
    return outcome.aligned[lane].metrics.counts()


@pytest.mark.parametrize(("lane", "group"), [(0, "L1"), (1, "L2")])
def test_counts_of_a_read_group_are_what_its_fastq_and_its_alignments_say(world, whole: Outcome, lane: int, group: str):
    lines = world.read_groups[group].split(b"\n")
    letters, quality = b"".join(lines[1::4]), b"".join(lines[3::4])
    with pysam.AlignmentFile(str(whole.bam.path)) as bam:
        mine = [r for r in bam.fetch(until_eof=True) if r.get_tag("RG") == group and not r.flag & 0x900]
    inserts = Counter(abs(r.template_length) for r in mine if r.is_proper_pair and r.is_read1)
    found = counts(whole, lane)
    assert found == {
        "bases": len(letters),
        "q30_bases": sum(letter >= 63 for letter in quality),
        "gc_bases": letters.count(b"G") + letters.count(b"C"),
        "n_bases": letters.count(b"N"),
        "primary_mapped": sum(not r.is_unmapped for r in mine),
        "properly_paired": sum(r.is_proper_pair for r in mine),
    }
    assert found["properly_paired"] < found["primary_mapped"] < len(mine)
    histogram = whole.aligned[lane].metrics.histogram()
    assert {bp: count for bp, count in enumerate(histogram) if count} == inserts
    assert histogram[-1] > 0
    assert whole.called[0].reads.group_duplicates[group] == sum(r.is_duplicate for r in mine) > 0


def test_cuts_leave_the_sums_as_they_are(world, reference, whole: Outcome, tmp_path):
    cut = run_pipeline(world, reference, tmp_path, shard_bp=4_500, chunk_pairs=400)
    for name in counts(whole, 0):
        assert sum(s.metrics.counts()[name] for s in cut.aligned) == sum(counts(whole, n)[name] for n in (0, 1)), name
    assert add_histograms(s.metrics.histogram() for s in cut.aligned) == add_histograms(
        s.metrics.histogram() for s in whole.aligned
    )
    total: Counter[str] = Counter()
    for summary in cut.called:
        total.update(summary.reads.group_duplicates)
    assert total == whole.called[0].reads.group_duplicates


def test_fragments_longer_than_the_last_bin_are_counted_in_it():
    metrics = ReadMetrics()
    metrics.insert_sizes[LONGEST_INSERT_BP] = 3
    assert len(metrics.histogram()) == LONGEST_INSERT_BP + 1
    assert ReadMetrics().histogram() == ()


def packed(tags: bytes, flag: int = DUPLICATE) -> bytes:
    head = np.zeros(1, dtype=FIXED)
    head["flag"], head["name_length"], head["bases"] = flag, 2, 3
    body = b"r\0" + b"\x11\x10" + b"III" + tags
    head["block_size"] = FIXED.itemsize - 4 + len(body)
    return head.tobytes() + body


@pytest.mark.parametrize(
    ("tags", "groups"),
    [
        (b"RGZlane 1\0", {"lane 1": 1}),
        (b"NMC\x00MDZ0RGZ5\0RGZL1\0", {"L1": 1}),  # another tag's text is not taken for the tag
        (b"XBBi\x02\0\0\0RGZARGZBRGZL2\0", {"L2": 1}),  # nor are an array's numbers
        (b"XBBs\x00\0\0\0ASi\0\0\0\0Xff1234RGZL3\0XAZmore\0", {"L3": 1}),
        (b"XHH1A\0XAAxRGZL4\0", {"L4": 1}),
        (b"NMC\x00", {}),
        (b"", {}),
    ],
)
def test_the_read_group_is_found_among_tags_of_every_type(tags: bytes, groups: dict[str, int]):
    pieces = [packed(tags), packed(b"RGZother\0", flag=0)]
    records = records_of(b"".join(pieces), np.cumsum([0, len(pieces[0])]))
    assert duplicates_by_read_group(records, np.array([True, True])) == groups
    assert duplicates_by_read_group(records, np.array([False, True])) == {}
