"""Annotation of a tiny genome, against what the tests work out base by base."""

import gzip
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.variant import AnnotatedVariant, Zygosity
from shared.errors import LedgerError, PermanentError
from shared.formats import annotated_vcf
from shared.formats.clinvar import prepare_clinvar
from shared.formats.gene_models import to_ensembl_gff3
from shared.steps import annotate
from shared.steps.annotate import AnnotationFiles, annotate_vcf, read_annotated
from tests import toy_genes
from tests.toy_genes import (
    CODE,
    CONTIGS,
    GENOME,
    MINUS,
    PLUS,
    THREE,
    Call,
    ToyGene,
    complement,
    other,
    protein,
    ref,
    snv,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AnnotationFiles:
    folder = tmp_path_factory.mktemp("reference")
    source = folder / "source.gff3"
    source.write_text(toy_genes.ensembl_gff3())
    to_ensembl_gff3(source, folder / "genes.gff3.gz", CONTIGS)
    return AnnotationFiles(toy_genes.write_fasta(folder), folder / "genes.gff3.gz")


def annotated(tmp_path: Path, files: AnnotationFiles, *calls: Call) -> list[AnnotatedVariant]:
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", list(calls))
    out = tmp_path / "annotated.vcf.gz"
    summary = annotate_vcf(vcf, files, CONTIGS, "S1", out)
    variants = list(read_annotated(out, CONTIGS))
    assert summary.alleles == len(variants)
    return variants


def the_one(tmp_path: Path, files: AnnotationFiles, call: Call) -> tuple[str, str, str, str]:
    """Terms, g., c. and p. of a single call."""
    (variant,) = annotated(tmp_path, files, call)
    (consequence,) = variant.consequences
    return "&".join(consequence.terms), variant.hgvs_g, consequence.hgvs_c, consequence.hgvs_p


def coding_snv(gene: ToyGene, number: int, base: str) -> Call:
    """A change of coding base `number` (c. number) to `base`, given in the transcript's direction."""
    pos = gene.coding[number - 1]
    return Call(pos, ref(pos), base if gene.strand == "+" else complement(base))


def with_clinvar(files: AnnotationFiles, folder: Path, records: list[str]) -> AnnotationFiles:
    source = folder / "clinvar-source.vcf"
    source.write_text(
        "##fileformat=VCFv4.1\n##fileDate=2026-11-01\n"
        '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNDN,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNDISDB,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=RS,Number=.,Type=String,Description="x">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(f"{record}\n" for record in records)
    )
    prepare_clinvar(source, files.fasta, CONTIGS, folder / "clinvar.vcf.gz")
    return AnnotationFiles(files.fasta, files.genes, folder / "clinvar.vcf.gz")


def pathogenic(pos: int, before: str, after: str, identifier: str = "17661", contig: str = "1") -> str:
    return (
        f"{contig}\t{pos}\t{identifier}\t{before}\t{after}\t.\t.\tCLNSIG=Pathogenic;CLNDN=Breast-ovarian_cancer,_familial_1"
        "|not_provided;CLNREVSTAT=reviewed_by_expert_panel;CLNDISDB=MONDO:MONDO:0011450,OMIM:604370|MedGen:C3661900;"
        "RS=80357906"
    )


# --- consequences and names ----------------------------------------------------------------------------------


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


# --- random edits --------------------------------------------------------------------------------------------

_edits = st.lists(
    st.tuples(
        st.one_of(st.integers(990, 1575), st.integers(2990, 3510)),
        st.integers(0, 12),
        st.text("ACGT", max_size=9),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda edit: edit[0],
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_edits)
def test_names_of_random_edits_describe_the_edited_sequences(tmp_path, files, edits):
    calls = []
    for pos, removed, added in edits:
        before, after = ref(pos, removed + 1), ref(pos) + added
        if before != after:
            calls.append(Call(pos, before, after))
    if not calls:
        return
    for variant in annotated(tmp_path, files, *calls):
        allele = variant.allele
        start, end = allele.pos - 1, allele.pos - 1 + len(allele.ref)
        assert GENOME[start:end] == allele.ref
        mutated = GENOME[:start] + allele.alt + GENOME[end:]
        assert applied(GENOME, variant.hgvs_g.partition("g.")[2]) == mutated
        for consequence in variant.consequences:
            check_coding_name(consequence.hgvs_c, consequence.hgvs_p, start, end, len(allele.alt), mutated)


def check_coding_name(c_name: str, p_name: str, start: int, end: int, added: int, mutated: str) -> None:
    """An exonic c. name makes the mutated, spliced sequence, is as far 3' as it goes, and p. is its translation."""
    gene = {"T1": PLUS, "T2": MINUS}.get(c_name[:2])
    inside = gene and [first <= start + 1 and end <= last for first, last in gene.exons]
    if not gene or not any(inside):
        return
    cdna = gene.spliced(GENOME, gene.cdna)
    first = gene.cdna.index(gene.coding[0])
    # The mutated exon, spliced by hand; all others stay.
    pieces = []
    for (low, high), is_here in zip(gene.exons, inside, strict=True):
        after = mutated[low - 1 : high + added - (end - start)] if is_here else GENOME[low - 1 : high]
        pieces.append(after)
    spliced = "".join(pieces)
    if gene.strand == "-":
        spliced = "".join(map(complement, reversed(spliced)))
    text = c_name.partition("c.")[2]
    if re.search(r"\d[+-]", text):  # moved into an intron
        return
    shifted = re.sub(
        r"(\*?)(-?)(\d+)(?=[_A-Zdi])",
        lambda m: str(first - int(m[3]) + 1 if m[2] else int(m[3]) + first + (len(gene.coding) if m[1] else 0)),
        text,
    )
    lengths = [high - low + 1 for low, high in gene.exons][:: 1 if gene.strand == "+" else -1]
    junctions = tuple(sum(lengths[:count]) for count in range(1, len(lengths)))
    assert applied(cdna, shifted, junctions) == spliced, (c_name, shifted)
    if not p_name:
        return
    before = protein(gene.spliced(GENOME, gene.coding))
    after = protein(spliced[first:])
    after = after[: after.index("*") + 1] if "*" in after else after
    if match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)([A-Z][a-z]{2})fsTer(\d+|\?)\)", p_name):
        at = int(match[2]) - 1
        assert THREE[before[at]] == match[1]
        assert THREE[after[at]] == match[3]
        assert after[:at] == before[:at]
        if match[4] != "?":
            assert after.index("*") == at + int(match[4]) - 1
    elif match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)(Ter)\)", p_name):
        assert after == before[: int(match[2]) - 1] + "*"
    elif match := re.search(r"p\.\(([A-Z][a-z]{2})(\d+)=\)", p_name):
        assert after == before
    elif match := re.search(r"p\.\((?:[A-Z][a-z]{2})(\d+)(?:_[A-Z][a-z]{2}(\d+))?del\)", p_name):
        assert after == before[: int(match[1]) - 1] + before[int(match[2] or match[1]) :]


def applied(sequence: str, text: str, junctions: tuple[int, ...] = ()) -> str:
    """A sequence after an HGVS edit, by the plain reading of the name; numbers are 1-based.

    `junctions` are the ends of exons in the sequence, beyond which HGVS does not move a change.
    """
    match = re.fullmatch(r"(\d+)(?:_(\d+))?(?:([ACGT])>([ACGT])|(delins|del|dup|ins|inv)([ACGT]*))", text)
    assert match, text
    start, end = int(match[1]) - 1, int(match[2] or match[1])
    if match[4]:
        assert sequence[start] == match[3]
        return sequence[:start] + match[4] + sequence[start + 1 :]
    kind, new = match[5], match[6]
    if kind == "ins":
        assert end == start + 2
        return sequence[: start + 1] + new + sequence[start + 1 :]
    if kind in {"del", "dup"}:
        # HGVS's 3' rule: the same change cannot be written further to the right.
        unit = sequence[start:end]
        assert kind == "dup" or end in junctions or not sequence[end:].startswith(unit[0]), text
    middle = {
        "del": "",
        "dup": sequence[start:end] * 2,
        "delins": new,
        "inv": "".join(map(complement, reversed(sequence[start:end]))),
    }[kind]
    return sequence[:start] + middle + sequence[end:]


# --- ClinVar -------------------------------------------------------------------------------------------------


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


# --- genotypes, header, refusals -----------------------------------------------------------------------------


def test_only_alleles_that_the_sample_carries_are_read_with_their_zygosity(tmp_path, files):
    calls = [
        snv(1021, "0/1"),
        snv(1030, "1/1"),
        snv(1040, "1"),
        snv(1050, "0/0"),
        snv(1060, "./."),
        snv(1070, "./1"),
        Call(1080, ref(1080), "*"),
    ]
    variants = annotated(tmp_path, files, *calls)
    assert [(variant.allele.pos, variant.zygosity.value) for variant in variants] == [
        (1021, "heterozygous"),
        (1030, "homozygous"),
        (1040, "hemizygous"),
        (1070, "heterozygous"),
    ]
    assert (variants[0].depth, variants[0].allele_depth, variants[0].genotype_quality) == (20, 10, 60)


def test_filters_are_kept_and_a_site_without_filters_does_not_pass(tmp_path, files):
    calls = [snv(1021), snv(1030, filters="LowQual"), snv(1040, filters=".")]
    variants = annotated(tmp_path, files, *calls)
    assert [variant.filters for variant in variants] == [("PASS",), ("LowQual",), ()]
    assert [variant.passes for variant in variants] == [True, False, False]


def test_the_bytes_depend_on_the_content_only_and_the_header_has_no_dates_or_paths(tmp_path, files):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    calls = [snv(pos) for pos in range(1001, 1500, 7)]
    annotated(tmp_path / "a", files, *calls)
    annotated(tmp_path / "b", files, *calls)
    one, two = ((tmp_path / name / "annotated.vcf.gz") for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert Path(f"{one}.tbi").read_bytes() == Path(f"{two}.tbi").read_bytes()
    header = [line for line in gzip.decompress(one.read_bytes()).decode().split("\n") if line.startswith("##")]
    assert not [line for line in header if "Command" in line or "Date" in line or str(tmp_path) in line]
    assert '##annotation=<ID=genes,Version="Ensembl GRCh38 2026-05">' in header


def test_batches_do_not_change_the_bytes(tmp_path, files, monkeypatch):
    calls = [snv(pos) for pos in (*range(990, 1500, 5), *range(2990, 3500, 5))]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    annotated(tmp_path / "a", files, *calls)
    monkeypatch.setattr(annotate, "_BATCH", 3)
    annotated(tmp_path / "b", files, *calls)
    assert (tmp_path / "a/annotated.vcf.gz").read_bytes() == (tmp_path / "b/annotated.vcf.gz").read_bytes()


def test_samples_annotated_at_once_in_one_process_do_not_disturb_each_other(tmp_path, files):
    # bcftools csq keeps where a contig began from one call to the next: the later sample begins earlier here.
    starts = [3000, 1500, 1001, 990]
    folders = [tmp_path / str(start) for start in starts]
    for folder in folders:
        folder.mkdir()

    def work(start: int) -> bytes:
        folder = tmp_path / str(start)
        annotated(folder, files, *(snv(pos) for pos in range(start, 3500, 40)))
        return (folder / "annotated.vcf.gz").read_bytes()

    alone = [work(start) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, starts))
    assert together == alone


def test_soft_masked_bases_are_read_as_bases(tmp_path, files):
    call = snv(1100)
    (variant,) = annotated(tmp_path, files, Call(1100, call.ref.lower(), call.alt.lower()))
    assert variant.allele.alt == call.alt
    assert variant.consequences[0].hgvs_p


def test_an_empty_vcf_gives_an_empty_annotated_vcf(tmp_path, files):
    assert annotated(tmp_path, files) == []


def test_gene_models_as_downloaded_are_prepared_on_the_way(tmp_path, files):
    source = tmp_path / "refseq.gff3"
    source.write_text(toy_genes.refseq_gff3())
    (variant,) = annotated(tmp_path, AnnotationFiles(files.fasta, source), snv(1100))
    assert variant.consequences[0].hgvs_c.startswith("NM_1.4:c.80")
    assert variant.consequences[0].hgvs_p.startswith("NP_1.2:p.(")


def test_a_transcript_that_differs_from_the_genome_gets_no_names(tmp_path, files):
    source = tmp_path / "refseq.gff3"
    source.write_text(toy_genes.refseq_gff3(differs=True))
    (variant,) = annotated(tmp_path, AnnotationFiles(files.fasta, source), snv(1100))
    assert variant.consequences[0].transcript == "NM_1.4"
    assert variant.consequences[0].hgvs_c == variant.consequences[0].hgvs_p == ""


def test_a_reference_base_that_differs_from_the_fasta_is_refused(tmp_path, files):
    wrong = Call(1100, other(ref(1100)), ref(1100))
    with pytest.raises(PermanentError, match=r"bcftools norm .* failed"):
        annotated(tmp_path, files, wrong)


def test_a_vcf_of_another_sample_is_refused(tmp_path, files):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [])
    with pytest.raises(PermanentError, match="not exactly the one of the analysis"):
        annotate_vcf(vcf, files, CONTIGS, "S2", tmp_path / "out.vcf.gz")


def test_a_contig_that_the_reference_does_not_have_is_refused_with_its_line(tmp_path, files):
    with pytest.raises(PermanentError, match=r"called.vcf, line 11: .* 'chr9'"):
        annotated(tmp_path, files, Call(5, "A", "C", contig="chr9"))


def test_symbolic_alleles_are_counted_and_left_out(tmp_path, files):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [snv(1100), Call(1200, "C", "<DEL>")])
    summary = annotate_vcf(vcf, files, CONTIGS, "S1", tmp_path / "out.vcf.gz")
    assert (summary.records, summary.alleles, summary.skipped) == (2, 1, 1)


def test_a_lost_allele_is_a_ledger_error(tmp_path, files, monkeypatch):
    monkeypatch.setattr(annotate, "_write", lambda *_: 0)
    with pytest.raises(LedgerError, match="carries 1 ALT alleles in the called VCF and 0 in the annotated"):
        annotated(tmp_path, files, snv(1100))


def test_a_vcf_that_was_not_split_is_not_read(tmp_path):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [Call(1100, "A", "C,G", "1/2")])
    vcf.write_text(vcf.read_text().replace("#CHROM", "##contig=<ID=chr1,length=5000>\n#CHROM"))
    with pytest.raises(PermanentError, match="not split"):
        list(annotated_vcf.read_annotated(vcf, CONTIGS))
