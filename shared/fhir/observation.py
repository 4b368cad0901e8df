"""What every Observation of the report has in common."""

from typing import Any, Final

from fhir.resources.R4B.observation import Observation

from shared.fhir.codes import ANSWERS, System, profile
from shared.fhir.elements import (
    Element,
    coding,
    component,
    concept,
    concept_of,
    instant,
    loinc,
    moment,
    reference,
    to_be_determined,
)
from shared.fhir.links import Links, id_of
from shared.fhir.request import effective_time

CATEGORIES: Final = (
    concept(System.OBSERVATION_CATEGORY, "laboratory", "Laboratory"),
    concept(System.DIAGNOSTIC_SERVICE, "GE", "Genetics"),
)
"""The guide wants both on every Observation, each with exactly one coding."""

LOINC_NAMES: Final = {
    "48000-4": "Chromosome [Identifier] in Blood or Tissue by Molecular genetics method",
    "48002-0": "Genomic source class [Type]",
    "48004-6": "DNA change (c.HGVS)",
    "48005-3": "Amino acid change (pHGVS)",
    "48013-7": "Genomic reference sequence [ID]",
    "48018-6": "Gene studied [ID]",
    "48019-4": "DNA change type",
    "51958-7": "Transcript reference sequence [ID]",
    "53034-5": "Allelic state",
    "53037-8": "Genetic variation clinical significance [Imp]",
    "62374-4": "Human reference sequence assembly version",
    "69547-8": "Genomic ref allele [ID]",
    "69551-0": "Genomic alt allele [ID]",
    "81252-9": "Discrete genetic variant",
    "81254-5": "Genomic allele start-end",
    "81258-6": "Sample variant allelic frequency [NFr]",
    "81259-4": "Associated phenotype",
    "81290-9": "Genomic DNA change (gHGVS)",
    "82121-5": "Allelic read depth",
    "92822-6": "Genomic coord system",
    "93044-6": "Level of evidence",
}
"""LOINC codes of the components and how they are shown."""


def observation(links: Links, target: str, kind: str, key: str, code: Element, **content: Any) -> Observation:
    """An Observation of a profile of the guide.

    Args:
        target: Its `Observation/id`.
        kind: Short name of the profile.
        key: What it is among its kind, for its identifier.
        code: What is observed.
        content: Its own elements; empty ones are left out.
    """
    return Observation.model_validate(
        {
            "id": id_of(target),
            "meta": {"profile": [profile(kind)]},
            "identifier": [links.identifier(f"{kind}/{key}")],
            "basedOn": [links.based_on],
            "status": "final",
            "category": list(CATEGORIES),
            "code": code,
            "subject": links.subject,
            "effectiveDateTime": moment(effective_time(links.case)),
            "issued": instant(links.case.issued),
            "performer": [links.performer],
            "specimen": reference(links.specimen),
            "device": reference(links.device),
            **{name: value for name, value in content.items() if value},
        }
    )


def coded(code: str, value: Element) -> Element:
    """A component with a LOINC code and a concept as its value."""
    return component(loinc(code, LOINC_NAMES[code]), valueCodeableConcept=value)


def answered(code: str, answer: str) -> Element:
    """A component with a LOINC code and a LOINC answer."""
    return coded(code, concept(System.LOINC, answer, ANSWERS[answer]))


def gene(symbol: str, gene_id: str) -> Element:
    """A gene-studied component; a gene without an HGNC id is told by its symbol."""
    codings = [coding(System.HGNC, gene_id, symbol)] if gene_id.startswith("HGNC:") else []
    return coded("48018-6", concept_of(codings, symbol))


def sentence(text: str) -> Element:
    """A conclusion-string component."""
    return component(to_be_determined("conclusion-string", "Conclusion Text"), valueString=text)
