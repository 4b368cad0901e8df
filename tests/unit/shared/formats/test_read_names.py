"""What the names of reads tell of the sequencer, and that they never stand in the way."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.reads import Origin
from shared.formats.fastq_stream import FastqText
from shared.formats.read_names import HEAD_BYTES, MAX_READS, origin_of, origin_of_head

CASAVA = "@A00123:8:HXXX:2:1101:{x}:1047 1:N:0:{index}"


def fastq(*titles: str) -> bytes:
    return b"".join(f"{title}\nACGT\n+\nFFFF\n".encode() for title in titles)


@pytest.mark.parametrize(
    ("title", "expected", "unit"),
    [
        (
            "@A00123:8:HXXX:2:1101:1:1047 1:N:0:ACGT+TTGA",
            {"instrument": "A00123", "run": "8", "flowcell": "HXXX", "lane": "2", "model": "NovaSeq 6000"},
            "HXXX.2.ACGT+TTGA",
        ),
        (  # with a UMI
            "@LH00123:8:22ABC:2:1101:1:1047:ACG+TTG 1:N:0:ACGT",
            {"instrument": "LH00123", "flowcell": "22ABC", "model": "NovaSeq X"},
            "22ABC.2.ACGT",
        ),
        ("@M01234:8:000000000-AB1CD:1:1101:1:1047", {"model": "MiSeq"}, "000000000-AB1CD.1"),  # no comment
        ("@A00123:8:HXXX:2:1101:1:1047 1:N:0:0", {"index": ""}, "HXXX.2"),  # not demultiplexed
        ("@A00123:8:HXXX:2:1101:1:1047 1:N:0:NNNN", {"index": ""}, "HXXX.2"),
        ("@A00123:8:HXXX:2:1101:1:1047 1:N:0:7", {"index": ""}, "HXXX.2"),  # a sample number of early CASAVA
        (
            "@HWUSI-EAS100R:6:73:941:1973#ATCG/1",
            {"instrument": "HWUSI-EAS100R", "flowcell": "", "lane": "6", "first_read": ""},
            "HWUSI-EAS100R.6.ATCG",
        ),
        ("@HWUSI-EAS100R:6:73:941:1973#0/1", {"index": ""}, "HWUSI-EAS100R.6"),
        ("@V300012345L2C001R0010000001/1", {"flowcell": "V300012345", "platform": "DNBSEQ"}, "V300012345.2"),
        ("@SRR001666.1 071112_SLXA-EAS1_s_7:5:1:817:345 length=36", {"platform": ""}, ""),
        ("@1", {"platform": ""}, ""),
        ("@A00123:8:HX\u00e4X:2:1101:1:1047 1:N:0:ACGT", {"platform": ""}, ""),
    ],
)
def test_each_kind_of_name_tells_what_it_holds(title: str, expected: dict[str, str], unit: str) -> None:
    origin = origin_of([title])
    assert {key: getattr(origin, key) for key in expected} == expected
    assert origin.platform_unit == unit


def test_the_commonest_index_counts_because_single_reads_are_misread() -> None:
    titles = [CASAVA.format(x=x, index=index) for x, index in enumerate(["ANGT", "ACGT", "ACGT", "ACCT"])]
    assert origin_of(titles).index == "ACGT"


def test_what_the_reads_do_not_agree_on_is_not_told() -> None:
    other = CASAVA.format(x=2, index="ACGT").replace(":2:1101", ":3:1101")
    origin = origin_of([CASAVA.format(x=1, index="ACGT"), other])
    assert (origin.flowcell, origin.lane, origin.platform_unit) == ("HXXX", "", "")


def test_one_name_of_another_kind_makes_all_of_them_unknown() -> None:
    assert origin_of([CASAVA.format(x=1, index="ACGT"), "@x"]) == Origin()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("count", [1, 3, 20_000])
def test_the_head_of_a_file_is_enough(pack: type[bytes], count: int) -> None:
    text = pack(fastq(*(CASAVA.format(x=x, index="ACGT") for x in range(count))))
    origin = origin_of_head(text[:HEAD_BYTES])
    assert origin.platform_unit == "HXXX.2.ACGT"
    assert origin.first_read == "A00123:8:HXXX:2:1101:0:1047"


def test_only_so_many_reads_are_looked_at() -> None:
    titles = [CASAVA.format(x=x, index="ACGT") for x in range(MAX_READS)]
    assert origin_of([*titles, "@x"]).flowcell == "HXXX"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"@",
        b"\x1f\x8b",
        b"\x1f\x8bnonsense",
        gzip.compress(b"x" * 300_000, mtime=0)[:100],
        b"\x28\xb5\x2f\xfd\x00",
    ],
    ids=["empty", "one letter", "gzip's magic", "no gzip behind it", "no FASTQ", "zstd's magic"],
)
def test_a_file_that_cannot_be_read_tells_nothing(head: bytes) -> None:
    assert origin_of_head(head) == Origin()


def test_a_gzip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    head = gzip.compress(bytes(100_000_000))[:HEAD_BYTES]
    sizes = []
    read = FastqText.read
    monkeypatch.setattr(FastqText, "read", lambda text: sizes.append(len(piece := read(text))) or piece)
    assert origin_of_head(head) == Origin()
    assert sum(sizes) <= 2.2 * 1024**2


@given(head=st.binary(max_size=300))
def test_no_bytes_stand_in_the_way(head: bytes) -> None:
    origin_of_head(head)


safe = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,12}", fullmatch=True)


@given(
    instrument=safe,
    run=st.integers(0, 9999),
    flowcell=safe,
    lane=st.integers(1, 8),
    index=st.from_regex(r"[ACGT]{6,10}(\+[ACGT]{6,10})?", fullmatch=True),
)
def test_a_casava_name_is_taken_apart_as_it_was_made(
    instrument: str, run: int, flowcell: str, lane: int, index: str
) -> None:
    origin = origin_of([f"@{instrument}:{run}:{flowcell}:{lane}:1101:5:6 1:N:0:{index}"])
    assert (origin.instrument, origin.run, origin.flowcell) == (instrument, str(run), flowcell)
    assert (origin.lane, origin.index, origin.platform) == (str(lane), index, "ILLUMINA")
    assert origin.platform_unit == f"{flowcell}.{lane}.{index}"
    assert origin.platform_unit.isprintable()
