"""Transcripts of prepared gene models: where their exons lie and what their names mean on the genome.

All coordinates are 0-based half-open on the forward strand of the contig, unless they are called c. (HGVS).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.formats.gff3 import Feature, parse_row

_C_POSITION = re.compile(r"(?P<zone>[-*]?)(?P<base>\d+)(?P<offset>[+-]\d+)?")


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript, its gene, and its exons in the order of the genome.

    Attributes:
        id: As bcftools csq writes it.
        name: As reports write it: with version.
        protein: Accession of its protein; empty when the gene models name none.
        gene: Gene symbol.
        gene_id: ``HGNC:...``, or empty.
        strand: ``+`` or ``-``.
        exons: Start and end of each.
        cds: Start of the first and end of the last coding base; None for a non-coding transcript.
        is_nameable: Whether c. numbers are defined on the genome: the coding sequence starts with a whole codon
            and the transcript's own sequence is the genome's.
        is_mane_select: Whether NCBI and Ensembl chose it to stand for its gene.
    """

    id: str
    name: str
    protein: str
    gene: str
    gene_id: str
    biotype: str
    strand: str
    start: int
    end: int
    exons: tuple[tuple[int, int], ...]
    cds: tuple[int, int] | None
    is_nameable: bool
    is_mane_select: bool = False

    def transcript_index(self, position: int) -> int | None:
        """How many transcript bases lie 5' of a genome position; None outside the exons."""
        before = 0
        for start, end in self.exons if self.strand == "+" else reversed(self.exons):
            if start <= position < end:
                return before + (position - start if self.strand == "+" else end - 1 - position)
            before += end - start
        return None

    def genome_position(self, index: int) -> int | None:
        """The genome position of a transcript base, counted from 0; None outside the transcript."""
        if index < 0:
            return None
        for start, end in self.exons if self.strand == "+" else reversed(self.exons):
            if index < end - start:
                return start + index if self.strand == "+" else end - 1 - index
            index -= end - start
        return None

    def coding_bounds(self) -> tuple[int, int] | None:
        """Transcript indexes of the coding sequence, half-open; None for a non-coding transcript."""
        if self.cds is None:
            return None
        first, last = (self.cds[0], self.cds[1] - 1) if self.strand == "+" else (self.cds[1] - 1, self.cds[0])
        start, final = self.transcript_index(first), self.transcript_index(last)
        return None if start is None or final is None else (start, final + 1)

    def coding_number(self, position: int) -> str | None:
        """How c. (n. when non-coding) calls a genome position, such as ``76``, ``-5``, ``*7`` or ``93+1``.

        None outside the transcript. An intron's first half counts from the exon before it, its second from the next.
        """
        index = self.transcript_index(position)
        offset = 0
        if index is None:
            before = max((end - 1 for _, end in self.exons if end <= position), default=None)
            after = min((start for start, _ in self.exons if start > position), default=None)
            if before is None or after is None:
                return None
            near, far = (before, after) if self.strand == "+" else (after, before)
            is_first_half = abs(position - near) <= abs(far - position)
            index = self.transcript_index(near if is_first_half else far)
            offset = abs(position - near) if is_first_half else -abs(far - position)
            assert index is not None
        start, end = self.coding_bounds() or (0, self.transcript_length)
        coding = str(index - start + 1 if index >= start else index - start)
        text = f"*{index - end + 1}" if index >= end else coding
        return f"{text}{offset:+d}" if offset else text

    @property
    def transcript_length(self) -> int:
        """Bases of all exons."""
        return sum(end - start for start, end in self.exons)

    def genome_of_coding_name(self, text: str) -> int | None:
        """The genome position of a c. (n. when non-coding) position such as ``76``, ``-5``, ``*7`` or ``93+1``."""
        match = _C_POSITION.fullmatch(text)
        if match is None:
            return None
        bounds = self.coding_bounds()
        start, end = bounds or (0, 0)
        base = int(match["base"])
        index = {"": start + base - 1, "-": start - base, "*": end + base - 1}[match["zone"]]
        position = self.genome_position(index)
        if position is None or (bounds is None and match["zone"]):
            return None
        offset = int(match["offset"] or 0)
        return position + (offset if self.strand == "+" else -offset)


def read_transcripts(tabix: Any, contig: str, start: int, end: int) -> list[Transcript]:
    """The transcripts that overlap a stretch of a contig, in the order of the gene models.

    Args:
        tabix: A `pysam.TabixFile` of gene models made by `gene_models.to_ensembl_gff3`.
        contig: As the gene models call it.
        start: 0-based.
        end: Exclusive.
    """
    if contig not in tabix.contigs:
        return []
    touching = _rows(tabix, contig, start, end)
    ids = [row.attributes["ID"] for row in touching if row.kind == "transcript"]
    if not ids:
        return []
    extent = [row for row in touching if row.kind == "transcript"]
    rows = _rows(tabix, contig, min(row.start for row in extent), max(row.end for row in extent))
    genes = {row.attributes["ID"]: row for row in rows if row.kind == "gene"}
    found = {row.attributes["ID"]: row for row in rows if row.kind == "transcript"}
    parts: dict[str, list[Feature]] = {identifier: [] for identifier in ids}
    for row in rows:
        if row.kind in {"exon", "CDS"} and (mine := parts.get(row.attributes["Parent"])) is not None:
            mine.append(row)
    return [_transcript(found[name], genes[found[name].attributes["Parent"]], parts[name]) for name in ids]


def open_gene_models(genes: Path) -> Any:
    """A `pysam.TabixFile` over prepared gene models."""
    from pysam import TabixFile

    return TabixFile(str(genes))


def _rows(tabix: Any, contig: str, start: int, end: int) -> list[Feature]:
    lines: Iterable[str] = tabix.fetch(contig, start, end)
    return [parse_row(line.split("\t"), "gene models", 0) for line in lines]


def _transcript(row: Feature, gene: Feature, parts: list[Feature]) -> Transcript:
    cds = sorted((part for part in parts if part.kind == "CDS"), key=lambda part: part.start)
    first = (cds[0] if row.strand == "+" else cds[-1]) if cds else None
    identifier = row.attributes["ID"].removeprefix("transcript:")
    return Transcript(
        id=identifier,
        name=row.attributes.get("name", identifier),
        protein=row.attributes.get("protein", ""),
        gene=gene.attributes.get("Name", ""),
        gene_id=gene.attributes.get("hgnc_id", ""),
        biotype=row.attributes.get("biotype", ""),
        strand=row.strand,
        start=row.start,
        end=row.end,
        exons=tuple(sorted((part.start, part.end) for part in parts if part.kind == "exon")),
        cds=(cds[0].start, cds[-1].end) if cds else None,
        is_nameable="differs" not in row.attributes and (first is None or first.phase == 0),
        is_mane_select="mane_select" in row.attributes,
    )
