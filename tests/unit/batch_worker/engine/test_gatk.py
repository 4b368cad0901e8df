"""GATK for real on the small world: its files are like the other caller's, and the same however reads were cut."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.call import CallSummary
from batch_worker.engine.gatk import GatkOptions, RecalibrationSummary, call_shard_gatk, recalibrate_shard
from batch_worker.engine.gatk_tools import Gatk
from batch_worker.engine.header import read_dict
from batch_worker.engine.joint import JointOptions, genotype_jointly
from shared.domain.genome import Interval, Shard, cut_shards
from shared.domain.intervals import subtracted
from shared.domain.karyotype import CallRegion
from shared.domain.order import Caller
from shared.errors import PermanentError
from shared.formats.known_sites import prepare_known_sites
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP, Outcome, align_all
from tests.gatk_home import gatk_or_skip
from tests.simulate import World

pytestmark = pytest.mark.thorough
SHARD_BP = 6_000


@pytest.fixture(scope="session")
def gatk() -> Gatk:
    return gatk_or_skip()


@dataclass(frozen=True)
class Sample:
    """A sample cut in two shards; each step is a run of some tools, so a test takes those that it needs."""

    gatk: Gatk
    reference: Path
    known_sites: Path
    work: Path
    shards: tuple[Shard, ...]
    parts: tuple[list[Path], ...]

    def recalibrate(self, shard: int) -> RecalibrationSummary:
        return recalibrate_shard(
            self.parts[shard],
            shard=self.shards[shard],
            reference=self.reference,
            known_sites=[self.known_sites],
            halo_bp=HALO_BP,
            gatk=self.gatk,
            out_dir=self.work / f"recalibrated-{shard}",
            log=self.work / "log",
        )

    def call(self, shard: int, tables: list[Path], regions: list[CallRegion] | None = None) -> CallSummary:
        return call_shard_gatk(
            self.parts[shard],
            shard=self.shards[shard],
            tables=tables,
            reference=self.reference,
            halo_bp=HALO_BP,
            options=GatkOptions(),
            regions=regions,
            gatk=self.gatk,
            out_dir=self.work / f"called-{shard}",
            log=self.work / "log",
        )


def cut(gatk: Gatk, world: World, reference: Path, whole: Outcome, work: Path, **layout: int) -> Sample:
    contigs = read_dict(reference.with_name("reference.fa.dict"))
    shards = cut_shards(contigs, SHARD_BP)
    aligned = align_all(world, reference, work / "aligned", shards, **({"chunk_pairs": 10**6} | layout))
    known_sites = work / "known.vcf.gz"
    prepare_known_sites(whole.vcf.path, reference, contigs, known_sites)
    parts = tuple([summary.parts[shard.number].path for summary in aligned] for shard in shards)
    return Sample(gatk, reference, known_sites, work, shards, parts)


@dataclass(frozen=True)
class Called:
    sample: Sample
    recalibrated: list[RecalibrationSummary]
    called: list[CallSummary]
    bam: Path
    vcf: Path
    gvcf: Path

    @property
    def tables(self) -> list[Path]:
        return [summary.table for summary in self.recalibrated]


@pytest.fixture(scope="session")
def called(
    gatk: Gatk, world: World, reference: Path, whole: Outcome, tmp_path_factory: pytest.TempPathFactory
) -> Called:
    sample = cut(gatk, world, reference, whole, tmp_path_factory.mktemp("gatk"))
    assert len(sample.shards) == 2
    recalibrated = [sample.recalibrate(shard) for shard in range(2)]
    summaries = [sample.call(shard, [one.table for one in recalibrated]) for shard in range(2)]
    return Called(
        sample,
        recalibrated,
        summaries,
        gather_bams([s.bam for s in summaries], sample.work / "all.bam").path,
        gather_vcfs([s.vcf for s in summaries], sample.work / "all.vcf.gz").path,
        gather_gvcfs([s.gvcf for s in summaries], sample.work / "all.g.vcf.gz").path,
    )


def rows(vcf: Path) -> list[list[str]]:
    return [line.split("\t") for line in gzip.decompress(vcf.read_bytes()).decode().splitlines() if line[0] != "#"]


def header(vcf: Path) -> str:
    return "".join(f"{x}\n" for x in gzip.decompress(vcf.read_bytes()).decode().splitlines() if x[0] == "#")


def alleles(vcf: Path) -> set[tuple[str, ...]]:
    return {(row[0], row[1], row[3], row[4]) for row in rows(vcf) if row[6] == "PASS"}


def records(bam: Path) -> Iterator[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(bam)) as opened:
        yield from opened.fetch(until_eof=True)


def place(record: pysam.AlignedSegment) -> tuple[object, ...]:
    return record.query_name, record.flag, record.reference_id, record.reference_start, record.cigarstring


def test_the_bam_has_the_same_records_with_other_qualities(called: Called, whole: Outcome) -> None:
    mine, other = list(records(called.bam)), list(records(whole.bam.path))
    assert [place(record) for record in mine] == [place(record) for record in other]
    assert [sorted(record.get_tags()) for record in mine] == [sorted(record.get_tags()) for record in other]
    changed = sum(a.query_qualities != b.query_qualities for a, b in zip(mine, other, strict=True))
    assert changed > len(mine) / 2
    assert sum(summary.records for summary in called.recalibrated) == whole.called[0].reads.records
    for count in ("records", "primary", "duplicates", "unplaced"):
        assert sum(getattr(s.reads, count) for s in called.called) == getattr(whole.called[0].reads, count)
    assert sum(s.depth.depth_sum for s in called.called) == whole.called[0].depth.depth_sum


def test_gatk_finds_what_the_other_caller_finds(called: Called, whole: Outcome) -> None:
    mine, other = alleles(called.vcf), alleles(whole.vcf.path)
    assert len(mine & other) > 0.8 * len(other)
    counts = [summary.variants for summary in called.called]
    assert sum(c.variants for c in counts) == len(rows(called.vcf))
    assert sum(c.passing for c in counts) == len(mine)
    for row in rows(called.vcf):
        assert row[8].startswith("GT:AD:DP:GQ")
        assert row[4] not in {"*", "<NON_REF>"}
        assert set(row[6].split(";")) <= {"PASS", *filters(called.vcf)}


def filters(vcf: Path) -> set[str]:
    return {line[13:].partition(",")[0] for line in header(vcf).splitlines() if line.startswith("##FILTER=<ID=")}


def test_headers_name_programs_and_settings_and_neither_runs_nor_paths(called: Called) -> None:
    with pysam.AlignmentFile(str(called.bam)) as bam:
        texts = [header(called.vcf), header(called.gvcf), str(bam.header)]
    for text in texts:
        assert called.sample.gatk.version in text
        assert str(called.sample.work) not in text
        assert str(called.sample.gatk.home) not in text
        assert "CommandLine" not in text
        assert "file://" not in text


def test_the_gvcf_says_something_of_every_base_once(called: Called) -> None:
    reached = {contig.name: 0 for contig in read_dict(called.sample.reference.with_name("reference.fa.dict"))}
    lengths = {c.name: c.length for c in read_dict(called.sample.reference.with_name("reference.fa.dict"))}
    starts, last_block = set(), ("", 0)
    for row in rows(called.gvcf):
        start, is_block = int(row[1]) - 1, row[4] == "<NON_REF>"
        starts.add((row[0], start))
        assert start <= reached[row[0]], "a gap"
        # GATK begins a block inside of a deletion that it thinks unlikely; no place is in two blocks.
        assert not is_block or (row[0], start) >= last_block or row[0] != last_block[0], "two blocks overlap"
        end = int(row[7].partition("END=")[2].split(";")[0]) if "END=" in row[7] else start + len(row[3])
        reached[row[0]] = max(reached[row[0]], end)
        last_block = (row[0], end) if is_block else last_block
    assert reached == lengths
    border = called.sample.shards[1].intervals[0]
    assert (border.contig, border.start) in starts, "cut exactly at the border"


def test_chunks_and_threads_leave_no_trace(
    called: Called, gatk: Gatk, world: World, reference: Path, whole: Outcome, tmp_path: Path
) -> None:
    again = cut(gatk, world, reference, whole, tmp_path, chunk_pairs=2 * BATCH_PAIRS, threads=2)
    assert again.recalibrate(1).table.read_bytes() == called.tables[1].read_bytes()
    summary = again.call(1, called.tables)
    first = called.called[1]
    assert summary.vcf.read_bytes() == first.vcf.read_bytes()
    assert summary.gvcf.read_bytes() == first.gvcf.read_bytes()
    assert summary.bam.read_bytes() == first.bam.read_bytes()


def test_a_region_may_have_another_ploidy_and_without_tables_qualities_stay(
    called: Called, whole: Outcome, tmp_path: Path
) -> None:
    haploid = Interval("chrB", 1_000, 2_600)
    sample = Sample(**{**vars(called.sample), "work": tmp_path / "with space"})
    diploid = subtracted(sample.shards[1].intervals, (haploid,))
    summary = sample.call(1, [], [CallRegion(2, diploid), CallRegion(1, (haploid,))])
    seen = set()
    for path in (summary.vcf, summary.gvcf):
        for row in rows(path):
            start = int(row[1]) - 1
            in_region = row[0] == haploid.contig and haploid.start <= start < haploid.end
            if path == summary.gvcf:  # normalising may move a variant across the region's border
                assert len(row[9].partition(":")[0].replace("|", "/").split("/")) == (1 if in_region else 2)
            seen.add(in_region)
        places = [(row[0], int(row[1])) for row in rows(path)]
        assert places == sorted(places)
    assert seen == {True, False}
    original = {place(r): r.query_qualities for r in records(whole.bam.path)}
    assert all(record.query_qualities == original[place(record)] for record in records(summary.bam))


def other_sample(gvcf: Path, name: str, out: Path, skipped: slice) -> Path:
    """The same GVCF under another sample's name, without some of its variants' evidence."""
    lines = gzip.decompress(gvcf.read_bytes()).decode().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("#CHROM"))
    lines[at] = lines[at].rpartition("\t")[0] + f"\t{name}"
    body = lines[at + 1 :]
    variants = [i for i, line in enumerate(body) if line.split("\t")[4] not in {".", "<NON_REF>"}]
    for i in variants[skipped]:
        body[i] = ""
    with pysam.BGZFile(str(out), "wb") as target:
        target.write("".join(f"{line}\n" for line in [*lines[: at + 1], *body] if line).encode())
    pysam.tabix_index(str(out), preset="vcf", force=True)
    return out


def test_a_cohort_of_gatks_gvcfs_is_genotyped_together(called: Called, tmp_path: Path) -> None:
    other = other_sample(called.gvcf, "NA2", tmp_path / "NA2.g.vcf.gz", slice(0, None, 2))
    joint = genotype_jointly(
        [other, called.gvcf],
        reference=called.sample.reference,
        gatk=called.sample.gatk,
        options=JointOptions(),
        out=tmp_path / "cohort.vcf.gz",
        log=tmp_path / "log",
    )
    assert (joint.caller, joint.samples) == (Caller.GATK, ("NA2", "NA1"))
    found = rows(joint.vcf)
    assert len(found) == joint.records > 0.9 * len(rows(called.vcf))
    mine = [row for row in found if "1" in row[10].partition(":")[0]]
    both = [row for row in mine if "1" in row[9].partition(":")[0]]
    assert 0.3 * len(mine) < len(both) < 0.7 * len(mine)
    assert str(tmp_path) not in header(joint.vcf)


def test_a_cohort_of_bcftools_gvcfs_is_joined(whole: Outcome, reference: Path, tmp_path: Path) -> None:
    gvcf = whole.gvcf.path
    other = other_sample(gvcf, "NA2", tmp_path / "NA2.g.vcf.gz", slice(0, None, 2))
    joint = genotype_jointly(
        [gvcf, other],
        reference=reference,
        gatk=None,
        options=JointOptions(),
        out=tmp_path / "cohort.vcf.gz",
        log=tmp_path / "log",
    )
    assert (joint.caller, joint.samples) == (Caller.BCFTOOLS, ("NA1", "NA2"))
    found = rows(joint.vcf)
    assert {(row[0], row[1], row[3], row[4]) for row in found} == {
        (row[0], row[1], row[3], row[4]) for row in rows(whole.vcf.path) if "1" in row[9].partition(":")[0]
    }
    carried = [row for row in found if "1" in row[10].partition(":")[0]]
    assert 0.3 * len(found) < len(carried) < 0.7 * len(found)
    with pytest.raises(PermanentError, match="are both of sample NA1"):
        genotype_jointly(
            [gvcf, gvcf],
            reference=reference,
            gatk=None,
            options=JointOptions(),
            out=tmp_path / "x",
            log=tmp_path / "log",
        )


def test_gvcfs_of_two_callers_are_not_mixed(called: Called, whole: Outcome, reference: Path, tmp_path: Path) -> None:
    options = JointOptions()
    other = other_sample(whole.gvcf.path, "NA2", tmp_path / "NA2.g.vcf.gz", slice(0, 0))
    with pytest.raises(PermanentError, match=r"all\.g\.vcf\.gz was made by GATK and NA2\.g\.vcf\.gz by bcftools"):
        genotype_jointly(
            [called.gvcf, other],
            reference=reference,
            gatk=None,
            options=options,
            out=tmp_path / "x",
            log=tmp_path / "log",
        )
