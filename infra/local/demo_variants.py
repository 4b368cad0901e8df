"""The demo's donor and what a ClinVar-format file says of some of its variants, and of some it does not carry.

Positions named `pos` are 1-based (VCF); `start` and `end` are 0-based half-open.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.local.demo_genome import STOP_CODONS, Bases, DemoGenome, Gene, N, random_bases, substitute
from shared.domain.variant import Allele

SPACING_BP = 800
"""Genome bp per variant of the donor."""

MIN_DISTANCE_BP = 15
"""Variants stay this far apart, so that no two of them have a second spelling together."""

_TRANSITION = dict(zip(b"ACGT", b"GTAC", strict=True))


@dataclass(frozen=True, slots=True)
class DonorVariant:
    """A variant of the donor and which of its two haplotypes carry it."""

    allele: Allele
    haplotypes: tuple[bool, bool]

    @property
    def start(self) -> int:
        """First reference base of the record."""
        return self.allele.pos - 1

    @property
    def end(self) -> int:
        """Behind the last reference base of the record."""
        return self.start + len(self.allele.ref)


@dataclass(frozen=True, slots=True)
class Donor:
    """A diploid donor.

    Attributes:
        variants: In genome order, normalised, apart from each other.
        planted: Its only allele that ClinVar holds as pathogenic: a stop gained in DEMO1, heterozygous.
        known: ClinVar records of the demo, in genome order: (allele, gene number or 0, significance, consequence).
    """

    variants: tuple[DonorVariant, ...]
    planted: Allele
    known: tuple[tuple[Allele, int, str, str], ...]


def make_donor(genome: DemoGenome, rng: np.random.Generator) -> Donor:
    """Draw a donor: about one variant per 800 bp, 15 % of them indels, two thirds heterozygous."""
    coding = {gene.number: gene for gene in genome.genes if gene.cds}
    stop = _stop_gained(genome, coding[1])
    benign = _coding_snv(genome, coding[2], 40, rng)
    other = _coding_snv(genome, coding[4], 50, rng)
    frameshift = _deletion(genome, coding[5], 30)
    planted = [
        DonorVariant(stop, (True, False)),
        DonorVariant(benign, (True, True)),
        DonorVariant(other, (False, True)),
        DonorVariant(frameshift, (True, False)),
    ]
    # Nothing else in the coding genes' exons: a second change there could alter what a planted one does.
    # Nor in the twins: whether such a variant is found depends on where an aligner puts the reads.
    exons = [exon for gene in coding.values() for exon in gene.exons]
    kept_free = [(place.contig, place.start - 30, place.end + 30) for place in (*exons, *genome.twins)]
    random_ones = list(_random_variants(genome, kept_free, rng))
    rank = {name: number for number, name in enumerate(genome.contigs)}

    def place(allele: Allele) -> tuple[int, int, str, str]:
        return rank[allele.contig], allele.pos, allele.ref, allele.alt

    variants = sorted([*planted, *random_ones], key=lambda variant: place(variant.allele))
    known = [
        (stop, 1, "Pathogenic", "SO:0001587|nonsense"),
        (_stop_gained(genome, coding[2]), 2, "Pathogenic", "SO:0001587|nonsense"),
        (_stop_gained(genome, coding[5]), 5, "Likely_pathogenic", "SO:0001587|nonsense"),
        (benign, 2, "Benign", ""),
        (_same_place(other), 4, "Pathogenic", ""),
        (frameshift, 5, "Conflicting_classifications_of_pathogenicity", "SO:0001589|frameshift_variant"),
    ]
    away = [variant.allele for variant in random_ones]
    values = ("Benign", "Likely_benign", "Benign/Likely_benign", "Uncertain_significance")
    known += [(allele, 0, values[number % len(values)], "") for number, allele in enumerate(away[::5])]
    known.sort(key=lambda record: place(record[0]))
    return Donor(tuple(variants), stop, tuple(known))


def haplotype(sequence: Bases, variants: Iterable[DonorVariant], number: int) -> Bases:
    """A contig's sequence on haplotype 0 or 1; `variants` are those of the contig, in order."""
    pieces: list[Bases] = []
    at = 0
    for variant in variants:
        if variant.haplotypes[number]:
            pieces += [sequence[at : variant.start], np.frombuffer(variant.allele.alt.encode(), dtype=np.uint8)]
            at = variant.end
    return np.concatenate([*pieces, sequence[at:]])


def truth_vcf(sequences: Mapping[str, Bases], variants: Iterable[DonorVariant], sample: str) -> str:
    """A donor's variants as VCF with phased genotypes; `sequences` are the contigs, `variants` in their order."""
    contigs = "".join(f"##contig=<ID={name},length={len(bases)}>\n" for name, bases in sequences.items())
    head = (
        "##fileformat=VCFv4.2\n##source=demo_data\n"
        '##FILTER=<ID=PASS,Description="All filters passed">\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}\n"
    )
    rows = (
        f"{v.allele.contig}\t{v.allele.pos}\t.\t{v.allele.ref}\t{v.allele.alt}\t.\tPASS\t.\tGT\t"
        f"{int(v.haplotypes[0])}|{int(v.haplotypes[1])}\n"
        for v in variants
    )
    return head + "".join(rows)


def left_aligned(sequence: Bases, start: int, ref: bytes, alt: bytes) -> tuple[int, bytes, bytes]:
    """The leftmost spelling of an indel that is written with the base before it (Tan et al. 2015)."""
    while ref[-1] == alt[-1] and start > 0:
        start -= 1
        before = sequence[start : start + 1].tobytes()
        ref, alt = before + ref[:-1], before + alt[:-1]
    return start, ref, alt


def _random_variants(
    genome: DemoGenome, kept_free: Sequence[tuple[str, int, int]], rng: np.random.Generator
) -> Iterator[DonorVariant]:
    for contig, sequence in genome.contigs.items():
        free = sequence != N
        for name, start, end in kept_free:
            if name == contig:
                free[start:end] = False
        free[:200] = free[-200:] = False
        for start in sorted(rng.choice(len(sequence), len(sequence) // SPACING_BP, replace=False).tolist()):
            at, ref, alt = _draw_allele(sequence, start, rng)
            end = at + len(ref)
            homozygous, second = rng.random() < 1 / 3, bool(rng.random() < 0.5)
            if not free[at - MIN_DISTANCE_BP : end + MIN_DISTANCE_BP].all() or at < MIN_DISTANCE_BP:
                continue
            free[at:end] = False
            carried = (True, True) if homozygous else (not second, second)
            yield DonorVariant(Allele(contig, at + 1, ref.decode(), alt.decode()), carried)


def _draw_allele(sequence: Bases, start: int, rng: np.random.Generator) -> tuple[int, bytes, bytes]:
    """An SNV (two transitions for each transversion) or an indel of mostly 1 or 2 bp."""
    ref = sequence[start : start + 1]
    if rng.random() < 0.85:
        base = int(ref[0])
        is_transition = rng.random() < 2 / 3 and base in _TRANSITION
        alt = bytes([_TRANSITION[base]]) if is_transition else substitute(ref, rng).tobytes()
        return start, ref.tobytes(), alt
    length = min(int(rng.geometric(0.45)), 12)
    if rng.random() < 0.5:
        return left_aligned(sequence, start, ref.tobytes(), ref.tobytes() + random_bases(length, 0.45, rng).tobytes())
    return left_aligned(sequence, start, sequence[start : start + 1 + length].tobytes(), ref.tobytes())


def _inner_codons(gene: Gene) -> list[int]:
    """Codons between start and stop that lie 15 bp or more within an exon, so that splicing is out of the question."""
    positions = gene.coding_positions()
    inner = {position for exon in gene.exons for position in range(exon.start + 15, exon.end - 15)}
    return [number for number in range(1, len(positions) // 3 - 1) if inner.issuperset(positions[3 * number :][:3])]


def _stop_gained(genome: DemoGenome, gene: Gene) -> Allele:
    """The SNV nearest to the middle of the coding part that makes a codon a stop codon."""
    positions = gene.coding_positions()
    middle = len(positions) // 6
    for number in sorted(_inner_codons(gene), key=lambda number: abs(number - middle)):
        codon = genome.codon(gene, number)
        for stop in STOP_CODONS:
            changed = [offset for offset in range(3) if codon[offset] != stop[offset]]
            if len(changed) == 1:
                return _on_genome(genome, gene, positions[3 * number + changed[0]], stop[changed[0]])
    raise AssertionError(f"no codon of {gene.name} is one change from a stop codon")


def _coding_snv(genome: DemoGenome, gene: Gene, codon: int, rng: np.random.Generator) -> Allele:
    """An SNV of the first base of an inner codon, from the given one on, that no change of this base makes a stop."""
    positions = gene.coding_positions()
    for number in _inner_codons(gene)[codon:]:
        bases = genome.codon(gene, number)
        if not any(bases[1:] == stop[1:] for stop in STOP_CODONS):
            new = int(substitute(np.frombuffer(bases[:1], dtype=np.uint8), rng)[0])
            return _on_genome(genome, gene, positions[3 * number], new)
    raise AssertionError(f"no codon of {gene.name} will do")


def _on_genome(genome: DemoGenome, gene: Gene, position: int, transcript_base: int) -> Allele:
    base = chr(transcript_base)
    alt = base if gene.strand == "+" else base.translate(str.maketrans("ACGT", "TGCA"))
    return Allele(gene.contig, position + 1, chr(genome.contigs[gene.contig][position]), alt)


def _deletion(genome: DemoGenome, gene: Gene, codon: int) -> Allele:
    """A deletion of one base of an inner codon, left-aligned."""
    sequence = genome.contigs[gene.contig]
    position = gene.coding_positions()[3 * _inner_codons(gene)[codon] + 1]
    ref = sequence[position - 1 : position + 1].tobytes()
    at, ref, alt = left_aligned(sequence, position - 1, ref, ref[:1])
    return Allele(gene.contig, at + 1, ref.decode(), alt.decode())


def _same_place(allele: Allele) -> Allele:
    """Another SNV at the same place."""
    alt = next(base for base in "ACGT" if base not in {allele.ref, allele.alt})
    return Allele(allele.contig, allele.pos, allele.ref, alt)


def contig_variants(donor: Donor) -> Mapping[str, list[DonorVariant]]:
    """The donor's variants by contig, in order."""
    by_contig: dict[str, list[DonorVariant]] = {}
    for variant in donor.variants:
        by_contig.setdefault(variant.allele.contig, []).append(variant)
    return by_contig
