"""BCSQ, the INFO field of bcftools csq, in the words of the Sequence Ontology.

An entry is ``consequence|gene|transcript|biotype|strand|amino acids|DNA change``, the last three only for coding
changes, or ``@pos`` where the consequence is written at another record of the same haplotype.
"""

from dataclasses import dataclass
from typing import Final

SEVERITY: Final = (
    "transcript_ablation",
    "splice_acceptor_variant",
    "splice_donor_variant",
    "stop_gained",
    "frameshift_variant",
    "stop_lost",
    "start_lost",
    "inframe_insertion",
    "inframe_deletion",
    "protein_altering_variant",
    "missense_variant",
    "splice_region_variant",
    "start_retained_variant",
    "stop_retained_variant",
    "synonymous_variant",
    "coding_sequence_variant",
    "5_prime_UTR_variant",
    "3_prime_UTR_variant",
    "non_coding_transcript_variant",
    "intron_variant",
    "intergenic_variant",
)
"""Sequence Ontology terms, the most severe first: Ensembl's order."""

_TERMS: Final = {
    "5_prime_utr": "5_prime_UTR_variant",
    "3_prime_utr": "3_prime_UTR_variant",
    "coding_sequence": "coding_sequence_variant",
    "frameshift": "frameshift_variant",
    "inframe_altering": "protein_altering_variant",
    "inframe_deletion": "inframe_deletion",
    "inframe_insertion": "inframe_insertion",
    "intergenic": "intergenic_variant",
    "intron": "intron_variant",
    "missense": "missense_variant",
    "non_coding": "non_coding_transcript_variant",
    "splice_acceptor": "splice_acceptor_variant",
    "splice_donor": "splice_donor_variant",
    "splice_region": "splice_region_variant",
    "start_lost": "start_lost",
    "start_retained": "start_retained_variant",
    "stop_gained": "stop_gained",
    "stop_lost": "stop_lost",
    "stop_retained": "stop_retained_variant",
    "synonymous": "synonymous_variant",
}
_RANK: Final = {term: rank for rank, term in enumerate(SEVERITY)}


@dataclass(frozen=True, slots=True)
class BcsqEntry:
    """One consequence as bcftools csq wrote it.

    Attributes:
        words: Consequences in bcftools' words.
        gene: Gene symbol.
        transcript: Transcript id as in the gene models, without ``transcript:``.
        biotype: Such as ``protein_coding``.
        amino_acids: Such as ``5S>5T``; empty outside the coding sequence.
        dna_change: Such as ``1013T>A``, several joined by ``+`` when a haplotype was translated as a whole.
    """

    words: tuple[str, ...]
    gene: str
    transcript: str
    biotype: str
    amino_acids: str = ""
    dna_change: str = ""

    @property
    def is_compound(self) -> bool:
        """Whether it is the consequence of several alleles on one haplotype."""
        return "+" in self.dna_change

    @property
    def terms(self) -> tuple[str, ...]:
        """Sequence Ontology terms, the most severe first."""
        return tuple(sorted({so_term(word) for word in self.words}, key=severity))

    def __str__(self) -> str:
        head = ("&".join(self.words), self.gene, self.transcript, self.biotype)
        return "|".join((*head, self.amino_acids, self.dna_change))


def so_term(word: str) -> str:
    """The Sequence Ontology term of a word of bcftools; ``*`` before it (after a stop codon) is dropped."""
    bare = word.removeprefix("*")
    return _TERMS.get(bare, bare)


def severity(term: str) -> int:
    """Rank of a Sequence Ontology term, 0 for the most severe; unknown ones come last."""
    return _RANK.get(term, len(_RANK))


def parse_bcsq(text: str) -> tuple[list[BcsqEntry], list[int]]:
    """The entries of a BCSQ value, and the positions (1-based) that its ``@pos`` entries refer to."""
    entries: list[BcsqEntry] = []
    elsewhere: list[int] = []
    for part in text.split(","):
        if part.startswith("@"):
            elsewhere.append(int(part[1:]))
            continue
        fields = [*part.split("|"), "", "", "", "", "", ""]
        words, gene, transcript, biotype, _, amino_acids, dna_change = fields[:7]
        if words:
            entries.append(BcsqEntry(tuple(words.split("&")), gene, transcript, biotype, amino_acids, dna_change))
    return entries, elsewhere
