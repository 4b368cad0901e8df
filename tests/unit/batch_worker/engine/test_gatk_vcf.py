"""GATK's lines: hard filters, blocks cut at borders, headers without runs; and what a node without GATK says."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_worker import commands
from batch_worker.engine.borders import Owner
from batch_worker.engine.gatk import _has_counts
from batch_worker.engine.gatk_tools import find_gatk
from batch_worker.engine.gatk_vcf import HardFilters, cut_gvcf, finish, header, owned_variants
from batch_worker.engine.vcf_text import VariantCounts
from shared.domain.genome import Interval
from shared.errors import PermanentError

GOOD = {"QD": "20.0", "FS": "1.0", "SOR": "0.7", "MQ": "60.00", "MQRankSum": "0.0", "ReadPosRankSum": "0.1"}


def record(ref: str = "A", alt: str = "G", qual: str = "500.1", depth: str = "30", **info: str | None) -> str:
    fields = ";".join(f"{key}={value}" for key, value in {**GOOD, **info}.items() if value is not None)
    return f"chr1\t100\t.\t{ref}\t{alt}\t{qual}\t.\t{fields}\tGT:AD:DP:GQ:PL\t0/1:15,15:{depth}:99:500,0,500"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (record(), "PASS"),
        (record(qual="29.9"), "LowQual"),
        (record(qual="30"), "PASS"),
        (record(depth="2"), "LowDepth"),
        (record(depth="."), "LowDepth"),
        (record(QD="1.9"), "LowQD"),
        (record(FS="60.1"), "HighFS"),
        (record(alt="AT", FS="60.1"), "PASS"),  # an indel's limit is 200
        (record(alt="AT", FS="200.1"), "HighFS"),
        (record(SOR="3.1"), "HighSOR"),
        (record(alt="AT", SOR="9"), "PASS"),
        (record(MQ="39.99"), "LowMapQ"),
        (record(ref="AT", MQ="39.99"), "PASS"),
        (record(MQRankSum="-12.6"), "LowMQRankSum"),
        (record(ReadPosRankSum="-8.1"), "LowReadPosRankSum"),
        (record(ref="AT", ReadPosRankSum="-19"), "PASS"),
        (record(ref="AT", ReadPosRankSum="-20.1"), "LowReadPosRankSum"),
        (record(MQRankSum=None, ReadPosRankSum=None), "PASS"),  # homozygous: nothing to compare
        (record(qual="10", QD="0.5", MQ="20"), "LowQual;LowQD;LowMapQ"),
    ],
)
def test_hard_filters_are_those_of_gatks_documentation(line: str, verdict: str) -> None:
    counts = VariantCounts()
    (done,) = finish([line], HardFilters(), counts)
    assert done.split("\t")[6] == verdict
    assert (counts.variants, counts.passing) == (1, verdict == "PASS")
    names = {text.partition("ID=")[2].partition(",")[0] for text in HardFilters().header_lines()}
    assert set(verdict.split(";")) <= {"PASS", *names}


def test_the_placeholder_of_a_spanning_deletion_is_no_variant() -> None:
    counts = VariantCounts()
    assert list(finish([record(alt="*")], HardFilters(), counts)) == []
    assert counts.variants == 0


def block(start: int, end: int, letter: str = "A") -> str:
    columns = (
        "chr1",
        start + 1,
        ".",
        letter,
        "<NON_REF>",
        ".",
        ".",
        f"END={end}",
        "GT:DP:GQ:MIN_DP:PL",
        "0/0:9:27:8:0,27",
    )
    return "\t".join(map(str, columns))


@given(
    breaks=st.sets(st.integers(1, 299), max_size=20),
    own=st.tuples(st.integers(0, 150), st.integers(151, 300)),
)
def test_pieces_of_blocks_cover_what_is_owned_once(breaks: set[int], own: tuple[int, int]) -> None:
    edges = [0, *sorted(breaks), 300]
    lines = [block(a, b) for a, b in itertools.pairwise(edges)]
    owner = Owner([Interval("chr1", *own)])
    reached = own[0]
    for line in cut_gvcf(lines, owner, lambda piece: "ACGT"[piece.start % 4]):
        columns = line.split("\t")
        start, end = int(columns[1]) - 1, int(columns[7].removeprefix("END="))
        assert start == reached < end
        whole = line in lines
        assert whole or columns[3] == "ACGT"[start % 4]
        assert columns[9] == "0/0:9:27:8:0,27"
        reached = end
    assert reached == own[1]


def test_a_variant_belongs_where_it_starts_even_when_it_reaches_over_the_border() -> None:
    line = "chr1\t100\t.\tACGT\tA,<NON_REF>\t50\t.\tDP=3\tGT\t0/1"
    for owner, lines in ((Owner([Interval("chr1", 0, 100)]), [line]), (Owner([Interval("chr1", 100, 200)]), [])):
        assert list(cut_gvcf([line], owner, lambda _: "N")) == lines
        assert list(owned_variants([line], owner)) == lines


def test_a_header_keeps_what_describes_and_loses_what_tells_of_a_run() -> None:
    lines = [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=LowQual,Description="Low quality">',
        '##GATKCommandLine=<ID=HaplotypeCaller,Date="November 22">',
        "##GVCFBlock0-1=minGQ=0(inclusive),maxGQ=1(exclusive)",
        "##reference=file:///tmp/reference.fa",
        "##source=HaplotypeCaller",
        "#CHROM\tPOS",
    ]
    assert header(lines, ["##own"]) == [lines[0], lines[3], "##own", lines[-1]]


def test_a_node_without_gatk_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentError, match=r"this node has no GATK: .* holds 0 files.*`\./run gatk`"):
        find_gatk(tmp_path)
    (tmp_path / "gatk-4.6.2.0.jar").touch()
    (tmp_path / "gatk-native-bindings-1.1.0.jar").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match=r"has no `java` on its PATH"):
        find_gatk(tmp_path)
    (tmp_path / "java").touch(mode=0o755)
    assert find_gatk(tmp_path).version == "4.6.2.0"


def test_a_table_without_observations_is_known_from_one_with_some(tmp_path: Path) -> None:
    table = tmp_path / "recalibration.table"
    start = "#:GATKReport.v1.1:5\n#:GATKTable:RecalTable0:\nReadGroup  EventType  EmpiricalQuality\n"
    for rows, expected in (("\n#:GATKTable:RecalTable1:\n", False), ("", False), ("L1  M  26.0000\n\n", True)):
        table.write_text(start + rows)
        assert _has_counts(table) == expected
    table.write_text("nothing\n")
    with pytest.raises(PermanentError, match="is no recalibration table of GATK"):
        _has_counts(table)


def test_haplotype_caller_sums_in_one_order_and_names_no_run() -> None:
    made = commands.haplotype_caller(
        Path("a.bam"), Path("o"), reference=Path("r"), intervals_bed=Path("i.bed"), ploidy=1
    )
    argv = commands.gatk(made, home=Path("/opt/gatk"), scratch=Path("/s"), heap_mb=100)
    text = " ".join(argv)
    assert argv[0] == "java"
    assert "-cp /opt/gatk/* org.broadinstitute.hellbender.Main HaplotypeCaller" in text
    for words in (
        "--native-pair-hmm-threads 1",
        "--add-output-vcf-command-line false",
        "--sample-ploidy 1",
        "-ERC GVCF",
    ):
        assert words in text
