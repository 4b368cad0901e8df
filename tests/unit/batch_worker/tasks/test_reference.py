"""Reference bundles: made the same from the same sources, installed whole, never changed."""

import hashlib
from pathlib import Path

import pytest

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from infra.local.demo_data import DemoData, make_demo_data
from shared import naming
from shared.domain.ids import digest
from shared.domain.reference import Assembly, ReferenceManifest, Role, Stretch
from shared.errors import PermanentError
from tests.fakes import FakeBlobs


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make_demo_data(tmp_path_factory.mktemp("demo"), genome_bp=20_000, depth=1)


def sources_of(demo: DemoData) -> BundleSources:
    """All kinds; ClinVar's places are as good as any for known sites."""
    return BundleSources(demo.fasta, demo.genes, demo.clinvar, (demo.clinvar,), demo.common_sites)


@pytest.fixture(scope="module")
def made(demo: DemoData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle("demo", Assembly.OTHER, sources_of(demo), folder)
    return folder


def test_the_same_sources_give_the_same_bundle(demo: DemoData, made: Path, tmp_path: Path) -> None:
    make_bundle("demo", Assembly.OTHER, sources_of(demo), tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == (made / "manifest.json").read_bytes()


def test_the_manifest_vouches_for_every_file_and_names_the_knowledge(made: Path) -> None:
    manifest = ReferenceManifest.model_validate_json((made / "manifest.json").read_bytes())
    assert {file.path for file in manifest.files} == {path.name for path in made.iterdir()} - {"manifest.json"}
    for file in manifest.files:
        data = (made / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert {file.role for file in manifest.files} == set(Role)
    assert set(manifest.versions) == {"genes", "clinvar", "known-sites-1"}
    assert sum(contig.length for contig in manifest.contigs) == 20_000


def test_what_is_left_out_of_the_sources_is_told(demo: DemoData, tmp_path: Path) -> None:
    import pysam

    clinvar = tmp_path / "clinvar.vcf"
    with pysam.BGZFile(str(demo.clinvar)) as source:
        lines = [bytes(line).decode() for line in source]
    first = next(line for line in lines if not line.startswith("#"))
    elsewhere = "\t".join(["nowhere", *first.split("\t")[1:]])
    clinvar.write_text("".join(f"{line}\n" for line in [*lines, elsewhere]))
    said: list[str] = []
    make_bundle("demo", Assembly.OTHER, BundleSources(demo.fasta, None, clinvar), tmp_path / "out", said.append)
    assert "  left out: 1 records on contigs that the reference does not have" in said


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"nowhere\.fa is not there"):
        make_bundle("demo", Assembly.OTHER, BundleSources(tmp_path / "nowhere.fa"), tmp_path)


def test_a_bundle_is_installed_with_its_manifest_last_and_once(made: Path) -> None:
    blobs = FakeBlobs()
    manifest = install_bundle(made, blobs)
    written = [str(ref) for ref in blobs.events]
    assert written[-1] == str(naming.manifest_blob("demo"))
    assert set(written[:-1]) == {str(naming.bundle_blob("demo", file.path)) for file in manifest.files}
    install_bundle(made, blobs)
    assert len(blobs.events) == len(written)


def test_another_bundle_of_the_same_name_is_refused_and_the_old_one_stays(
    demo: DemoData, made: Path, tmp_path: Path
) -> None:
    blobs = FakeBlobs()
    install_bundle(made, blobs)
    before = blobs.read(naming.manifest_blob("demo"))
    make_bundle("demo", Assembly.OTHER, BundleSources(demo.fasta, demo.genes), tmp_path)
    with pytest.raises(PermanentError, match=r"Another bundle named 'demo' is installed.*under a new name"):
        install_bundle(tmp_path, blobs)
    assert blobs.read(naming.manifest_blob("demo")) == before


def test_a_damaged_bundle_is_not_installed(demo: DemoData, tmp_path: Path) -> None:
    make_bundle("demo", Assembly.OTHER, BundleSources(demo.fasta), tmp_path)
    (tmp_path / "reference.fa.pac").write_bytes(b"damaged")
    blobs = FakeBlobs()
    with pytest.raises(PermanentError, match=r"reference\.fa\.pac does not fit its checksum"):
        install_bundle(tmp_path, blobs)
    assert blobs.facts(naming.manifest_blob("demo")) is None


def test_regions_that_x_and_y_share_are_kept_and_told_when_y_is_not_masked(tmp_path: Path) -> None:
    fasta = tmp_path / "g.fa"
    fasta.write_text(f">chrX\n{'ACGT' * 100}\n>chrY\n{'N' * 50}{'ACGT' * 50}\n")
    bed = tmp_path / "par.bed"
    bed.write_text("chrX\t0\t80\nchrY\t0\t60\n")
    said: list[str] = []
    sources = BundleSources(fasta, pseudo_autosomal=bed)
    manifest = make_bundle("xy", Assembly.OTHER, sources, tmp_path / "out", said.append)
    assert manifest.pseudo_autosomal == (
        Stretch(contig="chrX", start=0, end=80),
        Stretch(contig="chrY", start=0, end=60),
    )
    assert any(line.startswith("  10 bp of Y's pseudo-autosomal regions are not masked") for line in said)
    bed.write_text("chrX\t0\t800\n")
    with pytest.raises(PermanentError, match=r"par\.bed, line 1: .* outside the contig"):
        make_bundle("xy", Assembly.OTHER, sources, tmp_path / "out")


def test_bundles_made_before_regions_could_be_given_keep_their_digest(made: Path) -> None:
    manifest = ReferenceManifest.model_validate_json((made / "manifest.json").read_bytes())
    assert manifest.pseudo_autosomal is None
    assert manifest.sha256 == digest(manifest.model_dump(mode="json", exclude={"pseudo_autosomal"}))
    given = manifest.model_copy(update={"pseudo_autosomal": ()})
    assert given.sha256 != manifest.sha256
