"""A finding as variant Observation: every component that is known, and none that is not."""

import json
from typing import Any

import pytest

from shared.domain.report_case import ReportCase
from shared.domain.variant import Zygosity
from shared.fhir.links import Links
from shared.fhir.variant import variant
from tests import report_cases
from tests.report_cases import case, clinvar, finding

LOINC = "http://loinc.org"


def observed(one: ReportCase, number: int = 0) -> dict[str, Any]:
    return json.loads(variant(Links(one), one.findings[number]).model_dump_json())


def components(one: ReportCase, number: int = 0) -> dict[str, list[Any]]:
    """Values of the components by code."""
    found: dict[str, list[Any]] = {}
    for component in observed(one, number)["component"]:
        (value,) = (component[key] for key in component if key.startswith("value"))
        found.setdefault(component["code"]["coding"][0]["code"], []).append(value)
    return found


def only_coding(values: list[Any]) -> tuple[str, str]:
    ((coding,),) = (value["coding"] for value in values)
    return coding["system"], coding["code"]


def test_a_substitution_has_all_its_components():
    found = components(report_cases.positive())
    assert {code: only_coding(found[code]) for code in found if "coding" in str(found[code]) and code != "81252-9"} == {
        "48018-6": ("http://www.genenames.org", "HGNC:1100"),
        "62374-4": (LOINC, "LA26806-2"),
        "48000-4": (LOINC, "LA21270-6"),
        "48013-7": ("http://www.ncbi.nlm.nih.gov/refseq", "NC_000017.11"),
        "92822-6": (LOINC, "LA30102-0"),
        "81290-9": ("http://varnomen.hgvs.org", "NC_000017.11:g.43057110G>A"),
        "51958-7": ("http://www.ncbi.nlm.nih.gov/refseq", "NM_007294.4"),
        "48004-6": ("http://varnomen.hgvs.org", "NM_007294.4:c.5095C>T"),
        "48005-3": ("http://varnomen.hgvs.org", "NP_009225.1:p.(Arg1699Trp)"),
        "protein-ref-seq": ("http://www.ncbi.nlm.nih.gov/refseq", "NP_009225.1"),
        "48019-4": ("http://www.sequenceontology.org", "SO:0001483"),
        "48002-0": (LOINC, "LA6683-2"),
        "53034-5": (LOINC, "LA6706-1"),
    }
    assert found["81254-5"] == [{"low": {"value": 43_057_110}, "high": {"value": 43_057_110}}]
    assert (found["69547-8"], found["69551-0"]) == (["G"], ["A"])
    assert found["81258-6"][0]["value"] == 0.475
    assert found["82121-5"][0]["value"] == 19
    codes = [value["coding"][0]["code"] for value in found["81252-9"]]
    assert codes == ["55396", "rs55770810"]


def test_it_is_assessed_as_present_by_sequencing():
    seen = observed(report_cases.positive())
    assert seen["code"]["coding"][0]["code"] == "69548-6"
    assert seen["valueCodeableConcept"]["coding"][0] == {"system": LOINC, "code": "LA9633-4", "display": "Present"}
    assert seen["method"]["coding"][0]["code"] == "LA26398-0"


def test_a_deletion_spans_its_reference_bases_one_based_and_closed():
    found = components(report_cases.homozygous())
    assert found["81254-5"] == [{"low": {"value": 32_340_300}, "high": {"value": 32_340_301}}]
    assert only_coding(found["48019-4"])[1] == "SO:0000159"
    assert only_coding(found["53034-5"])[1] == "LA6705-3"
    assert only_coding(found["48000-4"])[1] == "LA21266-4"
    assert only_coding(found["51958-7"]) == ("http://www.ensembl.org", "ENST00000380152.8")


def test_a_duplication_is_called_one_when_its_name_says_so():
    assert only_coding(components(report_cases.two_in_one_gene())["48019-4"])[1] == "SO:1000035"


def test_two_alleles_of_one_site_are_two_heterozygous_variants():
    one = report_cases.one_slash_two()
    assert [only_coding(components(one, number)["53034-5"])[1] for number in (0, 1)] == ["LA6706-1"] * 2
    assert observed(one, 0)["id"] != observed(one, 1)["id"]


def test_a_sequence_without_public_accession_is_told_in_words_and_has_no_chromosome():
    found = components(report_cases.synthetic())
    assert "48000-4" not in found
    assert "coding" not in found["48013-7"][0]
    assert found["48013-7"][0]["text"].startswith("synA (laboratory's own accession ZZ_")
    assert found["62374-4"] == [{"text": "Reference bundle synthetic-1"}]
    assert found["48018-6"] == [{"text": "SYN1"}]
    accession, _, name = only_coding(found["81290-9"])[1].partition(":")
    assert accession.startswith("ZZ_")
    assert accession.endswith(".1")
    assert name == "g.1013T>A"


def test_names_without_versioned_accession_are_not_sent_as_codes():
    found = components(report_cases.synthetic())
    assert not {"48004-6", "48005-3", "51958-7", "protein-ref-seq"} & found.keys()


@pytest.mark.parametrize(
    ("zygosity", "code"),
    [
        (Zygosity.HETEROZYGOUS, "LA6703-8"),
        (Zygosity.HOMOZYGOUS, "LA6704-6"),
        (Zygosity.HEMIZYGOUS, "LA6704-6"),
        (Zygosity.HOMOPLASMIC, "LA6704-6"),
    ],
)
def test_a_mitochondrial_variant_is_plasmic_and_has_no_chromosome_code(zygosity, code):
    found = components(case(finding("chrM", 3243, "A", "G", zygosity=zygosity, consequences=())))
    assert only_coding(found["53034-5"])[1] == code
    assert only_coding(found["81290-9"])[1] == "NC_012920.1:m.3243A>G"
    assert "48000-4" not in found


def test_a_hemizygous_variant_of_x_says_so():
    found = components(case(finding("chrX", 31_500_000, "C", "T", zygosity=Zygosity.HEMIZYGOUS)))
    assert only_coding(found["53034-5"])[1] == "LA6707-9"
    assert only_coding(found["48000-4"])[1] == "LA21276-3"


def test_without_clinvar_there_is_no_variation_code():
    assert "81252-9" not in components(case(finding(clinvar=None)))


def test_without_rs_number_clinvar_alone_is_told():
    found = components(case(finding(clinvar=clinvar(dbsnp=""))))
    assert only_coding(found["81252-9"]) == ("http://www.ncbi.nlm.nih.gov/clinvar", "55396")


@pytest.mark.parametrize(("fraction", "told"), [(1 / 3, 0.3333), (1.0, 1), (0.02, 0.02)])
def test_the_allele_fraction_is_a_fraction_of_four_decimals(fraction, told):
    (value,) = components(case(finding(allele_fraction=fraction)))["81258-6"]
    assert value["value"] == told
    assert (value["system"], value["code"]) == ("http://unitsofmeasure.org", "1")
