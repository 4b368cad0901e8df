"""Coding and protein HGVS names of alleles, made by ferro-hgvs and checked before anybody sees them.

ferro-hgvs is given one stretch of genome per group of genes and the transcripts on it, not a whole genome, so that
memory does not grow with the genome; c. and p. names count within the transcript and are the same. A stretch is
turned so that its transcripts lie on the forward strand: version 1.0.0 joins the exons of a reverse-strand
transcript in the wrong order when it reads them from a file, and turned, the 3' end of the window is the
transcript's. Its own `convert_gff` is not used: it also adds a stop codon to a CDS that has one.

A name is given out only when it holds: a c. name must lead back to the allele's own change of the genome, a p. name
to the protein that bcftools csq predicts. ferro-hgvs is imported on first use.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.formats.bcsq import BcsqEntry
from shared.formats.genomic_hgvs import (
    Bases,
    Edit,
    are_equal,
    describe,
    edit_of,
    genomic_name,
    reverse_complement,
    shift_right,
)
from shared.formats.protein_hgvs import agrees, apply_change, translate
from shared.formats.transcripts import Transcript

_PAD = 2000
"""Bases that a window reaches beyond its genes, so that indels at their ends can be moved."""

_C_NAME = re.compile(
    r"(?P<start>[-*]?\d+(?:[+-]\d+)?)(?:_(?P<end>[-*]?\d+(?:[+-]\d+)?))?"
    r"(?:(?P<ref>[ACGT])>(?P<alt>[ACGT])|(?P<what>delins|del|dup|inv|ins)(?P<new>[ACGT]*))"
)


@dataclass(frozen=True, slots=True)
class CodingNames:
    """Names of an allele on one transcript; each is empty when no correct one is known."""

    coding: str = ""
    protein: str = ""


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of the contig, 0-based half-open, read in the direction of its transcripts."""

    name: str
    start: int
    end: int
    strand: str

    def turned(self, edit: Edit) -> Edit:
        """An edit of the contig as an edit of the window."""
        if self.strand == "+":
            return Edit(edit.start - self.start, edit.end - self.start, edit.inserted)
        return Edit(self.end - edit.end, self.end - edit.start, reverse_complement(edit.inserted))

    def on_contig(self, position: int) -> int:
        """A position of the window as a position of the contig."""
        return self.start + position if self.strand == "+" else self.end - 1 - position

    def read(self, bases: Bases, start: int, end: int) -> str:
        """Bases of the window by the window's coordinates; what lies outside is left out."""
        start, end = max(start, 0), min(end, self.end - self.start)
        if self.strand == "+":
            return bases(self.start + start, self.start + end)
        return reverse_complement(bases(self.end - end, self.end - start))


class CodingNamer:
    """Names alleles of one contig on the given transcripts.

    Args:
        transcripts: All on the same contig.
        bases: Reads the contig.
        scratch: Folder for a file that is gone again when this returns.
    """

    def __init__(self, transcripts: Iterable[Transcript], bases: Bases, scratch: Path) -> None:
        self._bases = bases
        nameable = sorted(
            (transcript for transcript in transcripts if transcript.is_nameable and transcript.exons),
            key=lambda transcript: (transcript.strand, transcript.start, transcript.end, transcript.id),
        )
        self._windows: dict[str, _Window] = {}
        self._proteins: dict[str, str] = {}
        self._projector: Any = None
        if nameable:
            self._load(nameable, scratch)

    def names(self, pos: int, ref: str, alt: str, transcript: Transcript, local: BcsqEntry) -> CodingNames:
        """The names of a VCF allele on a transcript.

        Args:
            pos: 1-based.
            ref: REF.
            alt: ALT.
            transcript: One of the transcripts given at the start.
            local: What bcftools csq says of this allele alone on this transcript.
        """
        window = self._windows.get(transcript.id)
        if window is None:
            return CodingNames()
        edit = edit_of(pos, ref, alt)
        if edit.start - 1 < window.start or edit.end + 1 > window.end:
            return CodingNames()
        projected = self._project(edit, window, transcript)
        coding = _after(projected.c_name) if projected else ""
        if not leads_back(coding, edit, transcript, self._bases):
            # ferro-hgvs has no c. name for some changes that one delins describes.
            coding = self._own_name(edit, window, transcript)
            if not leads_back(coding, edit, transcript, self._bases):
                return CodingNames()
        protein = _after(projected.p_name) if projected else ""
        if not (protein and local.amino_acids and self._protein_agrees(protein, transcript, local)):
            protein = ""
        reference = transcript.protein or transcript.name
        return CodingNames(f"{transcript.name}:{coding}", f"{reference}:{protein}" if protein else "")

    def _own_name(self, edit: Edit, window: _Window, transcript: Transcript) -> str:
        """A c. or n. name from the exons alone; empty when the edit reaches beyond the transcript."""

        def inside(start: int, end: int, /) -> str:
            return window.read(self._bases, start, end)

        def number(position: int) -> str:
            return transcript.coding_number(window.on_contig(position)) or "?"

        described = describe(shift_right(window.turned(edit), inside), inside, number)
        return f"{'c' if transcript.cds else 'n'}.{described}"

    def _project(self, edit: Edit, window: _Window, transcript: Transcript) -> Any:
        from ferro_hgvs import FerroError, parse

        def inside(start: int, end: int, /) -> str:
            return window.read(self._bases, start, end)

        name = genomic_name(window.name, window.turned(edit), inside)
        try:
            # Normalised here already: its own normalising writes indels in repeats as CAG[4] and then has no p. name.
            return self._projector.project_normalized(parse(name), transcript.id)
        except FerroError:
            # It says no to what it cannot name, such as an allele that reaches beyond the transcript.
            return None

    def _protein_agrees(self, protein: str, transcript: Transcript, local: BcsqEntry) -> bool:
        reference = self._proteins.get(transcript.id)
        if reference is None:
            reference = translate(coding_sequence(transcript, self._bases))
            self._proteins[transcript.id] = reference
        change = apply_change(reference, local.amino_acids, local.words)
        return change is not None and agrees(protein, change)

    def _load(self, transcripts: Sequence[Transcript], scratch: Path) -> None:
        from ferro_hgvs import VariantProjector

        groups: list[list[Transcript]] = []
        reached = -1
        for transcript in transcripts:
            if not groups or transcript.strand != groups[-1][0].strand or transcript.start - _PAD > reached:
                groups.append([])
                reached = -1
            groups[-1].append(transcript)
            reached = max(reached, transcript.end + _PAD)
        sequences: dict[str, str] = {}
        models: list[dict[str, object]] = []
        for number, group in enumerate(groups, 1):
            start = max(0, group[0].start - _PAD)
            length = len(self._bases(start, max(transcript.end for transcript in group) + _PAD))
            window = _Window(f"window_{number}", start, start + length, group[0].strand)
            sequences[window.name] = window.read(self._bases, 0, length)
            for transcript in group:
                self._windows[transcript.id] = window
                models.append(_model(transcript, window, sequences[window.name]))
        path = scratch / "transcripts.json"
        document = {
            "version": "1.0",
            "genome_build": "GRCh38",
            "genomic_sequences": sequences,
            "transcripts": models,
        }
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            self._projector = VariantProjector(reference_json=str(path))
        finally:
            path.unlink()


def leads_back(name: str, edit: Edit, transcript: Transcript, bases: Bases) -> bool:
    """Whether a c. or n. name, put on the genome through the transcript's exons, makes the same change."""
    axis, _, text = name.partition(".")
    if axis != ("c" if transcript.cds else "n"):
        return False
    named = _edit_of_name(text, transcript, bases)
    return named is not None and are_equal(named, edit, bases)


def coding_sequence(transcript: Transcript, bases: Bases) -> str:
    """The coding sequence, from its first base to its last, in the transcript's direction."""
    if transcript.cds is None:
        return ""
    low, high = transcript.cds
    spliced = "".join(
        bases(max(start, low), min(end, high)) for start, end in transcript.exons if start < high and end > low
    )
    return spliced if transcript.strand == "+" else reverse_complement(spliced)


def _edit_of_name(text: str, transcript: Transcript, bases: Bases) -> Edit | None:
    match = _C_NAME.fullmatch(text)
    if match is None:
        return None
    first = transcript.genome_of_coding_name(match["start"])
    last = transcript.genome_of_coding_name(match["end"] or match["start"])
    if first is None or last is None:
        return None
    start, end = min(first, last), max(first, last) + 1
    forward = transcript.strand == "+"
    if (first <= last) != forward and first != last:
        return None
    if match["alt"]:
        ref, alt = (match[key] if forward else reverse_complement(match[key]) for key in ("ref", "alt"))
        return Edit(start, end, alt) if bases(start, end) == ref else None
    new = match["new"] if forward else reverse_complement(match["new"])
    what = match["what"]
    if what == "ins":
        return Edit(start + 1, start + 1, new) if new and end == start + 2 else None
    if what == "delins":
        return Edit(start, end, new) if new else None
    if new:
        return None
    inserted = {
        "del": "",
        "dup": bases(start, end) * 2,
        "inv": reverse_complement(bases(start, end)),
    }[what]
    return Edit(start, end, inserted)


def _model(transcript: Transcript, window: _Window, sequence: str) -> dict[str, object]:
    """A transcript as ferro-hgvs reads it, in the window's direction: 1-based, closed."""
    placed = [window.turned(Edit(start, end, "")) for start, end in transcript.exons]
    placed.sort(key=lambda exon: exon.start)
    exons: list[dict[str, int]] = []
    done = 0
    for exon in placed:
        length = exon.end - exon.start
        exons.append(
            {
                "number": len(exons) + 1,
                "start": done + 1,
                "end": done + length,
                "genomic_start": exon.start + 1,
                "genomic_end": exon.end,
            }
        )
        done += length
    model: dict[str, object] = {
        "id": transcript.id,
        "strand": "+",
        "sequence": "".join(sequence[exon.start : exon.end] for exon in placed),
        "exons": exons,
        "chromosome": window.name,
        "genomic_start": placed[0].start + 1,
        "genomic_end": placed[-1].end,
        "genome_build": "GRCh38",
    }
    if bounds := transcript.coding_bounds():
        model |= {"cds_start": bounds[0] + 1, "cds_end": bounds[1]}
    return model


def _after(name: str | None) -> str:
    """What follows the reference of a name."""
    return (name or "").rpartition(":")[2]
