"""Contig names of outside sources, found in the reference: ``17``, ``chr17`` and ``NC_000017.11`` are one contig."""

from collections.abc import Iterable

from shared.domain.genome import Contig

MITOCHONDRIAL_ACCESSION = "NC_012920.1"
"""The revised Cambridge Reference Sequence, the mitochondrion of GRCh37 and GRCh38."""

_MITOCHONDRIAL = ("chrM", "MT", "M", "chrMT")


class ContigNames:
    """Finds the reference's name of a contig that a source calls by another name.

    A name that the reference itself has always means that contig. Other spellings (with or without ``chr``, the
    four names of the mitochondrion, the accession) count only where they are unambiguous.
    """

    def __init__(self, contigs: Iterable[Contig]) -> None:
        contigs = tuple(contigs)
        self.names = tuple(contig.name for contig in contigs)
        self._found = {name: name for name in self.names}
        for contig in contigs:
            for other in _spellings(contig):
                self._found.setdefault(other, contig.name)

    def find(self, name: str) -> str | None:
        """The reference's name; None when the reference has no such contig."""
        return self._found.get(name)


def is_mitochondrial(contig: Contig) -> bool:
    """Whether the contig is the human mitochondrion, whose genetic code is another one."""
    return contig.name in _MITOCHONDRIAL or contig.accession == MITOCHONDRIAL_ACCESSION


def _spellings(contig: Contig) -> tuple[str, ...]:
    bare = contig.name.removeprefix("chr")
    accession = (contig.accession,) if contig.accession else ()
    mitochondrial = _MITOCHONDRIAL if is_mitochondrial(contig) else ()
    return (*accession, bare, f"chr{bare}", *mitochondrial)
