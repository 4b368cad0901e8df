"""Names of alleles and their sequences: accessions, genomic HGVS, and which names may be sent as codes."""

import re
from dataclasses import dataclass
from typing import Final

from shared.domain.genome import Contig
from shared.domain.reference import Assembly
from shared.domain.report_case import ReportCase
from shared.domain.variant import Allele, AnnotatedVariant
from shared.fhir.codes import CHROMOSOME_ACCESSION, CHROMOSOMES, MITOCHONDRION
from shared.fhir.links import accession_of

_VERSIONED: Final = re.compile(r"(?:[A-Z]{2}_?|LRG_)\d+\.\d+")
_CODING_HGVS: Final = re.compile(r"(?:NM_|NR_|XM_|XR_|NC_|NG_|ENST|LRG_)\d+(?:\.\d+|t\d+)(?:\([^)]*\))?:[cn]\..+")
_PROTEIN_HGVS: Final = re.compile(r"(?:NP_|XP_|ENSP|LRG_)\d+(?:\.\d+|p\d+)(?:\([^)]*\))?:p\..+")


@dataclass(frozen=True, slots=True)
class Sequence:
    """The reference sequence of an allele.

    Attributes:
        accession: With version; the laboratory's own when no public collection holds the sequence.
        is_public: Whether the accession is of a public collection.
        chromosome: ``1`` to ``22``, ``X`` or ``Y`` of a public assembly; else empty.
    """

    contig: Contig
    accession: str
    is_public: bool
    chromosome: str

    @property
    def is_mitochondrial(self) -> bool:
        """Whether it is the human mitochondrion, whose names begin with ``m.``."""
        return self.accession == MITOCHONDRION


def sequence_of(case: ReportCase, allele: Allele) -> Sequence:
    """The sequence that an allele lies on."""
    contig = case.contig(allele)
    name = contig.name.removeprefix("chr")
    assembly = case.plan.reference.assembly
    known = CHROMOSOME_ACCESSION.get((assembly, name), "")
    if name in {"M", "MT"} and assembly is not Assembly.OTHER:
        known = MITOCHONDRION
    chromosome = name if known and name in CHROMOSOMES else ""
    if accession := contig.accession or known:
        return Sequence(contig, accession, is_public=True, chromosome=chromosome)
    seed = contig.md5 or f"{case.plan.reference.name}/{contig.name}"
    return Sequence(contig, accession_of(seed), is_public=False, chromosome="")


def genomic_name(sequence: Sequence, variant: AnnotatedVariant) -> str:
    """The genomic HGVS name of a variant on the sequence's accession.

    The annotation's name is taken where it has one. Without it the name is made from the normalised allele: exact
    for substitutions; insertions and deletions in a repeat are then named at its left end (as in VCF), not at its
    right end as HGVS prefers, because the sequence beside the allele is not known here.
    """
    owner, _, description = variant.hgvs_g.partition(":")
    if not description:
        kind = "m" if sequence.is_mitochondrial else "g"
        return f"{sequence.accession}:{kind}.{describe_allele(variant.allele)}"
    return variant.hgvs_g if owner == sequence.accession else f"{sequence.accession}:{description}"


def describe_allele(allele: Allele) -> str:
    """What follows ``g.`` in the HGVS name of a normalised allele.

    >>> describe_allele(Allele("1", 100, "A", "T"))
    '100A>T'
    >>> describe_allele(Allele("1", 100, "ACT", "A"))
    '101_102del'
    >>> describe_allele(Allele("1", 100, "A", "AG"))
    '100_101insG'
    >>> describe_allele(Allele("1", 100, "AC", "GT"))
    '100_101delinsGT'
    """
    shared = 0
    while shared < min(len(allele.ref), len(allele.alt)) and allele.ref[shared] == allele.alt[shared]:
        shared += 1
    pos, ref, alt = allele.pos + shared, allele.ref[shared:], allele.alt[shared:]
    if len(ref) == len(alt) == 1:
        return f"{pos}{ref}>{alt}"
    if not ref:
        return f"{pos - 1}_{pos}ins{alt}"
    place = str(pos) if len(ref) == 1 else f"{pos}_{pos + len(ref) - 1}"
    return f"{place}delins{alt}" if alt else f"{place}del"


def change_type(allele: Allele, genomic_hgvs: str) -> tuple[str, str]:
    """Sequence Ontology code and name of what an allele changes."""
    ref, alt = allele.ref, allele.alt
    if len(ref) == len(alt) == 1:
        return "SO:0001483", "SNV"
    if len(ref) == len(alt):
        return "SO:0002007", "MNV"
    if ref.startswith(alt):
        return "SO:0000159", "deletion"
    if alt.startswith(ref):
        is_duplication = genomic_hgvs.endswith("dup")
        return ("SO:1000035", "duplication") if is_duplication else ("SO:0000667", "insertion")
    return "SO:1000032", "delins"


def is_accession(name: str) -> bool:
    """Whether a name is a versioned accession, such as ``NM_007294.4`` or ``ENST00000357654.9``."""
    return bool(_VERSIONED.fullmatch(name) or re.fullmatch(r"ENS[A-Z]+\d+\.\d+", name))


def is_coding_hgvs(name: str) -> bool:
    """Whether a coding name stands on a versioned accession, so that it means the same everywhere."""
    return bool(_CODING_HGVS.fullmatch(name))


def is_protein_hgvs(name: str) -> bool:
    """Whether a protein name stands on a versioned accession, so that it means the same everywhere."""
    return bool(_PROTEIN_HGVS.fullmatch(name))
