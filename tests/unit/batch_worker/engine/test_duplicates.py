"""Duplicate flags against samtools markdup on the whole BAM."""

from pathlib import Path

import pysam
import pysam.samtools

from tests.engine_pipeline import Outcome, run_pipeline
from tests.simulate import make_world


def duplicates(path: Path) -> dict[tuple[object, ...], bool]:
    with pysam.AlignmentFile(str(path), check_sq=False) as bam:
        return {
            (r.query_name, r.flag & ~0x400, r.reference_id, r.reference_start, r.cigarstring): r.is_duplicate
            for r in bam.fetch(until_eof=True)
        }


def markdup(bam: Path, work: Path) -> dict[tuple[object, ...], bool]:
    """Forget our flags and let samtools mark the whole file."""
    steps = [work / f"{name}.bam" for name in ("bare", "names", "fixed", "sorted", "marked")]
    tools = pysam.samtools
    tools.view("--remove-flags", "1024", "-b", "-o", str(steps[0]), str(bam), catch_stdout=False)
    tools.sort("-n", "-o", str(steps[1]), str(steps[0]), catch_stdout=False)
    tools.fixmate("-m", str(steps[1]), str(steps[2]), catch_stdout=False)
    tools.sort("-o", str(steps[3]), str(steps[2]), catch_stdout=False)
    tools.markdup(str(steps[3]), str(steps[4]), catch_stdout=False)
    return duplicates(steps[4])


def marked_as_they_lie(bam: Path, work: Path) -> dict[tuple[object, ...], bool]:
    """As `markdup`, with records of one place in their order in the file: samtools keeps the first of single reads."""
    fixed, ordered, marked = (work / f"{name}.bam" for name in ("fixed", "as_they_lie", "marked_as_they_lie"))
    markdup(bam, work)
    with pysam.AlignmentFile(str(fixed)) as source:
        with_scores = {_key(record): record for record in source.fetch(until_eof=True)}
    with (
        pysam.AlignmentFile(str(bam)) as source,
        pysam.AlignmentFile(str(ordered), "wb", template=source) as out,
    ):
        for record in source.fetch(until_eof=True):
            out.write(with_scores[_key(record)])
    pysam.samtools.markdup(str(ordered), str(marked), catch_stdout=False)
    return duplicates(marked)


def _key(record: pysam.AlignedSegment) -> tuple[object, ...]:
    return record.query_name, record.flag & 0x9D4, record.reference_id, record.reference_start, record.cigarstring


def test_flags_equal_those_of_samtools_markdup(whole: Outcome, tmp_path):
    ours, theirs = duplicates(whole.bam.path), markdup(whole.bam.path, tmp_path)
    assert sum(theirs.values()) > 100
    assert ours == theirs


def test_flags_equal_markdup_where_many_fragments_start_at_few_places(reference, tmp_path):
    crowded = make_world(pairs=900, start_step=40)
    outcome = run_pipeline(crowded, reference, tmp_path, shard_bp=10**9)
    theirs = markdup(outcome.bam.path, tmp_path)
    assert sum(theirs.values()) > 300
    assert duplicates(outcome.bam.path) == theirs
