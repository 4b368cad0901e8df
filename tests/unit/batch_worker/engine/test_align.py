"""Aligning one chunk: header, counts, refusals."""

import io

import pysam
import pytest

from batch_worker.engine.align import align_chunk
from batch_worker.engine.header import SamReadGroup, header_text, parse_read_groups, read_dict
from shared.domain.genome import Contig, Interval, Shard, cut_shards
from shared.errors import PermanentError
from tests.engine_pipeline import HALO_BP, chunks

GROUP = SamReadGroup("L1", "NA1", "lib1", "ILLUMINA", "F1.L1")


def align(reads, reference, out_dir, **changes):
    settings = {
        "index_prefix": reference,
        "read_group": GROUP,
        "shards": cut_shards(read_dict(reference.with_name("reference.fa.dict")), 4_000),
        "halo_bp": HALO_BP,
        "batch_pairs": 200,
        "threads": 1,
        "out_dir": out_dir,
        "log": out_dir.with_suffix(".log"),
    }
    return align_chunk(reads, **{**settings, **changes})


def test_header_names_programs_and_versions_but_no_paths_or_dates(whole, reference):
    with pysam.AlignmentFile(str(whole.bam.path)) as bam:
        header = bam.header.to_dict()
    assert header["HD"] == {"VN": "1.6", "SO": "coordinate"}
    assert [(s["SN"], s["LN"]) for s in header["SQ"]] == [("chrA", 8_000), ("chrB", 3_300), ("chrC", 90)]
    assert all(len(s["M5"]) == 32 for s in header["SQ"])
    assert [group["ID"] for group in header["RG"]] == ["L1", "L2"]
    assert [program["ID"] for program in header["PG"]] == ["bwa-mem3", "duplicates"]
    assert header["PG"][0]["VN"]
    assert str(reference.parent) not in str(header)


def test_vcf_headers_name_programs_and_settings_but_no_paths_or_dates(whole, reference):
    for path in (whole.vcf.path, whole.gvcf.path):
        with pysam.VariantFile(str(path)) as vcf:
            text = str(vcf.header)
            assert list(vcf.header.samples) == ["NA1"]
        assert "##source=fastq2fhir: bwa-mem3 " in text
        assert "-m -P 0.005 --ploidy 2 -g 0,1,5" in text
        for word in ("file:", str(reference.parent), "Date", "2026", "bcftools_"):
            assert word not in text


def test_variants_have_one_alt_a_filter_and_the_promised_format(whole):
    with pysam.VariantFile(str(whole.vcf.path)) as vcf:
        variants = list(vcf)
    assert len(variants) == whole.called[0].variants.variants
    for variant in variants:
        assert len(variant.alts or ()) == 1
        assert list(variant.filter)
        assert list(variant.format)[:4] == ["GT", "AD", "DP", "GQ"]


def test_final_records_carry_no_private_tag(whole):
    with pysam.AlignmentFile(str(whole.bam.path)) as bam:
        for record in bam.fetch(until_eof=True):
            assert not record.has_tag("md")
            assert record.get_tag("RG") in {"L1", "L2"}


def test_a_chunk_without_reads_gives_empty_parts(reference, tmp_path):
    summary = align(io.BytesIO(b""), reference, tmp_path / "out")
    assert (summary.pairs, summary.primary, summary.metrics.bases) == (0, 0, 0)
    assert [part.records for part in summary.parts] == [0, 0, 0]
    with pysam.AlignmentFile(str(summary.parts[0].path)) as bam:
        assert list(bam.fetch(until_eof=True)) == []


def test_a_file_object_and_a_path_give_the_same_parts(world, reference, tmp_path):
    text = chunks(world.read_groups["L1"], 200)[0]
    (tmp_path / "reads.fastq").write_bytes(text)
    one = align(io.BytesIO(text), reference, tmp_path / "one")
    two = align(tmp_path / "reads.fastq", reference, tmp_path / "two", threads=2)
    assert [part.path.read_bytes() for part in one.parts] == [part.path.read_bytes() for part in two.parts]
    assert one.metrics.counts() == two.metrics.counts()
    assert one.metrics.q30_bases > 0


def test_records_on_disk_give_the_same_parts(world, reference, tmp_path):
    text = chunks(world.read_groups["L1"], 10**6)[0]
    one = align(io.BytesIO(text), reference, tmp_path / "one", batch_pairs=50)
    half = one.primary * 200  # bytes: some batches stay in memory
    for name, kept in (("none", 0), ("half", half)):
        other = align(io.BytesIO(text), reference, tmp_path / name, batch_pairs=50, kept_bytes=kept)
        assert [part.path.read_bytes() for part in one.parts] == [part.path.read_bytes() for part in other.parts]
        assert sorted(path.suffix for path in (tmp_path / name).iterdir()) == [".bam"] * len(one.parts)


def test_each_part_is_told_of_when_it_is_whole_and_before_the_next(world, reference, tmp_path):
    seen = []

    def look(part):
        seen.append((part.shard, part.path.stat().st_size == part.size, len(list((tmp_path / "out").glob("*.bam")))))

    align(io.BytesIO(chunks(world.read_groups["L1"], 200)[0]), reference, tmp_path / "out", on_part=look)
    assert seen == [(0, True, 1), (1, True, 2), (2, True, 3)]


def test_the_aligners_chatter_goes_to_the_log(world, reference, tmp_path, capfd):
    align(io.BytesIO(chunks(world.read_groups["L1"], 200)[0]), reference, tmp_path / "out")
    assert "FMI" in (tmp_path / "out.log").read_text()
    assert capfd.readouterr().err == ""


def test_shards_of_another_reference_are_refused(world, reference, tmp_path):
    alien = (Shard(0, (Interval("chrX", 0, 50),), is_last=True),)
    reads = io.BytesIO(chunks(world.read_groups["L1"], 200)[0])
    with pytest.raises(PermanentError, match=r"chrX:0-50 .* names a contig that the reference lacks"):
        align(reads, reference, tmp_path / "out", shards=alien)


def test_impossible_settings_are_refused(reference, tmp_path):
    with pytest.raises(PermanentError, match="batch_pairs is 0"):
        align(io.BytesIO(b""), reference, tmp_path / "out", batch_pairs=0)


def test_read_group_fields_must_be_printable():
    with pytest.raises(PermanentError, match=r"Read group field 'library' is 'a\\tb'"):
        SamReadGroup("L1", "NA1", "a\tb", "ILLUMINA", "u")


def test_read_groups_survive_the_header():
    text = header_text([Contig("1", 10)], [GROUP], ["@PG\tID:x"])
    assert text.splitlines() == [
        "@HD\tVN:1.6\tSO:coordinate",
        "@SQ\tSN:1\tLN:10", "@RG\tID:L1\tSM:NA1\tLB:lib1\tPL:ILLUMINA\tPU:F1.L1", "@PG\tID:x",
    ]  # fmt: skip
    assert parse_read_groups(text) == (GROUP,)
    known = SamReadGroup("L1", "NA1", "lib1", "ILLUMINA", "HX.1.ACGT+TTGA", "NovaSeq 6000")
    assert known.line().endswith("\tPU:HX.1.ACGT+TTGA\tPM:NovaSeq 6000")
    assert parse_read_groups(header_text([Contig("1", 10)], [known], [])) == (known,)
