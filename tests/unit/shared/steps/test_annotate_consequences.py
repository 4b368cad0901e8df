"""Consequences and HGVS names of single changes, against what the tests work out base by base."""

import gzip
import re

import pytest

from shared.steps.annotate import AnnotationFiles
from tests.toy_annotation import annotated, coding_snv, make_files, the_one
from tests.toy_genes import (
    CODE,
    GENOME,
    MINUS,
    PLUS,
    THREE,
    Call,
    ToyGene,
    other,
    protein,
    ref,
    snv,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AnnotationFiles:
    return make_files(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("gene", [PLUS, MINUS], ids=["plus", "minus"])
def test_every_coding_snv_has_the_consequence_and_names_that_translating_it_gives(tmp_path, files, gene):
    coding = gene.spliced(GENOME, gene.coding)
    before = protein(coding)
    version = {"T1": ("T1.9", "P1"), "T2": ("T2.9", "P2")}[gene.transcript]
    calls, expected = [], []
    for number in range(1, len(coding) + 1):
        for base in "ACGT":
            if base == coding[number - 1]:
                continue
            calls.append(coding_snv(gene, number, base))
            after = protein(coding[: number - 1] + base + coding[number:])
            at = (number - 1) // 3
            old, new = before[at], after[at]
            name = f"{THREE[old]}{at + 1}{THREE[new]}"
            if at == 0:
                term, name = "start_lost", "Met1?"
            elif old == new:
                term = "stop_retained_variant" if old == "*" else "synonymous_variant"
                name = f"{THREE[old]}{at + 1}="
            elif new == "*":
                term = "stop_gained"
            elif old == "*":
                term, name = "stop_lost", None
            else:
                term = "missense_variant"
            c_name = f"{version[0]}:c.{number}{coding[number - 1]}>{base}"
            expected.append((term, c_name, name and f"{version[1]}:p.({name})"))
    order = {(call.pos, call.alt): want for call, want in zip(calls, expected, strict=True)}
    variants = annotated(tmp_path, files, *calls)
    assert len(variants) == 3 * len(coding)
    for variant in variants:
        (consequence,) = variant.consequences
        term, c_name, p_name = order[variant.allele.pos, variant.allele.alt]
        assert term in consequence.terms, variant
        assert consequence.hgvs_c == c_name
        if p_name is not None:
            assert consequence.hgvs_p == p_name
        else:
            assert re.fullmatch(r"P\d:p\.\(Ter\d+[A-Z][a-z]{2}extTer(\d+|\?)\)|", consequence.hgvs_p), variant


def first_codon_that_becomes_stop(gene: ToyGene) -> tuple[int, str]:
    coding = gene.spliced(GENOME, gene.coding)
    for number in range(4, len(coding) - 3):
        for base in "ACGT":
            changed = coding[: number - 1] + base + coding[number:]
            if protein(changed).index("*") * 3 < len(coding) - 3:
                return number, base
    raise AssertionError


def test_stop_gained_is_named_with_ter(tmp_path, files):
    number, base = first_codon_that_becomes_stop(MINUS)
    terms, _, c_name, p_name = the_one(tmp_path, files, coding_snv(MINUS, number, base))
    assert terms == "stop_gained"
    assert f":c.{number}" in c_name
    assert p_name.endswith("Ter)")


@pytest.mark.parametrize(
    ("pos", "terms", "c_name"),
    [
        (1151, "splice_donor_variant", "T1.9:c.130+1G>T"),
        (1250, "splice_acceptor_variant", "T1.9:c.131-1G>T"),
        (1154, "splice_region_variant", None),
        (1180, "intron_variant", None),
        (1005, "5_prime_UTR_variant", None),
        (1540, "3_prime_UTR_variant", None),
        (3230, "splice_donor_variant", None),
        (3400, "splice_donor_variant", "T2.9:c.70+1G>C"),
        (3010, "3_prime_UTR_variant", None),
        (3490, "5_prime_UTR_variant", None),
    ],
)
def test_positions_outside_the_coding_sequence_have_their_term_and_number(tmp_path, files, pos, terms, c_name):
    found, _, coding, p_name = the_one(tmp_path, files, snv(pos))
    assert found == terms
    assert p_name == ""
    if c_name:
        assert coding == c_name
    if "UTR" in terms:
        gene = PLUS if pos < 2000 else MINUS
        at = gene.cdna.index(pos)
        first, last = gene.cdna.index(gene.coding[0]), gene.cdna.index(gene.coding[-1])
        number = f"-{first - at}" if at < first else f"*{at - last}"
        assert coding.startswith(f"{gene.transcript}.9:c.{number}")


def test_a_variant_outside_all_genes_is_intergenic_and_has_its_genomic_name_only(tmp_path, files):
    (variant,) = annotated(tmp_path, files, snv(100))
    assert variant.consequences[0].terms == ("intergenic_variant",)
    assert variant.consequences[0].hgvs_c == ""
    assert variant.hgvs_g == f"NC_000001.11:g.100{ref(100)}>{other(ref(100))}"


def test_a_contig_without_accession_gives_no_genomic_name(tmp_path, files):
    (variant,) = annotated(tmp_path, files, Call(10, "T", "C", contig="chr2"))
    assert variant.hgvs_g == ""


def test_without_gene_models_there_are_no_consequences(tmp_path, files):
    (variant,) = annotated(tmp_path, AnnotationFiles(files.fasta), snv(1100))
    assert variant.consequences == ()
    assert variant.hgvs_g


def test_a_codon_deleted_in_a_run_is_named_at_its_three_prime_end_on_both_strands(tmp_path, files):
    for gene in (PLUS, MINUS):
        # Residues 8 to 12 are CAG: whichever of the five the caller takes out, the name is the last.
        positions = sorted(gene.coding[21 + 3 : 24 + 3])
        start = positions[0]
        call = Call(start - 1, ref(start - 1, 4), ref(start - 1))
        terms, _, c_name, p_name = the_one(tmp_path, files, call)
        assert terms == "inframe_deletion"
        following = gene.spliced(GENOME, gene.coding)[36:39]
        assert following != "CAG"
        extra = next(at for at, (one, two) in enumerate(zip(following, "CAG", strict=True)) if one != two)
        assert c_name == f"{gene.transcript}.9:c.{34 + extra}_{36 + extra}del"
        assert p_name.endswith("p.(Gln12del)")


def test_an_inserted_copy_is_a_duplication(tmp_path, files):
    pos = PLUS.coding[21] - 1
    terms, g_name, c_name, p_name = the_one(tmp_path, files, Call(pos, ref(pos), ref(pos) + "CAG"))
    assert terms == "inframe_insertion"
    assert g_name.endswith("dup")
    assert c_name.endswith("dup")
    assert p_name.endswith("p.(Gln12dup)")


def test_a_frameshift_is_named_with_its_new_stop(tmp_path, files):
    for gene in (PLUS, MINUS):
        coding = gene.spliced(GENOME, gene.coding)
        # Where the deleted base stands alone, its number is not open to shifting.
        number = next(n for n in range(50, 120) if coding[n - 1] not in {coding[n - 2], coding[n]})
        pos = gene.coding[number - 1]
        _, _, c_name, p_name = the_one(tmp_path, files, Call(pos - 1, ref(pos - 1, 2), ref(pos - 1)))
        assert c_name == f"{gene.transcript}.9:c.{number}del"
        before, after = protein(coding), protein(coding[: number - 1] + coding[number:])
        at = next(n for n, (one, two) in enumerate(zip(before, after, strict=False)) if one != two)
        stop = after.find("*")
        assert stop > 0, "the toy gene must have a stop in the new frame"
        assert p_name.endswith(f"p.({THREE[before[at]]}{at + 1}{THREE[after[at]]}fsTer{stop - at + 1})")


def test_a_frameshift_in_a_repeat_of_two_bases_has_its_protein_name(tmp_path, files):
    # As in BRCA1 c.68_69del, the name of which is not c.66_69AG[1] and has a p. part.
    coding = PLUS.spliced(GENOME, PLUS.coding)
    at = next(n for n in range(50, 120) if coding[n : n + 2] == coding[n + 2 : n + 4] != coding[n + 4 : n + 6])
    assert coding[at] != coding[at + 1]
    pos = PLUS.coding[at]
    assert ref(pos, 4) == coding[at : at + 4]
    _, _, c_name, p_name = the_one(tmp_path, files, Call(pos - 1, ref(pos - 1, 3), ref(pos - 1)))
    last = at + 4
    while coding[last] == coding[last - 2]:
        last += 1
    assert c_name == f"T1.9:c.{last - 1}_{last}del"
    assert "fsTer" in p_name


def test_an_allele_that_touches_no_transcript_is_intergenic(tmp_path, files):
    (variant,) = annotated(tmp_path, files, Call(998, ref(998, 2), "TTCGCC"))
    assert variant.consequences[0].terms == ("intergenic_variant",)


def test_bases_replaced_by_a_different_number_of_others_have_terms_that_say_what_happens(tmp_path, files):
    five, intron = Call(1036, "CACTT", "TG"), Call(1171, "CAAACC", "TG")
    assert (five.ref, intron.ref) == (ref(1036, 5), ref(1171, 6))
    variants = annotated(tmp_path, files, five, intron)
    assert [variant.consequences[0].terms for variant in variants] == [
        ("protein_altering_variant",),
        ("intron_variant",),
    ]
    assert variants[1].consequences[0].hgvs_c == "T1.9:c.130+21_130+26delinsTG"


def test_two_bases_changed_in_one_record_are_one_delins(tmp_path, files):
    coding = PLUS.spliced(GENOME, PLUS.coding)
    pos = PLUS.coding[60]
    changed = other(coding[60]) + other(coding[61])
    terms, g_name, c_name, p_name = the_one(tmp_path, files, Call(pos, ref(pos, 2), changed))
    new = CODE[changed + coding[62]]
    assert g_name == f"NC_000001.11:g.{pos}_{pos + 1}delins{changed}"
    assert c_name == f"T1.9:c.61_62delins{changed}"
    assert p_name == f"P1:p.({THREE[protein(coding)[20]]}21{THREE[new]})"
    assert terms in {"missense_variant", "stop_gained"}


def test_phased_snvs_in_a_codon_are_translated_together_and_unphased_ones_alone(tmp_path, files):
    coding = PLUS.spliced(GENOME, PLUS.coding)
    number = next(
        n
        for n in range(61, 100, 3)
        if len(
            {
                CODE[other(coding[n - 1]) + coding[n : n + 2]],
                CODE[coding[n - 1] + other(coding[n]) + coding[n + 1]],
                CODE[other(coding[n - 1]) + other(coding[n]) + coding[n + 1]],
                CODE[coding[n - 1 : n + 2]],
            }
        )
        == 4
    )
    pair = [PLUS.coding[number - 1], PLUS.coding[number]]
    alone = annotated(tmp_path, files, *(snv(pos, "0/1") for pos in pair))
    assert all(variant.consequences[0].hgvs_p for variant in alone)
    together = annotated(tmp_path, files, *(snv(pos, "0|1") for pos in pair))
    # Both records tell the consequence of the haplotype; the second refers to the first in bcftools' output.
    assert together[0].consequences[0].terms == together[1].consequences[0].terms
    text = gzip.decompress((tmp_path / "annotated.vcf.gz").read_bytes()).decode()
    assert "@" not in text
    assert text.count(f"{pair[0]}{ref(pair[0])}>{other(ref(pair[0]))}+{pair[1]}") == 2
    # Each has its own coding name; neither own protein name is what the haplotype makes.
    assert [variant.consequences[0].hgvs_p for variant in together] == ["", ""]
    assert all(variant.consequences[0].hgvs_c for variant in together)


def test_two_unphased_frameshifts_in_a_gene_stay_two_frameshifts(tmp_path, files):
    # One base lost and one won: on one chromosome they would mend the frame, on two they are two hits.
    first, second = PLUS.coding[60], PLUS.coding[69]
    calls = [
        Call(first, ref(first, 2), ref(first)),
        Call(second, ref(second), ref(second) + other(ref(second))),
    ]
    variants = annotated(tmp_path, files, *calls)
    assert [variant.consequences[0].terms for variant in variants] == [("frameshift_variant",)] * 2


def test_the_mitochondrion_is_translated_by_its_own_code_and_gets_a_genomic_name_only(tmp_path, files):
    # TGA to TGG: tryptophan stays tryptophan; by the standard code it would be a lost stop.
    pos = 101 + 3 + 60 + 2
    (nuclear, variant) = annotated(tmp_path, files, snv(1100), Call(pos, "A", "G", "1/1", contig="chrM"))
    assert nuclear.consequences[0].hgvs_c
    assert variant.consequences[0].terms == ("synonymous_variant",)
    assert variant.hgvs_g == f"NC_012920.1:m.{pos}A>G"
    assert variant.consequences[0].hgvs_c == variant.consequences[0].hgvs_p == ""


def test_aga_is_a_stop_in_the_vertebrate_mitochondrion(tmp_path, files):
    (variant,) = annotated(tmp_path, files, Call(107, "GCC", "AGA", "1/1", contig="chrM"))
    assert variant.consequences[0].terms == ("stop_gained",)


def test_gene_id_transcript_version_and_symbol_are_told(tmp_path, files):
    (variant,) = annotated(tmp_path, files, snv(3100))
    consequence = variant.consequences[0]
    assert (consequence.gene, consequence.gene_id, consequence.transcript, consequence.biotype) == (
        "MINUS1",
        "HGNC:1101",
        "T2.9",
        "protein_coding",
    )


def test_a_protein_name_that_bcftools_does_not_confirm_is_left_out(tmp_path, files, monkeypatch):
    monkeypatch.setattr("shared.formats.coding_hgvs.agrees", lambda *_: False)
    _, _, c_name, p_name = the_one(tmp_path, files, snv(1100))
    assert c_name
    assert p_name == ""


def test_a_coding_name_that_does_not_lead_back_to_the_allele_is_left_out(tmp_path, files, monkeypatch):
    monkeypatch.setattr("shared.formats.coding_hgvs._after", lambda _: "c.1A>G")
    monkeypatch.setattr("shared.formats.coding_hgvs.describe", lambda *_: "1A>G")
    _, _, c_name, p_name = the_one(tmp_path, files, snv(1100))
    assert c_name == p_name == ""
