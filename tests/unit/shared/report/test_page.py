"""The clinician's page: everything is said, nothing is executed, nothing is fetched."""

import re
from html.parser import HTMLParser

import pytest

from shared.domain.finding import Finding
from shared.domain.report_case import Quality
from shared.domain.variant import Consequence
from shared.domain.wording import DISCLAIMER, conclude
from shared.report.page import render_page
from tests import report_cases
from tests.report_cases import CASES, case, clinvar, finding, plan

HOSTILE = "<script>alert(1)</script>\"'&"
VOID = {"meta", "wbr", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Reads a page: its text, its tags with attributes, and whether they are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def text_of(one) -> str:
    return Reader(render_page(one)).text


@pytest.mark.parametrize("name", CASES)
def test_the_same_case_gives_the_same_page(name):
    assert render_page(CASES[name]()) == render_page(CASES[name]())


@pytest.mark.parametrize("name", CASES)
def test_the_page_says_the_conclusion_of_the_bundle_first(name):
    conclusion = conclude(CASES[name]())
    text = text_of(CASES[name]())
    assert text.index(conclusion.headline) < text.index("What was tested")
    for sentence in (*conclusion.caveats, *conclusion.details):
        assert sentence in text


@pytest.mark.parametrize("name", CASES)
def test_the_page_is_well_formed_fetches_nothing_and_runs_nothing(name):
    reader = Reader(render_page(CASES[name]()))
    assert reader.open == []
    for tag, attributes in reader.tags:
        assert tag not in {"script", "img", "link", "iframe", "object", "base", "form"}
        assert not [key for key in attributes if key.startswith("on") or key in {"src", "style"}]
        assert attributes.get("href", "https:").startswith("https:")


def test_a_finding_is_told_with_its_names_evidence_and_reads():
    text = text_of(report_cases.positive())
    for words in (
        "BRCA1",
        "NM_007294.4:c.5095C>T",
        "NP_009225.1:p.(Arg1699Trp)",
        "NC_000017.11:g.43057110G>A",
        "missense variant",
        "heterozygous",
        "Pathogenic",
        "ClinVar 55396",
        "criteria provided, multiple submitters, no conflicts",
        "rs55770810",
        "Breast-ovarian cancer, familial, susceptibility to, 1",
        "19 of 40 reads (48%)",
    ):
        assert words in text


def test_every_finding_is_a_row():
    reader = Reader(render_page(report_cases.two_in_one_gene()))
    rows = [tag for tag, attributes in reader.tags if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == 2


def test_a_negative_page_says_what_was_looked_at_and_what_it_does_not_exclude():
    text = text_of(report_cases.negative())
    assert "Negative: No reportable variants found in all 4 sequences (353,679,233 bp)" in text
    assert "does not exclude" in text
    assert "No reportable variants were found." in text


def test_the_page_says_what_was_tested_its_limits_versions_and_ids():
    text = text_of(report_cases.patient_by_identifier())
    for words in (
        "Hereditary cancer, germline (PANEL-1)",
        "grch38, assembly GRCh38",
        "145,985 read pairs, mean depth 31.4 reads per base",
        "4,321 alleles called, 210 of them did not pass the filters; 1 reported",
        "Copy-number changes",
        DISCLAIMER,
        "clinvar 2026-11-01",
        "bcftools 1.24",
        "NA00001.annotated.vcf.gz (51,234 bytes)",
        "Analysis 0123456789abcdef01234567",
        "MRN 12 (https://ehr.example/mrn)",
        "REQ-77",
        "ACC-9 (type SAL)",
        "2026-10-30 07:45 UTC+01:00",
        "Issued 2026-11-02 09:15 UTC",
    ):
        assert words in text


def test_the_page_says_whose_reads_they_are_when_that_was_measured():
    quality = Quality(145_985, 31.42, contamination=0.02, identity_concordance=0.5, identity_sites=40)
    text = text_of(report_cases.case(quality=quality))
    assert "2.0% of the reads are estimated to be another person's. 50.0% of 40 common sites have the" in text
    assert "another person's" not in text_of(report_cases.negative())


def test_withheld_variants_are_shown_apart_with_the_reason():
    doubtful = finding(filters=("LowQual",)).variant
    text = text_of(case(withheld=(Finding(doubtful, "Pathogenic", "Not reported because of filter LowQual."),)))
    assert "Inconclusive: No reportable variants found" in text
    assert "In doubt: to be confirmed by another method" in text
    assert "Not reported because of filter LowQual." in text


def test_hostile_words_of_orders_files_and_databases_are_only_text():
    hostile = case(
        Finding(
            finding(
                consequences=(Consequence((HOSTILE,), HOSTILE, "", HOSTILE, "", HOSTILE, HOSTILE),),
                clinvar=clinvar(HOSTILE, review_status=HOSTILE, conditions=(HOSTILE,), dbsnp=HOSTILE),
                hgvs_g=HOSTILE,
            ).variant,
            report_cases.Significance.PATHOGENIC,
            HOSTILE,
        ),
        frozen=plan(
            patient={"identifier": {"system": HOSTILE, "value": HOSTILE}},
            test={"code": HOSTILE, "display": HOSTILE},
            requisition={"system": HOSTILE, "value": HOSTILE},
            specimen={"accession": HOSTILE, "type": HOSTILE},
        ),
        laboratory=report_cases.Laboratory(HOSTILE, "urn:x"),
        tools={HOSTILE: HOSTILE},
    )
    page = render_page(hostile)
    assert "<script" not in page
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags} <= {tag for tag, _ in Reader(render_page(report_cases.positive())).tags}
    assert reader.text.count(HOSTILE) >= 15


def test_only_a_number_becomes_a_link_to_clinvar():
    links = [
        attributes.get("href")
        for number in ("55396", "../55396", "55396?x=1")
        for tag, attributes in Reader(render_page(case(finding(clinvar=clinvar(number))))).tags
        if tag == "a"
    ]
    assert links == ["https://www.ncbi.nlm.nih.gov/clinvar/variation/55396/"]


@pytest.mark.parametrize(("name", "label"), [("held", "Held"), ("rejected", "Rejected")])
def test_a_page_without_result_says_why_and_nothing_of_variants(name, label):
    text = text_of(CASES[name]())
    assert f"{label}: " in text
    assert "The mean depth (reads per base) is 12.4; at least 30 is required." in text
    assert "This report gives no result." in text
    for words in ("Findings", "alleles called", "reported", "No reportable variants", "full result"):
        assert words not in text


def test_a_result_released_in_spite_of_missed_limits_warns_before_its_conclusion():
    text = text_of(report_cases.released())
    assert text.index("Quality limits missed") < text.index("1 reportable variant was found.")
    assert "Released by lab-director on 2026-11-03 10:00 UTC." in text
    assert "Quality limits missed" not in text_of(report_cases.positive())
