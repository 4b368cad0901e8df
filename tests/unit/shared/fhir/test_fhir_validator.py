"""Every kind of report against an independent validator of R4, the guide's profiles and the calls."""

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from shared.domain.report_case import ReportCase
from shared.domain.variant import AnnotatedVariant, Zygosity
from shared.fhir.bundle import build_bundle, split_bundle
from shared.report.page import render_page
from tests import report_cases
from tests.report_cases import CASES

VALIDATOR = Path(__file__).parents[5] / "shared" / "fhir" / "validate_bundle.py"

pytestmark = pytest.mark.skipif(
    not VALIDATOR.exists(), reason="the validator (../shared/fhir/validate_bundle.py) is not beside this checkout"
)


def issues(bundle: bytes, folder: Path, *options: str) -> list[dict[str, str]]:
    path = folder / "bundle.json"
    path.write_bytes(bundle)
    command = [sys.executable, str(VALIDATOR), str(path), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    assert "not installed" not in done.stderr, "without fhirpathpy the invariants are not checked"
    return json.loads(done.stdout)[0]["issues"]


def errors(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [issue for issue in found if issue["severity"] == "error" and GAP not in issue["message"]]


GAP = "V01 no call NC_012920.1:"
"""The validator knows the accessions of chromosomes 1 to 22, X and Y; it cannot find the mitochondrion in a VCF."""


GENOTYPE = {Zygosity.HETEROZYGOUS: "0/1", Zygosity.HOMOZYGOUS: "1/1", Zygosity.HEMIZYGOUS: "1"}


def vcf_of(case: ReportCase) -> str:
    """A VCF that holds the findings of a case as a caller would write them, alleles of one site in one record."""
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA00001"]
    found = [finding.variant for finding in case.findings]
    for (contig, pos, ref), group in groupby(found, site):
        alleles = list(group)
        alts = ",".join(one.allele.alt for one in alleles)
        genotype = "1/2" if len(alleles) == 2 else GENOTYPE[alleles[0].zygosity]
        depths = [round(one.allele_fraction * 1000) for one in alleles]
        depths = [1000 - sum(depths), *depths]
        call = f"{genotype}:{','.join(map(str, depths))}"
        lines.append(f"{contig}\t{pos}\t.\t{ref}\t{alts}\t50\tPASS\t.\tGT:AD\t{call}")
    return "\n".join(lines) + "\n"


def site(variant: AnnotatedVariant) -> tuple[str, int, str]:
    return variant.allele.contig, variant.allele.pos, variant.allele.ref


@pytest.mark.parametrize("name", CASES)
def test_the_validator_finds_no_error_and_the_calls_agree(name, tmp_path):
    case = CASES[name]()
    vcf = tmp_path / "calls.vcf"
    vcf.write_text(vcf_of(case))
    bundle = build_bundle(case, render_page(case))
    found = issues(bundle, tmp_path, "--pipeline", "--vcf", str(vcf), "--sample", "NA00001")
    assert errors(found) == []


def test_the_validator_would_notice_a_wrong_allele(tmp_path):
    case = report_cases.positive()
    vcf = tmp_path / "calls.vcf"
    vcf.write_text(vcf_of(case).replace("\tG\tA\t", "\tG\tT\t"))
    found = issues(build_bundle(case, "page"), tmp_path, "--vcf", str(vcf), "--sample", "NA00001")
    assert ["V01" in issue["message"] for issue in errors(found)] == [True]


def test_parts_of_a_split_bundle_have_no_error_of_structure(tmp_path):
    case = report_cases.two_in_one_gene()
    for part in split_bundle(build_bundle(case, render_page(case)), 8):
        assert errors(issues(part, tmp_path)) == []
