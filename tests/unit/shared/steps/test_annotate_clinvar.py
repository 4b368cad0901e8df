"""The ClinVar record of exactly the allele."""

import re

import pytest

from shared.domain.variant import Zygosity
from shared.steps.annotate import AnnotationFiles
from tests.toy_annotation import annotated, make_files, pathogenic, with_clinvar
from tests.toy_genes import (
    Call,
    other,
    ref,
    snv,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AnnotationFiles:
    return make_files(tmp_path_factory.mktemp("reference"))


def test_clinvar_is_matched_by_exact_allele_through_another_contig_name(tmp_path, files):
    before = ref(1100)
    files = with_clinvar(files, tmp_path, [pathogenic(1100, before, other(before))])
    (variant,) = annotated(tmp_path, files, snv(1100))
    record = variant.clinvar
    assert record is not None
    assert (record.variation_id, record.significance) == ("17661", "Pathogenic")
    assert record.review_status == "reviewed_by_expert_panel"
    assert record.conditions == ("Breast-ovarian cancer, familial 1", "not provided")
    assert record.condition_codes == ("MONDO:MONDO:0011450", "OMIM:604370", "MedGen:C3661900")
    assert record.dbsnp == "rs80357906"


def test_another_allele_at_the_same_position_is_not_clinvars(tmp_path, files):
    before = ref(1100)
    files = with_clinvar(files, tmp_path, [pathogenic(1100, before, other(before))])
    third = other(other(before))
    calls = [Call(1100, before, third), Call(1100, before, before + "G"), Call(1100, ref(1100, 2), before)]
    assert [variant.clinvar for variant in annotated(tmp_path, files, *calls)] == [None] * 3


def test_an_indel_in_a_repeat_matches_however_clinvar_and_the_caller_wrote_it(tmp_path, files):
    # A is lost from the run 1201-1206: ClinVar has it at the right end with context, the caller in the middle.
    assert ref(1200, 8) == "CAAAAAAC"
    files = with_clinvar(files, tmp_path, [pathogenic(1204, "AAAC", "AAC")])
    (variant,) = annotated(tmp_path, files, Call(1203, "AAA", "AA"))
    assert str(variant.allele) == "chr1-1200-CA-C"
    assert variant.clinvar is not None
    assert variant.hgvs_g == "NC_000001.11:g.1206del"
    assert variant.consequences[0].hgvs_c == "T1.9:c.131-45del"


def test_on_the_reverse_strand_the_coding_name_is_shifted_the_other_way(tmp_path, files):
    (variant,) = annotated(tmp_path, files, Call(3160, "CA", "C"))
    assert variant.hgvs_g == "NC_000001.11:g.3166del"
    # 3' for the transcript is the genome's left end of the run: pos 3161, 31 bases behind the exon's end at 3130.
    assert re.fullmatch(r"T2\.9:c\.\d+-31del", variant.consequences[0].hgvs_c)


def test_of_a_site_with_two_alts_each_allele_is_looked_up_and_both_are_heterozygous(tmp_path, files):
    before = ref(1100)
    first, second = other(before), other(other(before))
    files = with_clinvar(files, tmp_path, [pathogenic(1100, before, second)])
    variants = annotated(tmp_path, files, Call(1100, before, f"{first},{second}", "1/2"))
    assert [variant.allele.alt for variant in variants] == [first, second]
    assert [variant.zygosity for variant in variants] == [Zygosity.HETEROZYGOUS] * 2
    assert [variant.clinvar is not None for variant in variants] == [False, True]
    # 10 reads of each of three alleles: the fraction is of all the site's reads.
    assert [variant.allele_fraction for variant in variants] == [pytest.approx(1 / 3, abs=1e-6)] * 2


def test_clinvars_two_records_of_one_allele_do_not_hide_a_conflict(tmp_path, files):
    before, after = ref(1100), other(ref(1100))
    benign = pathogenic(1100, before, after, "99").replace("CLNSIG=Pathogenic", "CLNSIG=Benign")
    files = with_clinvar(files, tmp_path, [pathogenic(1100, before, after), benign])
    (variant,) = annotated(tmp_path, files, snv(1100))
    assert variant.clinvar is not None
    assert (variant.clinvar.variation_id, variant.clinvar.significance) == ("99", "Benign/Pathogenic")
