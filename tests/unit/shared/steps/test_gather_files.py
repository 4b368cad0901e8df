"""Gathering shards' files: order, borders, duplicates, and files that do not belong together."""

import gzip
from pathlib import Path

import pysam
import pytest

from shared.errors import LedgerError, PermanentError
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs

HEADER = (
    "##fileformat=VCFv4.2\n##fastq2fhir_depth_bands=0,1,5,10\n##contig=<ID=b,length=900000>\n##contig=<ID=a,length=900000>\n"
    '##INFO=<ID=END,Number=1,Type=Integer,Description="">\n##INFO=<ID=MIN_DP,Number=1,Type=Integer,Description="">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n##FORMAT=<ID=DP,Number=1,Type=Integer,Description="">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA1\n"
)


def shard(path: Path, *records: str, header: str = HEADER) -> Path:
    with pysam.BGZFile(str(path), "wb") as out:
        out.write((header + "".join(f"{record}\n" for record in records)).encode())
    return path


def variant(contig: str, pos: int, ref: str = "A", alt: str = "C", qual: str = "50") -> str:
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t{qual}\tPASS\t.\tGT:DP\t0/1:9"


def block(contig: str, pos: int, end: int, depth: int) -> str:
    stop = f"END={end};" if end > pos else ""
    return f"{contig}\t{pos}\t.\tA\t.\t.\t.\t{stop}MIN_DP={depth}\tGT:DP\t0/0:{depth}"


def records(path: Path) -> list[str]:
    return [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if not line.startswith("#")]


def test_a_record_that_moved_left_over_the_border_goes_where_it_belongs(tmp_path):
    first = shard(tmp_path / "0.vcf.gz", variant("b", 90), variant("b", 100))
    second = shard(tmp_path / "1.vcf.gz", variant("b", 97, "AT", "A"), variant("b", 105), variant("a", 1))
    out = gather_vcfs([first, second], tmp_path / "all.vcf.gz")
    assert [record.split("\t")[:2] for record in records(out.path)] == [
        ["b", "90"], ["b", "97"], ["b", "100"], ["b", "105"], ["a", "1"],
    ]  # fmt: skip
    assert (out.records_in, out.merged, out.records) == (5, 0, 5)
    with pysam.TabixFile(str(out.path), index=str(out.index)) as tabix:
        assert [row.split("\t")[1] for row in tabix.fetch("b", 95, 101)] == ["97", "100"]


def test_the_same_allele_from_both_sides_of_a_border_stays_once_with_the_higher_qual(tmp_path):
    first = shard(tmp_path / "0.vcf.gz", variant("b", 97, "AT", "A", "30.5"))
    second = shard(tmp_path / "1.vcf.gz", variant("b", 97, "AT", "A", "200"), variant("b", 97, "AT", "G"))
    out = gather_vcfs([first, second], tmp_path / "all.vcf.gz")
    assert records(out.path) == [variant("b", 97, "AT", "A", "200"), variant("b", 97, "AT", "G")]
    assert (out.records_in, out.merged, out.records) == (3, 1, 2)


def test_shards_in_the_wrong_order_are_refused(tmp_path):
    first = shard(tmp_path / "0.vcf.gz", variant("b", 10))
    second = shard(tmp_path / "1.vcf.gz", variant("b", 300_000))
    with pytest.raises(LedgerError, match=r"b:10 comes after one that lies more than 100,000 bp further on"):
        gather_vcfs([second, shard(tmp_path / "2.vcf.gz", variant("b", 500_000)), first], tmp_path / "all.vcf.gz")


def test_a_block_cut_by_several_borders_becomes_one(tmp_path):
    parts = [
        shard(tmp_path / "0.vcf.gz", block("b", 1, 10, 2), block("b", 11, 20, 8)),
        shard(tmp_path / "1.vcf.gz", block("b", 21, 30, 6)),
        shard(tmp_path / "2.vcf.gz", block("b", 31, 31, 9), variant("b", 32)),
        shard(tmp_path / "3.vcf.gz"),
        shard(tmp_path / "4.vcf.gz", block("b", 33, 40, 9)),
    ]
    out = gather_gvcfs(parts, tmp_path / "all.vcf.gz")
    assert records(out.path) == [block("b", 1, 10, 2), block("b", 11, 31, 6), variant("b", 32), block("b", 33, 40, 9)]
    assert (out.records_in, out.merged, out.records) == (6, 2, 4)


def test_blocks_of_different_bands_stay_two_at_a_border(tmp_path):
    parts = [shard(tmp_path / "0.vcf.gz", block("b", 1, 10, 2)), shard(tmp_path / "1.vcf.gz", block("b", 11, 20, 5))]
    assert gather_gvcfs(parts, tmp_path / "all.vcf.gz").merged == 0


@pytest.mark.parametrize("gather", [gather_vcfs, gather_gvcfs])
def test_empty_shards_give_an_empty_file_with_an_index(tmp_path, gather):
    out = gather([shard(tmp_path / "0.vcf.gz"), shard(tmp_path / "1.vcf.gz")], tmp_path / "all.vcf.gz")
    assert (out.records, records(out.path)) == (0, [])
    assert out.index.exists()


@pytest.mark.parametrize("gather", [gather_vcfs, gather_gvcfs])
def test_files_that_do_not_belong_together_are_refused(tmp_path, gather):
    first = shard(tmp_path / "0.vcf.gz", variant("b", 1))
    other = shard(tmp_path / "1.vcf.gz", header=HEADER.replace("NA1", "NA2"))
    with pytest.raises(PermanentError, match=r"1\.vcf\.gz has another header"):
        gather([first, other], tmp_path / "all.vcf.gz")
    with pytest.raises(PermanentError, match=r"no shard files to gather"):
        gather([], tmp_path / "all.vcf.gz")
    cut_off = tmp_path / "2.vcf.gz"
    cut_off.write_bytes(gzip.compress((HEADER + variant("b", 2)).encode()))
    with pytest.raises(PermanentError, match=r"2\.vcf\.gz ends inside a line"):
        gather([first, cut_off], tmp_path / "all.vcf.gz")


def test_bams_are_concatenated_in_order_and_indexed(tmp_path):
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "b", "LN": 1000}]}
    paths = []
    for number, starts in enumerate(([5, 9], [], [200])):
        paths.append(tmp_path / f"{number}.bam")
        with pysam.AlignmentFile(str(paths[-1]), "wb", header=header) as out:
            for start in starts:
                record = pysam.AlignedSegment(out.header)
                record.query_name, record.reference_id, record.reference_start = f"r{start}", 0, start
                record.query_sequence, record.cigarstring = "ACGT", "4M"
                out.write(record)
    gathered = gather_bams(paths, tmp_path / "all.bam")
    with pysam.AlignmentFile(str(gathered.path), index_filename=str(gathered.index)) as bam:
        assert [record.query_name for record in bam] == ["r5", "r9", "r200"]
        assert [record.query_name for record in bam.fetch("b", 100, 300)] == ["r200"]
        assert "PG" not in bam.header.to_dict()


def test_a_file_that_is_no_bam_is_refused(tmp_path):
    (tmp_path / "0.bam").write_bytes(b"not a BAM")
    with pytest.raises(PermanentError, match=r"samtools cat .* failed: .*input is not BAM"):
        gather_bams([tmp_path / "0.bam"], tmp_path / "all.bam")
