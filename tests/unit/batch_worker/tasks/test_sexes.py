"""A woman and a man against a genome with X, Y and a mitochondrion, from the drop to the gathered results."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pysam
import pytest

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared import naming
from shared.domain.karyotype import Sex
from shared.domain.plan import Plan
from shared.domain.reference import Assembly
from shared.domain.work import Step, StepWork
from shared.formats.annotated_vcf import read_annotated
from shared.formats.gvcf import parse_block
from shared.naming import Container, Result
from tests.fakes import World
from tests.in_process import drop, records, result, run_chain, run_works
from tests.people import PAR_BED, PAR_X, Person, make_person, make_reference

pytestmark = pytest.mark.thorough

SAMPLE = "NA00001"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sexes")


@pytest.fixture(scope="module")
def bundle(folder) -> Path:
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{name}\n{letters}\n" for name, letters in make_reference().items()))
    par = folder / "par.bed"
    par.write_text(PAR_BED)
    said: list[str] = []
    sources = BundleSources(fasta, pseudo_autosomal=par)
    make_bundle("demo", Assembly.OTHER, sources, folder / "bundle", said.append)
    assert not any("not masked" in line for line in said)
    return folder / "bundle"


@pytest.fixture(scope="module")
def man() -> Person:
    return make_person(is_male=True)


@pytest.fixture(scope="module")
def woman() -> Person:
    return make_person(is_male=False)


@pytest.fixture(scope="module")
def analyse(bundle, folder):
    def run(
        person: Person, *, shard_bp: int = 10**9, chunk_pairs: int = 10**6, bed: str = "", **order
    ) -> tuple[World, Plan]:
        world = World()
        install_bundle(bundle, world.blobs)
        world.blobs.put(naming.landing_blob(f"{SAMPLE}/panel.bed"), bed.encode())
        drop(world, SAMPLE, person.world.read_groups, **order)
        return world, run_chain(world, SAMPLE, folder, shard_bp=shard_bp, chunk_pairs=chunk_pairs)

    return run


@pytest.fixture(scope="module")
def male(analyse, man) -> tuple[World, Plan]:
    return analyse(man)


@pytest.fixture(scope="module")
def female(analyse, woman) -> tuple[World, Plan]:
    return analyse(woman, sex="female")


def genotypes(found: tuple[World, Plan]) -> dict[tuple[str, int], str]:
    rows = records(*found, Result.VCF)
    return {(row[0], int(row[1]) - 1): row[9].split(":")[0] for row in rows if row[6] == "PASS"}


def copies(sex: Sex, contig: str, at: int) -> int:
    if contig in {"chrM", "chrY"}:
        return 1
    if contig == "chrX" and sex is Sex.MALE and not any(start <= at < end for start, end in PAR_X):
        return 1
    return 2


def blocks_of(found: tuple[World, Plan], contig: str) -> list[tuple[int, int, str]]:
    blocks = [parse_block("\t".join(row)) for row in records(*found, Result.GVCF) if row[0] == contig]
    return [(block.start, block.end, block.genotype) for block in blocks if block]


def qc(found: tuple[World, Plan]) -> dict[str, float]:
    return {name: one["value"] for name, one in json.loads(result(*found, Result.QC))["metrics"].items()}


def check_calls(found: tuple[World, Plan], person: Person, sex: Sex) -> None:
    called = genotypes(found)
    expected = {place: person.genotype(*place, copies(sex, *place)) for place in person.alleles}
    wrong = {place: (called[place], expected[place]) for place in called if called[place] != expected.get(place)}
    assert not wrong
    for contig in {contig for contig, _ in expected}:
        truth = [place for place in expected if place[0] == contig]
        assert sum(place in called for place in truth) >= 0.9 * len(truth), contig
        assert len(truth) >= 5


def test_a_mans_x_y_and_mitochondrion_have_one_copy_outside_the_shared_regions(male, man):
    check_calls(male, man, Sex.MALE)
    called = genotypes(male)
    assert {gt for (contig, _), gt in called.items() if contig in {"chrY", "chrM"}} == {"1"}
    inside = {gt for (contig, at), gt in called.items() if contig == "chrX" and (at < 2_000 or at >= 9_000)}
    assert "0/1" in inside
    for start, end, genotype in blocks_of(male, "chrX"):
        in_par = end <= 2_000 or start >= 9_000
        assert in_par or (start >= 2_000 and end <= 9_000)  # no block crosses the border
        assert genotype == ("0/0" if in_par else "0")
    assert {genotype for _, _, genotype in blocks_of(male, "chrY")} == {"0"}
    assert all(2_000 <= start < end <= 5_000 for start, end, _ in blocks_of(male, "chrY"))


def test_the_annotation_names_single_copies(male, folder, tmp_path):
    world, plan = male
    run_works(world, plan, folder, StepWork(Step.ANNOTATE))
    path = tmp_path / "annotated.vcf.gz"
    path.write_bytes(result(world, plan, Result.ANNOTATED_VCF))
    found: dict[str, set[str]] = {}
    for variant in read_annotated(path, plan.contigs):
        place = variant.allele.contig
        if place == "chrX":
            place = "PAR" if variant.allele.pos <= 2_000 or variant.allele.pos > 9_000 else "X"
        found.setdefault(place, set()).add(variant.zygosity)
    assert found["X"] == found["chrY"] == {"hemizygous"}
    assert found["chrM"] == {"homoplasmic"}
    assert "heterozygous" in found["PAR"]
    assert found["PAR"] | found["chr1"] <= {"heterozygous", "homozygous"}


def test_a_womans_x_has_two_copies_and_nothing_is_called_on_y(female, woman):
    check_calls(female, woman, Sex.FEMALE)
    assert not [row for row in records(*female, Result.GVCF) if row[0] == "chrY"]
    assert {genotype for _, _, genotype in blocks_of(female, "chrX")} == {"0/0"}
    assert qc(female)["sex_concordance"] == 1


@pytest.mark.parametrize(("read_bp", "fragment_bp"), [(35, 120), (300, 450)])
def test_reads_of_any_usual_length_are_called(analyse, read_bp, fragment_bp):
    person = make_person(is_male=True, read_bp=read_bp, fragment_bp=fragment_bp)
    found = analyse(person, shard_bp=9_000)
    check_calls(found, person, Sex.MALE)
    assert 'sex="male",source="reads"' in header(found)


def test_no_decoy_is_called(male):
    assert not [row for row in records(*male, Result.GVCF) if row[0] == "hs38d1_decoy"]
    assert 'regions="chrX:2001-9000=1,chrY:2001-5000=1,chrM:1-1200=1,chrY:1-2000=0,chrY:5001-6000=0"' in header(male)


def header(found: tuple[World, Plan]) -> str:
    text = gzip.decompress(result(*found, Result.VCF)).decode()
    return "".join(line + "\n" for line in text.splitlines() if line.startswith("##"))


def test_quality_figures_count_what_is_called(male, female):
    assert "sex_concordance" not in qc(male)  # none was given
    sizes = {"chr1": 20_000, "chrX": 10_000, "chrM": 1_200, "chrUn": 60}
    assert qc(female)["callable_bases"] == sum(sizes.values())
    assert qc(male)["callable_bases"] == sum(sizes.values()) + 3_000


def test_the_order_sets_the_ploidy_where_the_reads_show_another_sex(analyse, woman):
    found = analyse(woman, sex="male")
    assert qc(found)["sex_concordance"] == 0
    assert 'sex="male",source="order"' in header(found)
    assert {genotype for start, _, genotype in blocks_of(found, "chrX") if 2_000 <= start < 9_000} == {"0"}


def test_targets_without_x_tell_nothing_of_sex_and_y_is_called_with_one_copy(analyse, man, male):
    found = analyse(man, bed="chr1\t500\t5000\nchrY\t2100\t4000\n", options={"targets": "panel.bed"}, sex="male")
    assert "sex_concordance" not in qc(found)
    assert set(genotypes(found).items()) == {
        (place, gt)
        for place, gt in genotypes(male).items()
        if (place[0] == "chr1" and 500 <= place[1] < 5_000) or (place[0] == "chrY" and 2_100 <= place[1] < 4_000)
    }


def test_the_same_bytes_however_it_is_cut_as_cram_too(analyse, man, male):
    options = {"alignments": "cram"}
    whole = analyse(man, options=options)
    cut = analyse(man, options=options, shard_bp=4_700, chunk_pairs=1_000)
    for kind in (Result.VCF, Result.GVCF, Result.QC, Result.CRAM, Result.CRAI):
        assert result(*cut, kind) == result(*whole, kind), kind
    assert result(*whole, Result.VCF) == result(*male, Result.VCF)
    names = whole[0].blobs.names(Container.RESULTS)
    assert not [name for name in names if ".bam" in name]
    assert len(result(*whole, Result.CRAM)) < 0.7 * len(result(*male, Result.BAM))


def test_the_cram_holds_what_the_bam_holds(analyse, man, male, bundle, tmp_path):
    found = analyse(man, options={"alignments": "cram"})
    (tmp_path / "x.cram").write_bytes(result(*found, Result.CRAM))
    (tmp_path / "x.cram.crai").write_bytes(result(*found, Result.CRAI))
    (tmp_path / "x.bam").write_bytes(result(*male, Result.BAM))
    fasta = str(bundle / "reference.fa")
    with (
        pysam.AlignmentFile(str(tmp_path / "x.cram"), reference_filename=fasta) as cram,
        pysam.AlignmentFile(str(tmp_path / "x.bam")) as bam,
    ):
        heads = [file.header.to_dict() for file in (cram, bam)]
        assert heads[0] == heads[1]
        assert all(len(line["M5"]) == 32 for line in heads[0]["SQ"])
        (group,) = heads[0]["RG"]
        assert group == {"ID": "L1", "SM": SAMPLE, "LB": SAMPLE, "PL": "ILLUMINA", "PU": f"{SAMPLE}.L1"}
        programs = heads[0]["PG"]
        assert [one.get("PP") for one in programs] == [None, *(one["ID"] for one in programs[:-1])]
        both = [[_content(read) for read in file.fetch(until_eof=True)] for file in (cram, bam)]
        assert both[0] == both[1]
        assert len(both[0]) > 5_000
        assert cram.count("chrY", 2_000, 5_000) > 100  # the index works
    pysam.samtools.quickcheck(str(tmp_path / "x.cram"), str(tmp_path / "x.bam"))


def _content(read: pysam.AlignedSegment) -> Sequence[object]:
    tags = sorted((name, value) for name, value in read.get_tags() if name not in {"MD", "NM"})
    return [*read.to_string().split("\t")[:11], tags]
