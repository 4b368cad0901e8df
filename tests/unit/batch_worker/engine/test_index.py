"""Index files byte by byte, against digests of what bwa wrote and against a plain reading of the format."""

import gzip
import hashlib
import struct
from pathlib import Path

import pytest

from batch_worker.engine.fasta import read_contigs
from batch_worker.engine.index import INDEX_SUFFIXES, build_index
from shared.errors import PermanentError

# Two contigs with a comment, lower case, N runs of both cases, IUPAC codes, and a length that is no multiple of four.
AWKWARD = b""">one first contig
ACGTTGCATGCCGATTACAGGCATTNNNNNNNNNN
NNNNACGTacgtnnnnRYACGGTCATTGCATGCCA
TTGACCATGAC
>two
GGCATTACGGATCCATTRSWKMBDHVNGATTACAG
CATGCATGGCATTACCATGACCGTATTACGGCATC
ACA
"""


# First 16 hex digits of SHA-256. .pac .ann .amb: what `bwa index` 0.7.17 writes; .fai: `samtools faidx` 1.16.1;
# .0123 and .bwt.2bit.64: what the C++ indexer of bwa-mem3 0.4.4 writes (without its last 8 bytes, the sampling rate,
# which bwa-mem2's format does not have).
GOLDEN = {
    "reference.fa": "ad715a6efd489920",
    "reference.fa.fai": "3cc51275a4e43371",
    "reference.fa.dict": "b8918747d7006fdb",
    "reference.fa.0123": "88a2aeb34cb9d4a8",
    "reference.fa.pac": "5d242d7dcf854194",
    "reference.fa.ann": "7b3971f3bd23756e",
    "reference.fa.amb": "f297eb53295ed421",
    "reference.fa.bwt.2bit.64": "41a5cf3df654ada0",
}


def digests(files: list[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}


def test_index_files_have_the_bytes_that_the_real_indexers_wrote(tmp_path):
    source = tmp_path / "awkward.fa"
    source.write_bytes(AWKWARD)
    assert digests(build_index(source, tmp_path / "index")) == GOLDEN


def test_plain_gzip_and_bgzip_give_the_same_files(tmp_path):
    import pysam

    plain = tmp_path / "plain.fa"
    plain.write_bytes(AWKWARD)
    (tmp_path / "zipped.fa.gz").write_bytes(gzip.compress(AWKWARD))
    pysam.tabix_compress(str(plain), str(tmp_path / "bgzf.fa.gz"))
    (tmp_path / "windows.fa").write_bytes(AWKWARD.replace(b"\n", b"\r\n"))
    expected = digests(build_index(plain, tmp_path / "a"))
    for number, name in enumerate(("zipped.fa.gz", "bgzf.fa.gz", "windows.fa")):
        assert digests(build_index(tmp_path / name, tmp_path / str(number))) == expected


def test_bwt_file_holds_what_its_format_says_of_a_naive_suffix_array(tmp_path):
    source = tmp_path / "awkward.fa"
    source.write_bytes(AWKWARD)
    build_index(source, tmp_path)
    both = (tmp_path / "reference.fa.0123").read_bytes()
    size = len(both) + 1
    suffixes = sorted(range(size), key=lambda at: both[at:])
    data = (tmp_path / "reference.fa.bwt.2bit.64").read_bytes()
    total, *counts = struct.unpack_from("<6q", data)
    assert total == size
    assert counts == [sum(base < limit for base in both) for limit in range(5)]
    for row, suffix in enumerate(suffixes):
        at = 48 + row // 64 * 64
        before, bits = struct.unpack_from("<4q", data, at), struct.unpack_from("<4Q", data, at + 32)
        symbol = both[suffix - 1] if suffix else None
        assert [bit >> (63 - row % 64) & 1 for bit in bits] == [symbol == base for base in range(4)]
        if row % 64 == 0:
            assert list(before) == [sum(s and both[s - 1] == base for s in suffixes[:row]) for base in range(4)]
    at = 48 + (size // 64 + 1) * 64
    count = size // 8 + 1
    high = struct.unpack_from(f"<{count}b", data, at)
    low = struct.unpack_from(f"<{count}I", data, at + count)
    assert [h << 32 | w for h, w in zip(high, low, strict=True)] == suffixes[::8]
    assert struct.unpack_from("<q", data, at + 5 * count) == (suffixes.index(0),)
    assert len(data) == at + 5 * count + 8


def test_index_names_all_its_files_and_the_fasta_first(tmp_path):
    source = tmp_path / "awkward.fa"
    source.write_bytes(AWKWARD)
    files = build_index(source, tmp_path / "index")
    assert [file.name for file in files] == ["reference.fa", *(f"reference.fa{s}" for s in INDEX_SUFFIXES)]
    assert files[0].read_bytes() == AWKWARD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", r"bad\.fa is empty", id="empty file"),
        pytest.param(b"ACGT\n>a\nACGT\n", r"line 1: the first line .* must start with '>'", id="no title"),
        pytest.param(b">a\nACGT\n>\nACGT\n", r"line 3: a title without a contig name", id="no name"),
        pytest.param(b"> a\nACGT\n", r"line 1: a title without a contig name", id="blank before the name"),
        pytest.param(b">a\nACGT\n>b\n>c\nAC\n", r"line 3: contig 'b' has no sequence", id="no letters"),
        pytest.param(b">a x\nACGT\n>b\nAC\n>a y\nAC\n", r"line 5: contig 'a' was already named on line 1", id="twice"),
        pytest.param(b">a\nACGT\nAC!T\n", r"line 3: contig 'a' holds b'!', which is no IUPAC DNA code", id="letter"),
        pytest.param(b">a\nACGU\n", r"line 2: contig 'a' holds b'U'", id="RNA"),
        pytest.param(
            b">a\nACGT\nAC\nACGT\n", r"line 3: contig 'a' has a line of 2 letters among lines of 4", id="ragged"
        ),
        pytest.param(b">a\nAC\nACGT\n", r"line 3: .* a line of 4 letters among lines of 2", id="last too long"),
        pytest.param(b">a\nACGT\n\nACGT\n", r"line 3: .* a line of 0 letters", id="blank line inside"),
        pytest.param(b">a\nACGT\n", r"The reference has 4 bp in all", id="too short"),
    ],
)
def test_malformed_fasta_is_refused_with_its_line(tmp_path, text, message):
    source = tmp_path / "bad.fa"
    source.write_bytes(text)
    with pytest.raises(PermanentError, match=message):
        build_index(source, tmp_path / "index")


def test_blank_lines_at_the_end_of_a_contig_do_no_harm(tmp_path):
    source = tmp_path / "a.fa"
    source.write_bytes(b"\n>a\tcomment here\nACGT\nAC\n\n\n>b\nA\n\n")
    first, second = read_contigs(source)
    assert (first.name, first.comment, first.sequence) == ("a", "comment here", b"ACGTAC")
    assert (second.name, second.comment, second.sequence) == ("b", "", b"A")
