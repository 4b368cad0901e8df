"""Names and knowledge for a batch of normalised records of one contig."""

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.domain.genome import Contig
from shared.formats.annotated_vcf import TranscriptNames, encoded, is_sequence
from shared.formats.bcsq import BcsqEntry, parse_bcsq, severity
from shared.formats.clinvar import KEYS, ClinVarTable
from shared.formats.coding_hgvs import CodingNamer, CodingNames
from shared.formats.contig_names import is_mitochondrial
from shared.formats.genomic_hgvs import Bases, edit_of, genomic_name
from shared.formats.gff3 import open_text
from shared.formats.transcripts import Transcript, open_gene_models, read_transcripts

LOCAL_TAG = "LCSQ"
"""INFO field of the consequence of an allele alone; used here and not written."""

ANCHOR_ID = "contig-start"
"""ID of the records that begin each contig for bcftools csq; they are no part of the sample's variants."""

_STRUCTURAL = frozenset({"feature_truncation", "feature_elongation"})

_NEAR = 20_000
"""Records this near (bp) are looked up together: reading on is cheaper than seeking again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A VCF record with one ALT, as text; `pos` is 1-based."""

    columns: tuple[str, ...]

    @property
    def contig(self) -> str:
        """CHROM."""
        return self.columns[0]

    @property
    def pos(self) -> int:
        """POS."""
        return int(self.columns[1])

    @property
    def ref(self) -> str:
        """REF."""
        return self.columns[3]

    @property
    def alt(self) -> str:
        """ALT."""
        return self.columns[4]

    @property
    def copies(self) -> list[str]:
        """The alleles of GT."""
        return re.split(r"[/|]", self.columns[9].partition(":")[0]) if self._has_genotype else []

    @property
    def is_carried(self) -> bool:
        """Whether the sample carries the ALT, written in bases."""
        return "1" in self.copies and is_sequence(self.alt)

    @property
    def is_phased(self) -> bool:
        """Whether the haplotype of the ALT is known: phased, or on every copy."""
        return "|" in self.columns[9].partition(":")[0] or set(self.copies) == {"1"}

    @property
    def info(self) -> dict[str, str]:
        """INFO by key; flags have an empty value."""
        text = self.columns[7]
        return {} if text == "." else dict(field.partition("=")[::2] for field in text.split(";"))

    @property
    def _has_genotype(self) -> bool:
        return self.columns[8].startswith("GT")

    def with_info(self, info: dict[str, str]) -> "Line":
        """The record with another INFO."""
        text = ";".join(f"{key}={value}" if value else key for key, value in info.items()) or "."
        return replace(self, columns=(*self.columns[:7], text, *self.columns[8:]))

    def without_format(self, key: str) -> "Line":
        """The record without a FORMAT field."""
        keys = self.columns[8].split(":")
        if key not in keys:
            return self
        at = keys.index(key)
        values = self.columns[9].split(":")
        kept = (":".join(part[:at] + part[at + 1 :]) for part in (keys, values))
        return replace(self, columns=(*self.columns[:8], *kept))

    def text(self) -> str:
        """The record as a line, without the line end."""
        return "\t".join(self.columns)


def read_lines(source: Path) -> Iterator[Line]:
    """The records of a VCF file, without those that begin its contigs."""
    with open_text(source) as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            columns = line.rstrip("\n").split("\t")
            if columns[2] != ANCHOR_ID:
                yield Line(tuple(columns))


def compound_entries(sources: Sequence[Path]) -> dict[tuple[str, int], list[BcsqEntry]]:
    """Consequences of several alleles together, by the contig and pos (1-based) that they are written at."""
    found: dict[tuple[str, int], list[BcsqEntry]] = {}
    for source in sources:
        for line in read_lines(source):
            if "BCSQ=" in line.columns[7] and "+" in line.columns[7]:
                entries = [entry for entry in parse_bcsq(line.info.get("BCSQ", ""))[0] if entry.is_compound]
                if entries:
                    found.setdefault((line.contig, line.pos), []).extend(entries)
    return found


class BatchAnnotator:
    """Annotates batches of records with gene models, ClinVar and the reference.

    Attributes:
        compounds: Consequences of haplotypes, which records refer to by ``@pos``.
    """

    def __init__(
        self,
        fasta: Path,
        genes: Path | None,
        clinvar: ClinVarTable | None,
        contigs: Sequence[Contig],
        scratch: Path,
    ) -> None:
        from pysam import FastaFile

        self.compounds: dict[tuple[str, int], list[BcsqEntry]] = {}
        self._fasta: Any = FastaFile(str(fasta))
        self._genes = open_gene_models(genes) if genes else None
        self._clinvar = clinvar
        self._contigs = {contig.name: contig for contig in contigs}
        self._rank = {contig.name: rank for rank, contig in enumerate(contigs)}
        self._scratch = scratch

    def ordered(self, sources: Sequence[Path]) -> Iterator[Line]:
        """The records of sorted files, in the order of the reference."""
        streams = (read_lines(source) for source in sources)
        return heapq.merge(*streams, key=lambda line: (self._rank[line.contig], line.pos))

    def annotate(self, batch: Sequence[Line]) -> Iterator[Line]:
        """The records with their annotation, in the given order; all lie on one contig."""
        contig = self._contigs[batch[0].contig]
        bases = self._bases(contig)
        transcripts: dict[str, Transcript] = {}
        known: dict[tuple[int, str, str], dict[str, str]] = {}
        for start, end in _stretches(batch):
            if self._clinvar:
                known |= self._clinvar.alleles(contig.name, start, end)
            if self._genes:
                found = read_transcripts(self._genes, contig.name, start, end)
                transcripts |= {transcript.id: transcript for transcript in found}
        # ferro-hgvs translates by the standard code only: the mitochondrion's genes get no c. and p. names.
        nameable = [] if is_mitochondrial(contig) else list(transcripts.values())
        namer = CodingNamer(nameable, bases, self._scratch)
        for line in batch:
            info = {key: value for key, value in line.info.items() if key not in {"BCSQ", LOCAL_TAG}}
            bare = line.without_format("BCSQ")
            if not is_sequence(line.alt):
                yield bare.with_info(info)
                continue
            info |= self._consequences(line, transcripts, namer)
            if contig.accession:
                edit = edit_of(line.pos, line.ref, line.alt)
                name = genomic_name(contig.accession, edit, bases, mitochondrial=is_mitochondrial(contig))
                info["HGVSg"] = encoded(name)
            if record := known.get((line.pos, line.ref, line.alt)):
                info |= {key: record[key] for key in ("CLINVAR_ID", *KEYS) if key in record}
            yield bare.with_info(info)

    def _bases(self, contig: Contig) -> Bases:
        def read(start: int, end: int, /) -> str:
            start, end = max(start, 0), min(end, contig.length)
            return str(self._fasta.fetch(contig.name, start, end)).upper() if start < end else ""

        return read

    def _consequences(self, line: Line, transcripts: dict[str, Transcript], namer: CodingNamer) -> dict[str, str]:
        info = line.info
        edit = edit_of(line.pos, line.ref, line.alt)
        start, end = edit.start, max(edit.end, edit.start + 1)
        touching = [one for one in transcripts.values() if start < one.end and end > one.start]
        by_id = {transcript.id: transcript for transcript in touching}
        # bcftools csq looks a few bases beyond a transcript's ends; what does not touch it is no consequence of it.
        alone = [
            _plain(entry, line, by_id[entry.transcript])
            for entry in _spread(parse_bcsq(info.get(LOCAL_TAG, ""))[0], touching)
            if entry.transcript in by_id
        ]
        if not alone:
            return {}
        shown = {entry.transcript: entry for entry in alone}
        if line.is_phased:
            shown |= {
                entry.transcript: _plain(entry, line, by_id[entry.transcript])
                for entry in _spread(self._of_haplotype(line), touching)
                if entry.transcript in by_id
            }
        locally = {entry.transcript: entry for entry in alone}
        names: dict[str, TranscriptNames] = {}
        for entry in shown.values():
            transcript = by_id[entry.transcript]
            local = locally.get(transcript.id)
            named = namer.names(line.pos, line.ref, line.alt, transcript, local) if local else CodingNames()
            # A haplotype's consequence is not what the allele's own protein name says.
            differs = entry.is_compound and local is not None and entry.amino_acids != local.amino_acids
            names[transcript.id] = TranscriptNames(
                transcript.id, transcript.name, transcript.gene_id, named.coding, "" if differs else named.protein
            )
        entries = sorted(shown.values(), key=lambda entry: _preference(entry, by_id[entry.transcript]))
        return {
            "BCSQ": ",".join(_text(entry, by_id[entry.transcript]) for entry in entries),
            "HGVS": ",".join(str(names[entry.transcript]) for entry in entries),
        }

    def _of_haplotype(self, line: Line) -> list[BcsqEntry]:
        """What bcftools csq says of the allele's haplotype, with references to other records followed."""
        entries, elsewhere = parse_bcsq(line.info.get("BCSQ", ""))
        change = f"{line.pos}{line.ref}>{line.alt}"
        for pos in elsewhere:
            entries += [
                entry for entry in self.compounds.get((line.contig, pos), []) if change in entry.dna_change.split("+")
            ]
        return entries


def _stretches(batch: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Where the records lie, 0-based half-open; near ones together."""
    start = end = -1
    for line in batch:
        if start >= 0 and line.pos - 1 > end + _NEAR:
            yield start, end
            start = -1
        if start < 0:
            start = line.pos - 1
            end = start
        end = max(end, line.pos - 1 + len(line.ref))
    yield start, end


def _spread(entries: Sequence[BcsqEntry], touching: Sequence[Transcript]) -> list[BcsqEntry]:
    """The entries, with one per transcript in place of those that bcftools writes once for all of a gene's introns."""
    named = {entry.transcript for entry in entries}
    result: list[BcsqEntry] = []
    for entry in entries:
        if entry.transcript:
            result.append(entry)
            continue
        result += [
            replace(entry, transcript=transcript.id)
            for transcript in touching
            if transcript.gene == entry.gene and transcript.biotype == entry.biotype and transcript.id not in named
        ]
    return result


def _plain(entry: BcsqEntry, line: Line, transcript: Transcript) -> BcsqEntry:
    """The entry in terms that say what happens to the protein.

    For deletions with other bases in their place, bcftools csq says ``feature_truncation`` or ``feature_elongation``,
    in introns too, terms that the Sequence Ontology has for structural variants.
    """
    words = tuple(word for word in entry.words if word.removeprefix("*") not in _STRUCTURAL)
    if len(words) == len(entry.words):
        return entry
    if not words:
        edit = edit_of(line.pos, line.ref, line.alt)
        touches_exon = any(
            start < max(edit.end, edit.start + 1) and end > edit.start for start, end in transcript.exons
        )
        within = "inframe_altering" if entry.amino_acids else "coding_sequence"
        words = (within if touches_exon else "intron",)
    return replace(entry, words=words)


def _preference(entry: BcsqEntry, transcript: Transcript) -> tuple[int, bool, bool, str]:
    """The most severe first; among equals the MANE Select transcript, then coding ones, then by id."""
    return severity(entry.terms[0]), not transcript.is_mane_select, entry.biotype != "protein_coding", entry.transcript


def _text(entry: BcsqEntry, transcript: Transcript) -> str:
    head = "|".join(("&".join(entry.words), entry.gene, entry.transcript, entry.biotype))
    if not entry.amino_acids:
        return head
    return f"{head}|{transcript.strand}|{entry.amino_acids}|{entry.dna_change}"
