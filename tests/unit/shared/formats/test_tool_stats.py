"""What samtools and bcftools say in their statistics: without this machine in it, and as curves."""

import pytest

from shared.domain.qc_curves import ReadCurves
from shared.errors import PermanentError
from shared.formats.tool_stats import neutral, read_curves

STATS = """\
# The command line was:  stats /tmp/x/NA1.bam
SN\traw total sequences:\t4
FFQ\t1\t0\t0\t3\t1
FFQ\t2\t0\t0\t0\t0
LFQ\t1\t0\t2\t0\t0
GCF\t20.5\t3
GCF\t40.0\t1
GCL\t30.0\t2
IS\t0\t0\t0\t0\t0
IS\t1\t5\t5\t0\t0
COV\t[1-1]\t1\t70
COV\t[1000<]\t1000\t2
"""


def test_curves_are_means_shares_and_counts() -> None:
    assert read_curves(STATS.splitlines(keepends=True), "x") == ReadCurves(
        qualities=(((1, 2.25),), ((1, 1),)),  # a cycle without bases has no quality
        gc=(((20.5, 0.75), (40, 0.25)), ((30, 1),)),
        insert_sizes=((0, 0), (1, 5)),
        depths=((1, 70), (1000, 2)),
    )


def test_a_sample_without_reads_has_empty_curves() -> None:
    assert read_curves(["SN\traw total sequences:\t0\n"], "x") == ReadCurves(((), ()), ((), ()), (), ())


def test_a_damaged_row_is_named_with_its_line() -> None:
    with pytest.raises(PermanentError, match=r"x, line 2: no GCF row of samtools stats"):
        read_curves(["SN\t1\n", "GCF\tmany\t1\n"], "x")


def test_command_lines_and_paths_are_replaced_and_nothing_else() -> None:
    lines = [*STATS.splitlines(keepends=True), "ID\t0\t/tmp/x/NA1.vcf.gz\n"]
    text = list(neutral(lines, "samtools stats NA1.bam", {"/tmp/x/NA1.vcf.gz": "NA1.vcf.gz"}))  # noqa: S108 - a name
    assert text[0] == "# The command line was:\tsamtools stats NA1.bam\n"
    assert text[-1] == "ID\t0\tNA1.vcf.gz\n"
    assert text[1:-1] == lines[1:-1]
