"""What a finding means: diagnostic implication, molecular consequences, and how two findings lie to each other."""

import re
from typing import Any, Final

from fhir.resources.R4B.observation import Observation

from shared.domain.finding import Finding
from shared.domain.phase import PhasedPair, phased_pairs
from shared.domain.report_case import consequence_by_gene
from shared.domain.variant import AnnotatedVariant, Consequence
from shared.domain.wording import named_conditions, review_status
from shared.fhir.codes import (
    CONDITION_SYSTEMS,
    CONSEQUENCE_TERMS,
    CORE,
    REVIEW_STARS,
    SIGNIFICANCE_ANSWER,
    System,
)
from shared.fhir.elements import Element, coding, component, concept, concept_of, loinc, reference, to_be_determined
from shared.fhir.links import Links
from shared.fhir.observation import answered, coded, gene, observation, sentence
from shared.fhir.sequence import is_accession, is_coding_hgvs, is_protein_hgvs
from shared.fhir.variant import protein, transcript

CLINVAR_PAGE: Final = "https://www.ncbi.nlm.nih.gov/clinvar/variation/{}/"

NO_CONDITION_CODES: Final = frozenset({"C3661900", "CN169374", "CN235283", "CN517202"})
"""MedGen's codes for "not provided" and "not specified": they name no condition."""


def diagnostic_implication(links: Links, finding: Finding) -> Observation:
    """What the finding means: its significance, for which conditions, on which evidence."""
    found = finding.variant
    content: dict[str, Any] = {}
    if found.clinvar:
        artifact = {
            "type": "citation",
            "display": f"ClinVar variation {found.clinvar.variation_id}",
            "url": CLINVAR_PAGE.format(found.clinvar.variation_id),
        }
        content["extension"] = [{"url": f"{CORE}/workflow-relatedArtifact", "valueRelatedArtifact": artifact}]
    return observation(
        links,
        links.implication(found.allele),
        "diagnostic-implication",
        str(found.allele),
        to_be_determined("diagnostic-implication", "Diagnostic Implication"),
        derivedFrom=[reference(links.variant(found.allele))],
        component=[
            sentence(finding.reason),
            answered("53037-8", SIGNIFICANCE_ANSWER[finding.significance]),
            *(coded("81259-4", condition) for condition in conditions(found)),
            coded("93044-6", evidence_level(finding)),
        ],
        **content,
    )


def conditions(found: AnnotatedVariant) -> list[Element]:
    """The conditions of a ClinVar record as concepts.

    ClinVar's codes are one list for all conditions of a record. With one condition they are its codes; with several
    each name and each code is told by itself, for a code must not be tied to a condition that it may not mean.
    """
    names = named_conditions(found)
    codings = condition_codings(found.clinvar.condition_codes if found.clinvar else ())
    if len(names) == 1:
        return [concept_of(codings, names[0])]
    told = [concept_of([], name) for name in names] + [concept_of([one]) for one in codings]
    return told or [concept_of([], "Condition not named in the knowledge base")]


def condition_codings(entries: tuple[str, ...]) -> list[Element]:
    """Codings of ClinVar's condition codes (CLNDISDB); those of unknown systems are left out."""
    codings: list[Element] = []
    for entry in re.split(r"[,|]", ",".join(entries)):
        name, _, code = entry.strip().partition(":")
        code = code.removeprefix("ORPHA:").removeprefix("ORPHA")
        system, begin = CONDITION_SYSTEMS.get(name, ("", ""))
        is_code = bool(code) and code.startswith(begin) and code not in NO_CONDITION_CODES
        if system and is_code and (known := coding(system, code)) not in codings:
            codings.append(known)
    return codings


def evidence_level(finding: Finding) -> Element:
    """ClinVar's stars; without a record, the reason in words."""
    if finding.variant.clinvar is None:
        return concept_of([], finding.reason)
    status = review_status(finding.variant)
    stars = REVIEW_STARS.get(status.lower(), "no-star")
    return concept(System.EVIDENCE, stars, stars.replace("-", " "), f"ClinVar review status: {status}")


def molecular_consequences(links: Links, finding: Finding) -> list[Observation]:
    """What the finding does to the main transcript of each gene that it touches."""
    found = finding.variant
    return [_molecular_consequence(links, found, consequence) for consequence in consequence_by_gene(found)]


def _molecular_consequence(links: Links, found: AnnotatedVariant, consequence: Consequence) -> Observation:
    components = [gene(consequence.gene, consequence.gene_id)]
    local_names = []
    if is_accession(consequence.transcript):
        components.append(coded("51958-7", transcript(consequence.transcript)))
    elif consequence.transcript:
        local_names.append(f"transcript {consequence.transcript}")
    if is_coding_hgvs(consequence.hgvs_c):
        components.append(coded("48004-6", concept(System.HGVS, consequence.hgvs_c, consequence.hgvs_c)))
    elif consequence.hgvs_c:
        local_names.append(consequence.hgvs_c)
    if is_protein_hgvs(consequence.hgvs_p):
        components.append(coded("48005-3", concept(System.HGVS, consequence.hgvs_p, consequence.hgvs_p)))
        components.append(protein(consequence.hgvs_p))
    elif consequence.hgvs_p:
        local_names.append(consequence.hgvs_p)
    components += [
        component(to_be_determined("feature-consequence", "Feature Consequence"), valueCodeableConcept=term)
        for term in consequence_terms(consequence.terms)
    ]
    if local_names:
        # Names on sequences without a public accession are words, not codes.
        components.append(sentence(f"{consequence.gene}: {', '.join(local_names)}"))
    return observation(
        links,
        links.consequence(found.allele, consequence.gene, consequence.transcript),
        "molecular-consequence",
        f"{found.allele}/{consequence.gene}/{consequence.transcript}",
        to_be_determined("molecular-consequence", "Molecular Consequence"),
        derivedFrom=[reference(links.variant(found.allele))],
        component=components,
    )


def consequence_terms(terms: tuple[str, ...]) -> list[Element]:
    """Sequence Ontology concepts of bcftools' consequence words; a word without a term is told as it is."""
    concepts: list[Element] = []
    for word in "&".join(terms).split("&"):
        # bcftools marks consequences behind a new stop with an asterisk.
        plain = word.strip().lstrip("*")
        known = CONSEQUENCE_TERMS.get(plain.lower().removesuffix("_variant"))
        element = concept(System.SEQUENCE_ONTOLOGY, *known) if known else concept_of([], plain) if plain else None
        if element and element not in concepts:
            concepts.append(element)
    return concepts


def phases(links: Links) -> list[Observation]:
    """How heterozygous findings of one gene lie to each other."""
    return [_phase(links, pair) for pair in phased_pairs(links.case.findings)]


def _phase(links: Links, pair: PhasedPair) -> Observation:
    one, other = pair.first.allele, pair.second.allele
    return observation(
        links,
        links.phase(one, other),
        "sequence-phase-relationship",
        f"{one}/{other}",
        loinc("82120-7", "Allelic phase"),
        valueCodeableConcept=concept(System.PHASE, pair.phase, pair.phase),
        derivedFrom=[reference(links.variant(one)), reference(links.variant(other))],
        component=[gene(pair.gene.gene, pair.gene.gene_id)],
    )
