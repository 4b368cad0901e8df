"""A small synthetic genome with genes, for the demo and the tests: nothing of it is real.

Coordinates are 0-based half-open. Sequences are numpy arrays of upper-case ASCII codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shared.domain.genome import Interval
from shared.errors import PermanentError

Bases = NDArray[np.uint8]
"""A sequence as upper-case ASCII codes."""

CONTIGS = (("demo1", 0.6), ("demo2", 0.4))
"""Contig names and their shares of the genome."""

MIN_GENOME_BP = 20_000
"""Below this, the genes do not fit."""

N = ord("N")
STOP_CODONS = (b"TAA", b"TAG", b"TGA")
_ACGT = np.frombuffer(b"ACGT", dtype=np.uint8)
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(b"ACGTN", dtype=np.uint8)] = np.frombuffer(b"TGCAN", dtype=np.uint8)

_GENE_PLAN = (
    # contig, first and last base of the place as shares of the contig, strand, exons, coding
    ("demo1", 0.05, 0.35, "+", 4, True),
    ("demo1", 0.38, 0.66, "-", 3, True),
    ("demo1", 0.70, 0.95, "+", 2, False),
    ("demo2", 0.05, 0.44, "-", 5, True),
    ("demo2", 0.47, 0.86, "+", 2, True),
)
_N_RUN = ("demo2", 0.90, 0.91)
_COPY_FROM, _COPY_TO = ("demo1", 0.355), ("demo2", 0.87)
_COPY_SHARE = 0.025
"""Length of the copied segment as a share of the contig that it is copied to."""


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene with one transcript.

    Attributes:
        number: From 1; names and ids derive from it.
        strand: ``+`` or ``-``.
        exons: In genome order.
        cds: Coding parts of the exons with the stop codon, in genome order; empty for a non-coding gene.
    """

    number: int
    contig: str
    strand: str
    exons: tuple[Interval, ...]
    cds: tuple[Interval, ...]

    @property
    def name(self) -> str:
        """Gene symbol."""
        return f"DEMO{self.number}"

    @property
    def start(self) -> int:
        """First base."""
        return self.exons[0].start

    @property
    def end(self) -> int:
        """Behind the last base."""
        return self.exons[-1].end

    def coding_positions(self) -> list[int]:
        """Genome positions of the coding bases in the order of the transcript."""
        positions = [position for part in self.cds for position in range(part.start, part.end)]
        return positions if self.strand == "+" else positions[::-1]


@dataclass(frozen=True, slots=True)
class DemoGenome:
    """Contigs by name, in order, and what is on them.

    Attributes:
        twins: Two places with exactly the same sequence: reads from there fit both, so that an aligner must choose.
    """

    contigs: Mapping[str, Bases]
    genes: tuple[Gene, ...]
    twins: tuple[Interval, Interval]

    def codon(self, gene: Gene, number: int) -> bytes:
        """A codon of a gene, counted from 0, in the sense of the transcript."""
        bases = self.contigs[gene.contig][gene.coding_positions()[3 * number : 3 * number + 3]]
        return (bases if gene.strand == "+" else _COMPLEMENT[bases]).tobytes()

    def fasta(self) -> str:
        """The genome as FASTA, 60 bases a line."""
        return "".join(f">{name}\n{_wrap(sequence.tobytes().decode())}" for name, sequence in self.contigs.items())


def reverse_complement(sequence: Bases) -> Bases:
    """The other strand of a sequence, or of every row of an array of them."""
    return _COMPLEMENT[sequence[..., ::-1]]


def make_genome(genome_bp: int, rng: np.random.Generator) -> DemoGenome:
    """Make a genome of `genome_bp` bp in two contigs, with repeats, five genes, one copied segment and one run of N.

    Raises:
        PermanentError: When `genome_bp` is too small for the genes.
    """
    if genome_bp < MIN_GENOME_BP:
        raise PermanentError(f"A demo genome of {genome_bp:,} bp has no room for its genes; ask for {MIN_GENOME_BP:,}.")
    contigs = {name: _random_contig(int(genome_bp * share), rng) for name, share in CONTIGS}
    _add_repeats(contigs, rng)
    name, first, last = _N_RUN
    run = contigs[name]
    run[int(first * len(run)) : int(last * len(run))] = N
    genes = []
    for number, (contig, low, high, strand, exons, coding) in enumerate(_GENE_PLAN, 1):
        length = len(contigs[contig])
        place = (int(low * length), int(high * length))
        genes.append(_add_gene(contigs[contig], contig, number, place, strand, exons, coding, rng))
    return DemoGenome(contigs, tuple(genes), _copy_segment(contigs))


def random_bases(length: int, gc: float, rng: np.random.Generator) -> Bases:
    """Bases drawn independently."""
    return rng.choice(_ACGT, length, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])


def substitute(bases: Bases, rng: np.random.Generator) -> Bases:
    """Another base for each of the given ones, all three alike; N stays."""
    code = np.searchsorted(_ACGT, bases)
    other = _ACGT[(np.minimum(code, 3) + rng.integers(1, 4, len(bases))) % 4]
    return np.where(bases == N, np.uint8(N), other)


def _random_contig(length: int, rng: np.random.Generator) -> Bases:
    """Stretches of different GC content; CpG is rare, as in a human genome."""
    stretch = 10_000
    gcs = rng.uniform(0.36, 0.52, length // stretch + 1)
    contig = np.concatenate([random_bases(stretch, gc, rng) for gc in gcs])[:length]
    cpg = np.flatnonzero((contig[:-1] == ord("C")) & (contig[1:] == ord("G")))
    contig[cpg[rng.random(len(cpg)) < 0.8]] = ord("T")
    return contig


def _add_repeats(contigs: Mapping[str, Bases], rng: np.random.Generator) -> None:
    """An Alu-like family (300 bp, 12 % apart, one copy per 5 kb) and short tandem repeats (one per 10 kb)."""
    element = np.concatenate([random_bases(280, 0.6, rng), np.frombuffer(b"A" * 20, dtype=np.uint8)])
    for contig in contigs.values():
        for _ in range(len(contig) // 5_000):
            copy = element.copy()
            changed = np.flatnonzero(rng.random(len(copy)) < 0.12)
            copy[changed] = substitute(copy[changed], rng)
            if rng.random() < 0.5:
                copy = reverse_complement(copy)
            start = int(rng.integers(0, len(contig) - len(copy)))
            contig[start : start + len(copy)] = copy
        for _ in range(len(contig) // 10_000):
            unit = (b"A", b"CA", b"GATA")[int(rng.integers(3))]
            tandem = np.frombuffer(unit * int(rng.integers(6, 14)), dtype=np.uint8)
            start = int(rng.integers(0, len(contig) - len(tandem)))
            contig[start : start + len(tandem)] = tandem


def _copy_segment(contigs: Mapping[str, Bases]) -> tuple[Interval, Interval]:
    """Copy a segment between genes, as a segmental duplication does; where it comes from and where it goes."""
    length = int(_COPY_SHARE * len(contigs[_COPY_TO[0]]))
    places = []
    for name, share in (_COPY_FROM, _COPY_TO):
        start = int(share * len(contigs[name]))
        places.append(Interval(name, start, start + length))
    source, target = places
    contigs[target.contig][target.start : target.end] = contigs[source.contig][source.start : source.end]
    return source, target


def _add_gene(
    sequence: Bases,
    contig: str,
    number: int,
    place: tuple[int, int],
    strand: str,
    exon_count: int,
    coding: bool,
    rng: np.random.Generator,
) -> Gene:
    """Write a gene into the middle of its place and say where its parts are."""
    message, cds_start, cds_end = _message(coding, rng)
    cuts = [0, *_cuts(len(message), exon_count, rng), len(message)]
    max_intron = min(1_500, (place[1] - place[0]) // 8)
    pieces: list[bytes] = []
    exons: list[tuple[int, int]] = []  # in the sense of the transcript, from the gene's first base
    cds: list[tuple[int, int]] = []
    at = 0
    for first, last in pairwise(cuts):
        exons.append((at, at + last - first))
        coding_part = (max(first, cds_start), min(last, cds_end))
        if coding and coding_part[0] < coding_part[1]:
            cds.append((at + coding_part[0] - first, at + coding_part[1] - first))
        pieces.append(message[first:last])
        if last < len(message):
            pieces.append(_intron(int(rng.integers(120, max(121, max_intron))), rng))
        at = sum(map(len, pieces))
    gene = np.frombuffer(b"".join(pieces), dtype=np.uint8)
    start = (place[0] + place[1] - len(gene)) // 2
    end = start + len(gene)
    assert place[0] <= start, f"gene {number} is longer than its place"
    sequence[start:end] = gene if strand == "+" else reverse_complement(gene)

    def on_genome(parts: list[tuple[int, int]]) -> tuple[Interval, ...]:
        if strand == "+":
            return tuple(Interval(contig, start + a, start + b) for a, b in parts)
        return tuple(Interval(contig, end - b, end - a) for a, b in reversed(parts))

    return Gene(number, contig, strand, on_genome(exons), on_genome(cds))


def _message(coding: bool, rng: np.random.Generator) -> tuple[bytes, int, int]:
    """A spliced transcript and where its coding part starts and ends (with the stop codon)."""
    if not coding:
        return random_bases(500, 0.45, rng).tobytes(), 0, 0
    codons = [b"ATG"]
    wanted = int(rng.integers(120, 220))
    while len(codons) < wanted:
        codon = random_bases(3, 0.5, rng).tobytes()
        if codon not in STOP_CODONS:
            codons.append(codon)
    codons.append(STOP_CODONS[int(rng.integers(3))])
    utr5 = random_bases(int(rng.integers(40, 90)), 0.6, rng).tobytes()
    utr3 = random_bases(int(rng.integers(80, 150)), 0.4, rng).tobytes()
    body = b"".join(codons)
    return utr5 + body + utr3, len(utr5), len(utr5) + len(body)


def _cuts(length: int, exon_count: int, rng: np.random.Generator) -> list[int]:
    """Where the exons of a transcript meet: even cuts, moved by up to a fifth of an exon."""
    exon = length / exon_count
    return [round(exon * (number + float(rng.uniform(-0.2, 0.2)))) for number in range(1, exon_count)]


def _intron(length: int, rng: np.random.Generator) -> bytes:
    """An intron with the consensus of human splice sites: GT..AG and a pyrimidine tract."""
    return b"GTAAGT" + random_bases(length - 22, 0.4, rng).tobytes() + b"TTTCTTCCTTTTGCAG"


def _wrap(text: str, width: int = 60) -> str:
    return "".join(text[at : at + width] + "\n" for at in range(0, len(text), width))
