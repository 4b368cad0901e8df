"""A finding as a variant Observation (profile variant)."""

from fhir.resources.R4B.observation import Observation

from shared.domain.finding import Finding
from shared.domain.report_case import FileRole, consequence_by_gene, main_consequence
from shared.domain.variant import Allele, AnnotatedVariant, Zygosity
from shared.domain.wording import variant_name
from shared.fhir.codes import ASSEMBLY_ANSWER, CHROMOSOME_ANSWER, MITOCHONDRIAL_ANSWER, ZYGOSITY_ANSWER, System
from shared.fhir.elements import (
    Element,
    answer,
    component,
    concept,
    concept_of,
    fraction,
    loinc,
    quantity,
    reference,
    to_be_determined,
)
from shared.fhir.links import Links
from shared.fhir.observation import LOINC_NAMES, answered, coded, gene, observation
from shared.fhir.sequence import (
    Sequence,
    change_type,
    genomic_name,
    is_accession,
    is_coding_hgvs,
    is_protein_hgvs,
    sequence_of,
)

VARIANT_CODE = "69548-6"
"""LOINC: genetic variant assessment. The ledger counts Observations with this code."""


def variant(links: Links, finding: Finding) -> Observation:
    """The variant: present, where, which alleles, how many copies, how many reads, and its names.

    Whatever is not known is left out; no component has an empty value.
    """
    found = finding.variant
    allele = found.allele
    sequence = sequence_of(links.case, allele)
    name = genomic_name(sequence, found)
    is_plasmic = sequence.is_mitochondrial or found.zygosity is Zygosity.HOMOPLASMIC
    states = MITOCHONDRIAL_ANSWER if is_plasmic else ZYGOSITY_ANSWER
    components = [
        *(gene(consequence.gene, consequence.gene_id) for consequence in consequence_by_gene(found)),
        _assembly(links),
        *_chromosome(sequence),
        *_place(sequence, allele),
        coded("81290-9", concept(System.HGVS, name, name)),
        *_representative(found),
        coded("48019-4", concept(System.SEQUENCE_ONTOLOGY, *change_type(allele, name))),
        answered("48002-0", "LA6683-2"),
        answered("53034-5", states[found.zygosity]),
        component(
            loinc("81258-6", LOINC_NAMES["81258-6"]),
            valueQuantity=quantity(fraction(found.allele_fraction), "fraction of reads", "1"),
        ),
        component(loinc("82121-5", LOINC_NAMES["82121-5"]), valueQuantity=quantity(found.allele_depth, "reads", "1")),
        *_variation_codes(found),
    ]
    return observation(
        links,
        links.variant(allele),
        "variant",
        str(allele),
        loinc(VARIANT_CODE, "Genetic variant assessment"),
        valueCodeableConcept=answer("LA9633-4"),
        method=answer("LA26398-0"),
        note=[{"text": f"{variant_name(found)}: {finding.reason}"}],
        derivedFrom=[reference(links.file(file)) for file in links.case.files_of(FileRole.VARIANTS)],
        component=components,
    )


def _assembly(links: Links) -> Element:
    """The genome build; one that LOINC has no answer for is told by its bundle's name."""
    chosen = links.case.plan.reference
    if known := ASSEMBLY_ANSWER.get(chosen.assembly):
        return answered("62374-4", known)
    return coded("62374-4", concept_of([], f"Reference bundle {chosen.name}"))


def _chromosome(sequence: Sequence) -> list[Element]:
    if not sequence.chromosome:
        return []
    code = CHROMOSOME_ANSWER[sequence.chromosome]
    return [coded("48000-4", concept(System.LOINC, code, f"Chromosome {sequence.chromosome}"))]


def _place(sequence: Sequence, allele: Allele) -> list[Element]:
    """Sequence, 1-based closed range and alleles.

    A sequence that no public collection holds is told in words: its accession is the laboratory's own and must not
    stand under RefSeq's name.
    """
    if sequence.is_public:
        named = concept(System.REFSEQ, sequence.accession, sequence.accession)
    else:
        checksum = f", MD5 {sequence.contig.md5}" if sequence.contig.md5 else ""
        named = concept_of(
            [],
            f"{sequence.contig.name} (laboratory's own accession {sequence.accession}, "
            f"{sequence.contig.length} bp{checksum})",
        )
    last = allele.pos + len(allele.ref) - 1
    return [
        coded("48013-7", named),
        coded("92822-6", answer("LA30102-0")),
        component(
            loinc("81254-5", LOINC_NAMES["81254-5"]),
            valueRange={"low": {"value": allele.pos}, "high": {"value": last}},
        ),
        component(loinc("69547-8", LOINC_NAMES["69547-8"]), valueString=allele.ref),
        component(loinc("69551-0", LOINC_NAMES["69551-0"]), valueString=allele.alt),
    ]


def _representative(found: AnnotatedVariant) -> list[Element]:
    """Names on the representative transcript and protein, where they stand on versioned accessions."""
    main = main_consequence(found)
    if main is None:
        return []
    components = []
    if is_accession(main.transcript):
        components.append(coded("51958-7", transcript(main.transcript)))
    if is_coding_hgvs(main.hgvs_c):
        components.append(coded("48004-6", concept(System.HGVS, main.hgvs_c, main.hgvs_c)))
    if is_protein_hgvs(main.hgvs_p):
        components.append(coded("48005-3", concept(System.HGVS, main.hgvs_p, main.hgvs_p)))
        components.append(protein(main.hgvs_p))
    return components


def transcript(name: str) -> Element:
    """A transcript (or protein) by its versioned accession."""
    system = System.ENSEMBL if name.startswith("ENS") else System.REFSEQ
    return concept(system, name, name)


def protein(hgvs_p: str) -> Element:
    """A protein-ref-seq component from a protein name on a versioned accession."""
    accession = hgvs_p.partition(":")[0].partition("(")[0]
    code = to_be_determined("protein-ref-seq", "Protein reference sequence")
    return component(code, valueCodeableConcept=transcript(accession))


def _variation_codes(found: AnnotatedVariant) -> list[Element]:
    record = found.clinvar
    if record is None:
        return []
    components = [coded("81252-9", concept(System.CLINVAR, record.variation_id))]
    if record.dbsnp:
        components.append(coded("81252-9", concept(System.DBSNP, record.dbsnp)))
    return components
