"""A cohort's VCF: the same bytes however the genome is cut, and figures that are the samples' own."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.joint import JointOptions, JointSummary, genotype_jointly
from batch_worker.engine.joint_pieces import contig_groups
from shared.domain.genome import Contig
from shared.domain.order import Caller
from tests.engine_pipeline import Outcome, run_pipeline
from tests.simulate import make_world

Join = Callable[..., JointSummary]


def rename(gvcf: Path, sample: str, out: Path) -> Path:
    text = gzip.decompress(gvcf.read_bytes()).decode().replace("\tNA1\n", f"\t{sample}\n")
    with pysam.BGZFile(str(out), "wb") as target:
        target.write(text.encode())
    pysam.tabix_index(str(out), preset="vcf", force=True)
    return out


@pytest.fixture(scope="module")
def gvcfs(whole: Outcome, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three people of one genome."""
    folder = tmp_path_factory.mktemp("cohort")
    found = [rename(whole.gvcf.path, "S0", folder / "S0.g.vcf.gz")]
    for name, variety in (("S1", 0.7), ("S2", 0.4)):
        other = run_pipeline(make_world(variety=variety), reference, folder / name, shard_bp=10**9)
        found.append(rename(other.gvcf.path, name, folder / f"{name}.g.vcf.gz"))
    return found


@pytest.fixture
def join(reference: Path, tmp_path: Path) -> Join:
    def join(gvcfs: list[Path], **cutting: int) -> JointSummary:
        return genotype_jointly(
            gvcfs,
            reference=reference,
            gatk=None,
            options=JointOptions(),
            out=tmp_path / "cohort.vcf.gz",
            log=tmp_path / "log",
            **cutting,
        )

    return join


def lines(vcf: Path) -> list[str]:
    return gzip.decompress(vcf.read_bytes()).decode().splitlines()


@pytest.mark.thorough
def test_any_cutting_and_any_number_of_processes_give_the_same_bytes(gvcfs: list[Path], join: Join) -> None:
    whole = join(gvcfs)
    assert (whole.caller, whole.samples) == (Caller.BCFTOOLS, ("S0", "S1", "S2"))
    data = whole.vcf.read_bytes()
    for piece_bp in (4_000, 1_501):  # deletions and blocks lie across the borders
        assert join(gvcfs, piece_bp=piece_bp, threads=2).records == whole.records > 250
        assert whole.vcf.read_bytes() == data


def test_alleles_are_counted_and_what_is_one_samples_own_is_left_out(gvcfs: list[Path], join: Join) -> None:
    summary = join(gvcfs)
    head = "\n".join(line for line in lines(summary.vcf) if line.startswith("#"))
    assert "/" not in head.replace("AC / AN", ""), "no paths"
    assert "##bcftools" not in head
    assert "##fastq2fhir_joint=<merge=" in head
    assert "##INFO=<ID=VDB" not in head
    shared = 0
    with pysam.VariantFile(str(summary.vcf)) as vcf:
        for record in vcf:
            assert len(record.alts) == 1
            alleles = [allele for sample in record.samples.values() for allele in sample["GT"] if allele is not None]
            assert record.info["AC"] == (alleles.count(1),)
            assert record.info["AN"] == len(alleles)
            assert record.info["AF"][0] == pytest.approx(alleles.count(1) / len(alleles), rel=1e-5)
            assert set(record.info) <= {"AC", "AF", "AN", "DP", "INDEL", "ORIGINAL"}
            shared += sum(1 in sample["GT"] for sample in record.samples.values()) > 1
    assert shared > 5


def test_a_sample_is_reference_where_its_blocks_cover_and_missing_where_they_do_not(
    gvcfs: list[Path], join: Join, tmp_path: Path
) -> None:
    text = [line for line in lines(gvcfs[2]) if line[0] == "#" or not line.startswith("chrB\t")]
    torn = tmp_path / "S2.g.vcf.gz"
    with pysam.BGZFile(str(torn), "wb") as target:
        target.write("".join(f"{line}\n" for line in text).encode())
    pysam.tabix_index(str(torn), preset="vcf", force=True)
    rows = [line.split("\t") for line in lines(join([*gvcfs[:2], torn]).vcf) if line[0] != "#"]
    genotypes = {contig: {row[11].partition(":")[0] for row in rows if row[0] == contig} for contig in ("chrA", "chrB")}
    assert {"0/0", "0/1"} <= genotypes["chrA"]
    assert genotypes["chrB"] == {"./."}


def test_columns_come_in_the_order_of_the_files(gvcfs: list[Path], join: Join) -> None:
    names = [line for line in lines(join([gvcfs[2], gvcfs[0]]).vcf) if line.startswith("#CHROM")]
    assert names[0].split("\t")[9:] == ["S2", "S0"]


def test_groups_are_whole_contigs_in_order() -> None:
    contigs = [Contig(name, length) for name, length in (("1", 50), ("2", 9), ("3", 9), ("4", 3), ("5", 1))]
    groups = contig_groups(contigs, 10)
    assert [[interval.contig for interval in group] for group in groups] == [["1"], ["2", "3"], ["4", "5"]]
    assert all(interval.start == 0 for group in groups for interval in group)
    assert contig_groups(contigs[:1], 1) == [groups[0]]
