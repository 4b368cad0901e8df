"""A CRAM with another header: read by htslib as before."""

import pysam
import pytest

from shared.errors import PermanentError
from shared.formats.cram import replace_header


def write(path, contigs: int, comment: str) -> None:
    header = {"SQ": [{"SN": f"c{number}", "LN": 100, "M5": f"{number:032x}"} for number in range(contigs)]}
    header |= {"CO": [comment]}
    with pysam.AlignmentFile(str(path), "wc", header=header, format_options=[b"no_ref=1", b"version=3.0"]) as out:
        for at in range(200):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.query_sequence, read.flag = f"r{at}", "ACGT" * 5, 0
            read.reference_id, read.reference_start, read.cigarstring = 0, at // 4, "20M"
            read.query_qualities = pysam.qualitystring_to_array("I" * 20)
            out.write(read)


@pytest.mark.parametrize("contigs", [1, 3, 300, 40_000])  # headers whose sizes take 1 to 4 bytes to say
def test_the_records_stay_and_the_header_is_the_new_one(tmp_path, contigs):
    for name, comment in (("a", "one"), ("b", "another comment")):
        write(tmp_path / f"{name}.cram", contigs, comment)
    with pysam.AlignmentFile(str(tmp_path / "a.cram")) as opened:
        text = str(opened.header)
    for name in ("a", "b"):
        replace_header(tmp_path / f"{name}.cram", tmp_path / f"{name}.new.cram", text)
    assert (tmp_path / "a.new.cram").read_bytes() == (tmp_path / "b.new.cram").read_bytes()
    pysam.samtools.quickcheck(str(tmp_path / "b.new.cram"))
    with pysam.AlignmentFile(str(tmp_path / "b.new.cram")) as opened:
        assert str(opened.header) == text
        assert [read.query_name for read in opened.fetch(until_eof=True)] == [f"r{at}" for at in range(200)]


def test_what_is_no_cram_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"BAM\x01" + bytes(40))
    with pytest.raises(PermanentError, match="x is no CRAM 3 file"):
        replace_header(tmp_path / "x", tmp_path / "y", "")
