"""Contamination, fingerprint and identity from the shards' tables, with and without known genotypes."""

import gzip
import hashlib
from pathlib import Path

import pytest

from shared import naming
from shared.domain.fingerprint import MIN_SHARED_SITES
from shared.domain.plan import Fingerprint, Plan
from shared.domain.qc import FIGURES
from shared.domain.sites import CommonSite, SiteCounts
from shared.formats.site_table import write_site_table
from shared.naming import Result
from shared.steps.site_figures import SiteFigures, site_figures
from tests.factories import make_plan
from tests.fakes import FakeBlobs

SITES = [CommonSite("chr1", 2 + 4 * number, "A", "G", 0.5) for number in range(240)]
COUNTS = {0: (30, 0), 1: (15, 15), 2: (0, 30)}


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    """Two shards of a clean sample; the genotypes go 0, 1, 2, 0, 1, 2, ..."""
    paths = []
    for shard, some in enumerate((range(100), range(100, 240))):
        paths.append(tmp_path / f"{shard:05d}.sites.tsv")
        write_site_table([SiteCounts(SITES[n], *COUNTS[n % 3], 0) for n in some], paths[-1])
    return paths


def known(count: int, wrong: int = 0) -> bytes:
    """An array's genotypes of the first `count` sites, `wrong` of them another person's, in its own contig name."""
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tarray\n"
    genotypes = ["0/0", "0/1", "1/1"]
    rows = [
        f"1\t{SITES[n].pos}\t.\tA\tG\t.\t.\t.\tGT\t{genotypes[(n + (n < wrong)) % 3]}\n"  # a shift is another genotype
        for n in range(count)
    ]
    return (head + "".join(rows)).encode()


def figures(tables: list[Path], scratch: Path, data: bytes | None) -> SiteFigures:
    plan, blobs = make_plan(), FakeBlobs()
    if data is not None:
        plan = with_known(plan, data, blobs)
    scratch.mkdir()
    return site_figures(plan, tables, blobs, scratch)


def with_known(plan: Plan, data: bytes, blobs: FakeBlobs) -> Plan:
    digest = hashlib.sha256(data).hexdigest()
    blobs.put(naming.known_fingerprint_data(plan.analysis, digest), data)
    return plan.model_copy(update={"fingerprint": Fingerprint(source="landing/NA00001/array.vcf", sha256=digest)})


def test_a_bundle_without_common_sites_gives_no_figure_and_no_file(tmp_path: Path) -> None:
    assert figures([], tmp_path / "s", known(30)) == SiteFigures({}, {})


def test_contamination_and_fingerprint_come_without_known_genotypes(tables: list[Path], tmp_path: Path) -> None:
    found = figures(tables, tmp_path / "s", None)
    assert {name: figure.value for name, figure in found.figures.items()} == {
        "contamination": 0.0,
        "contamination_sites": 240,
    }
    rows = [r for r in gzip.decompress(found.files[Result.FINGERPRINT].read_bytes()).splitlines() if r[:1] != b"#"]
    assert [row.split(b"\t")[9][:3] for row in rows] == [b"0/0", b"0/1", b"1/1"] * 80
    assert found.files[Result.FINGERPRINT_INDEX].stat().st_size > 0


@pytest.mark.parametrize(("wrong", "concordance"), [(0, 1.0), (15, 0.75), (60, 0.0)])
def test_identity_is_the_share_of_agreeing_genotypes(
    tables: list[Path], tmp_path: Path, wrong: int, concordance: float
) -> None:
    for number, data in enumerate((known(60, wrong), gzip.compress(known(60, wrong)))):
        found = figures(tables, tmp_path / str(number), data).figures
        assert (found["identity_sites"].value, found["identity_concordance"].value) == (60, concordance)
        assert set(found) <= set(FIGURES)


def test_too_few_shared_sites_give_no_verdict(tables: list[Path], tmp_path: Path) -> None:
    found = figures(tables, tmp_path / "few", known(MIN_SHARED_SITES - 1)).figures
    assert found["identity_sites"].value == MIN_SHARED_SITES - 1
    assert "identity_concordance" not in found
    assert "identity_concordance" in figures(tables, tmp_path / "enough", known(MIN_SHARED_SITES)).figures


def test_an_own_fingerprint_agrees_with_itself(tables: list[Path], tmp_path: Path) -> None:
    first = figures(tables, tmp_path / "first", None)
    again = figures(tables, tmp_path / "again", first.files[Result.FINGERPRINT].read_bytes()).figures
    assert (again["identity_sites"].value, again["identity_concordance"].value) == (240, 1.0)
