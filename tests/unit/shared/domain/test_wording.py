"""The sentences of a report."""

from dataclasses import replace

import pytest

from shared.domain.phase import Phase, phased_pairs
from shared.domain.qc import FIGURES as KNOWN_FIGURES
from shared.domain.report_case import DataFile, FileRole, Quality
from shared.domain.thresholds import Limit, Missed
from shared.domain.variant import Zygosity
from shared.domain.wording import (
    FIGURES,
    conclude,
    depth_sentence,
    describe,
    describe_missed,
    methodology,
    purity_sentences,
    studied_regions,
    uncalled_regions,
    variant_name,
)
from tests import report_cases
from tests.report_cases import case, clinvar, finding


def bed(role: FileRole) -> DataFile:
    return DataFile(role, "https://data.example/panel.bed", "panel.bed", "text/plain", 10)


def test_a_finding_is_one_sentence_with_name_zygosity_significance_condition_and_source():
    assert describe(finding()) == (
        "BRCA1 NM_007294.4:c.5095C>T p.(Arg1699Trp), heterozygous: Pathogenic for Breast-ovarian cancer, familial, "
        "susceptibility to, 1 (ClinVar 55396, criteria provided, multiple submitters, no conflicts)."
    )


def test_a_finding_of_which_little_is_known_says_what_is_known():
    bare = finding(consequences=(), clinvar=None)
    assert describe(bare) == "chr17-43057110-G-A, heterozygous: Pathogenic."


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ({}, "BRCA1 NM_007294.4:c.5095C>T p.(Arg1699Trp)"),
        ({"consequences": (), "hgvs_g": "NC_000017.11:g.1G>A"}, "NC_000017.11:g.1G>A"),
        ({"consequences": (replace(report_cases.BRCA1_MISSENSE, hgvs_c=""),)}, "BRCA1 chr17-43057110-G-A"),
        ({"consequences": (replace(report_cases.BRCA1_MISSENSE, hgvs_p=""),)}, "BRCA1 NM_007294.4:c.5095C>T"),
    ],
)
def test_a_variant_has_the_best_name_that_is_known(variant, name):
    assert variant_name(finding(**variant).variant) == name


@pytest.mark.parametrize(("count", "words"), [(1, "1 reportable variant was"), (2, "2 reportable variants were")])
def test_a_positive_conclusion_counts_its_findings(count, words):
    found = [finding(pos=100 + number, zygosity=Zygosity.HOMOZYGOUS) for number in range(count)]
    conclusion = conclude(case(*found))
    assert conclusion.headline == f"{words} found."
    assert len(conclusion.details) == count
    assert conclusion.text.splitlines()[0] == f"Positive: {words} found."


def test_a_thin_sample_is_not_called_negative():
    conclusion = conclude(case(quality=Quality(500, mean_depth=2.5)))
    assert conclusion.headline.endswith("cannot be judged.")
    assert "mean depth 2.5 reads per base" in conclusion.details[0]


def test_a_positive_report_of_a_thin_sample_says_that_more_may_be_missed():
    conclusion = conclude(case(finding(), quality=Quality(500, mean_depth=2.5)))
    assert conclusion.details[-1].endswith("Further variants may have been missed.")


def test_a_call_in_doubt_is_told_beside_findings_too():
    conclusion = conclude(case(finding(), withheld=(finding(pos=9),)))
    assert conclusion.interpretation == "Positive"
    assert "needs confirmation by another method" in conclusion.details[-1]


def test_regions_studied_are_those_of_the_file_when_there_is_one():
    assert studied_regions(report_cases.synthetic()) == "sequence synA (60,000 bp) of reference bundle synthetic-1"
    targeted = case(files=(bed(FileRole.STUDIED_REGIONS),))
    assert studied_regions(targeted).startswith("the regions of panel.bed in all 4 sequences")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"quality": Quality(1)}, "were not recorded"),
        ({"quality": Quality(1, fraction_20x=0.9)}, "10.0% of the bases are covered by fewer than 20 reads"),
        ({"files": (bed(FileRole.UNCALLED_REGIONS),)}, "are listed in panel.bed"),
    ],
)
def test_what_could_not_be_called_is_said_as_far_as_it_is_known(arguments, words):
    assert words in uncalled_regions(case(**arguments))


def test_the_method_names_reference_caller_and_knowledge():
    words = methodology(case(finding()))
    assert "reference bundle grch38 (assembly GRCh38)" in words
    assert "bcftools" in words
    assert "clinvar 2026-11-01, genes 115" in words
    assert "4,321 alleles were called, of which 210 did not pass the caller's filters; 1 met the rule" in words


def test_heterozygous_findings_of_one_gene_are_paired():
    (pair,) = phased_pairs(report_cases.two_in_one_gene().findings)
    assert pair.phase is Phase.UNKNOWN
    assert pair.gene.gene == "BRCA1"
    (pair,) = phased_pairs(report_cases.one_slash_two().findings)
    assert pair.phase is Phase.TRANS


@pytest.mark.parametrize("other", [{"zygosity": Zygosity.HOMOZYGOUS}, {"consequences": ()}])
def test_homozygous_findings_and_those_outside_genes_are_not_paired(other):
    assert phased_pairs((finding(), finding(pos=7, **other))) == ()


def test_the_conclusion_of_two_findings_in_one_gene_says_what_is_known_of_their_copies():
    assert "testing the parents can tell" in conclude(report_cases.two_in_one_gene()).text
    assert "lie on different copies of BRCA1" in conclude(report_cases.one_slash_two()).text


def test_no_sentence_holds_the_patient():
    one = report_cases.patient_by_identifier()
    words = conclude(one).text + methodology(one)
    assert "MRN" not in words
    assert clinvar().variation_id in words


def test_a_missed_limit_is_told_in_plain_words():
    assert describe_missed(report_cases.MISSED[0]) == (
        "The part of the reads that come from another person is 0.081; at most 0.05 is required."
    )
    missing = Missed(figure="snvs", value=None, limit=Limit(min=1))
    assert describe_missed(missing) == "Snvs could not be measured; at least 1 is required."


def test_only_figures_that_exist_have_words():
    assert set(FIGURES) <= set(KNOWN_FIGURES)


def test_a_held_sample_concludes_nothing_but_why_it_is_held():
    conclusion = conclude(report_cases.held())
    assert conclusion.interpretation is None
    assert conclusion.text.splitlines()[:3] == [
        "Held: no result is released, because the sample missed its quality limits.",
        "The part of the reads that come from another person is 0.081; at most 0.05 is required.",
        "The mean depth (reads per base) is 12.4; at least 30 is required.",
    ]
    assert "alleles" not in methodology(report_cases.held())


def test_a_rejection_says_by_whom_when_and_why():
    assert (
        "Rejected by lab-director on 2026-11-03 10:00 UTC. Reason: The repeated extraction gave the same figures."
    ) in conclude(report_cases.rejected()).details


def test_a_released_result_keeps_its_interpretation_and_says_first_that_limits_were_missed():
    conclusion = conclude(report_cases.released())
    assert conclusion.interpretation == "Positive"
    lines = conclusion.text.splitlines()
    assert lines[0] == "Positive: 1 reportable variant was found."
    assert lines[1] == "The sample missed its quality limits; the result was released all the same."
    assert conclude(report_cases.positive()).caveats == ()


def test_contamination_and_identity_are_told_only_when_they_were_measured():
    quality = Quality(1, contamination=0.0123, identity_concordance=0.998, identity_sites=1_234)
    assert purity_sentences(case(quality=quality)) == (
        "1.2% of the reads are estimated to be another person's.",
        "99.8% of 1,234 common sites have the genotype known of this person.",
    )
    assert purity_sentences(case(quality=Quality(1, contamination=0.0))) == (
        "0.0% of the reads are estimated to be another person's.",
    )
    assert purity_sentences(case(quality=Quality(1, identity_sites=3))) == ()


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (Quality(1_500), "1,500 read pairs."),
        (Quality(0, single_reads=2_001), "2,001 single-end reads."),
        (
            Quality(10, mean_depth=30.0, single_reads=5),
            "10 read pairs and 5 single-end reads, mean depth 30.0 reads per base.",
        ),
        (Quality(0), "0 read pairs."),
    ],
)
def test_pairs_and_single_end_reads_are_told_as_what_they_are(quality, words):
    assert depth_sentence(case(quality=quality)) == words
