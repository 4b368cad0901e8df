"""Sex chromosomes, the mitochondrion, and how many copies of each a sample has. Pure.

Where nothing else is said, positions are 0-based half-open.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique

from shared.domain.genome import Contig, Interval
from shared.domain.intervals import Intervals, intersected, length_bp, merged, subtracted
from shared.errors import PermanentError


@unique
class Sex(StrEnum):
    """Sex by karyotype, as the order gives it or the reads show it: XX or XY."""

    FEMALE = "female"
    MALE = "male"


@unique
class ContigKind(StrEnum):
    """What a contig of a reference is.

    `UNPLACED` holds what is human but no chromosome: unlocalised and unplaced scaffolds, alternate loci, patches and
    HLA alleles. `FOREIGN` holds decoys and viruses, which are there to draw reads away from the chromosomes.
    """

    AUTOSOME = "autosome"
    X = "X"
    Y = "Y"
    MITOCHONDRION = "mitochondrion"
    UNPLACED = "unplaced"
    FOREIGN = "foreign"


_MITOCHONDRION = re.compile(r"(?:chr)?MT?|NC_012920\.\d+|NC_001807\.\d+", re.IGNORECASE)
_FOREIGN = re.compile(
    r"hs37d5|hs38d1|.*_decoy|chrEBV|EBV|NC_007605(?:\.\d+)?|phix.*|NC_001422(?:\.\d+)?", re.IGNORECASE
)
_UNPLACED = re.compile(
    r".*_(?:random|alt|fix|hap\d+)|(?:chr)?Un_.*|HLA-.*|(?:GL|KI|KN|KQ|KV|KZ|ML|JH|KB|KE)\d{6}(?:[.v]\d+)?|N[TW]_\d+\.\d+",
    re.IGNORECASE,
)


def kind_of(contig: str) -> ContigKind:
    """What a contig is, by its name with or without `chr`, or its RefSeq accession.

    A name that says nothing else is an autosome's.
    """
    if _FOREIGN.fullmatch(contig):
        return ContigKind.FOREIGN
    if _MITOCHONDRION.fullmatch(contig):
        return ContigKind.MITOCHONDRION
    if _UNPLACED.fullmatch(contig):
        return ContigKind.UNPLACED
    bare = contig[3:] if contig[:3].lower() == "chr" else contig
    if bare in {"X", "x"} or re.fullmatch(r"NC_000023\.\d+", contig):
        return ContigKind.X
    if bare in {"Y", "y"} or re.fullmatch(r"NC_000024\.\d+", contig):
        return ContigKind.Y
    return ContigKind.AUTOSOME


_PSEUDO_AUTOSOMAL = {
    "GRCh37": {
        ContigKind.X: (155_270_560, ((60_000, 2_699_520), (154_931_043, 155_260_560))),
        ContigKind.Y: (59_373_566, ((10_000, 2_649_520), (59_034_049, 59_363_566))),
    },
    "GRCh38": {
        ContigKind.X: (156_040_895, ((10_000, 2_781_479), (155_701_382, 156_030_895))),
        ContigKind.Y: (57_227_415, ((10_000, 2_781_479), (56_887_902, 57_217_415))),
    },
}
"""Length of X and Y and their pseudo-autosomal regions (PAR1, PAR2), by assembly.

Source: the Genome Reference Consortium's regions of GRCh37 and GRCh38 (NCBI assembly regions files of GCF_000001405);
Ensembl's page on human pseudo-autosomal regions lists the same.
"""


def pseudo_autosomal_regions(assembly: str, contigs: Sequence[Contig]) -> Intervals:
    """The pseudo-autosomal regions of X and Y of a known assembly; none where a contig has another length."""
    known = _PSEUDO_AUTOSOMAL.get(assembly, {})
    found: list[Interval] = []
    for contig in contigs:
        length, regions = known.get(kind_of(contig.name), (0, ()))
        if length == contig.length:
            found.extend(Interval(contig.name, start, end) for start, end in regions)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CallRegion:
    """Intervals that have the same number of copies.

    Attributes:
        ploidy: Copies; what has none is not called.
        intervals: In reference order; they neither overlap nor touch.
    """

    ploidy: int
    intervals: Intervals


AUTOSOMAL_PLOIDY = 2
"""Copies of whatever is no sex chromosome, mitochondrion, decoy or virus."""

AUTOSOMAL, X_READS, Y_READS = "sex_autosomal_reads", "sex_x_reads", "sex_y_reads"
"""Names of the additive counts that `Karyotype.infer` reads."""

SURE_MAPQ = 30
"""Reads of lower mapping quality (Phred) say nothing of sex: X and Y share much sequence."""

MIN_EXPECTED_READS = 200
"""Reads that a chromosome of two copies must be expected to have; the ratio's standard deviation is then 7 %."""

X_ONE_COPY, X_TWO_COPIES = 0.7, 0.8
"""Reads per bp of X relative to the autosomes: up to the first one copy (0.5 expected), from the second two (1.0)."""

Y_ABSENT, Y_PRESENT = 0.025, 0.05
"""The same of Y: up to the first none, from the second one copy.

0.5 would be expected if every base of Y were known and unique; of human Y half is N and much of the rest repeats, so
that 0.1 to 0.25 is seen in males and below 0.01 in females.
"""


@dataclass(frozen=True, slots=True)
class Karyotype:
    """A reference's chromosomes by kind.

    Attributes:
        contigs: Of the reference, in order.
        pseudo_autosomal: Regions of X and Y that pair and recombine as autosomes do.
    """

    contigs: tuple[Contig, ...]
    pseudo_autosomal: Intervals = ()

    def __post_init__(self) -> None:
        for region in self.pseudo_autosomal:
            if kind_of(region.contig) not in {ContigKind.X, ContigKind.Y}:
                raise PermanentError(
                    f"The pseudo-autosomal region {region.contig}:{region.start}-{region.end} (0-based half-open) lies "
                    "on a contig that is neither X nor Y by its name. Correct the BED that the bundle is made with."
                )

    def regions(self, sex: Sex | None) -> tuple[CallRegion, ...]:
        """The genome by ploidy, the highest first; every base is in exactly one region.

        ================  ====  ====  =======
        stretch           XX    XY    unknown
        ================  ====  ====  =======
        X outside PAR     2     1     2
        X, PAR            2     2     2
        Y outside PAR     0     1     1
        Y, PAR            0     0     0
        mitochondrion     1     1     1
        decoys, viruses   0     0     0
        everything else   2     2     2
        ================  ====  ====  =======

        The PAR of Y is not called: it is the same sequence as that of X, where its reads lie when Y's is masked with N.
        Of unknown sex, X is called as of two copies and Y as of one: in an XY sample the one allele of X is then called
        homozygous, and in an XX sample a stray call on Y may be made, but no variant is lost.
        """
        by_ploidy: dict[int, list[Interval]] = {}
        for contig in self.contigs:
            whole = (Interval(contig.name, 0, contig.length),)
            shared = intersected(whole, self.pseudo_autosomal)
            own = subtracted(whole, shared)
            match kind_of(contig.name):
                case ContigKind.X:
                    parts = ((1 if sex is Sex.MALE else 2, own), (2, shared))
                case ContigKind.Y:
                    parts = ((0 if sex is Sex.FEMALE else 1, own), (0, shared))
                case ContigKind.MITOCHONDRION:
                    parts = ((1, own), (1, shared))
                case ContigKind.FOREIGN:
                    parts = ((0, own), (0, shared))
                case _:
                    parts = ((2, own), (2, shared))
            for ploidy, intervals in parts:
                by_ploidy.setdefault(ploidy, []).extend(intervals)
        return tuple(
            CallRegion(ploidy, merged(intervals, self.contigs))
            for ploidy, intervals in sorted(by_ploidy.items(), reverse=True)
            if intervals
        )

    def within(self, intervals: Sequence[Interval], sex: Sex | None) -> tuple[CallRegion, ...]:
        """The parts of the regions that lie in some intervals, such as a shard's; empty ones are left out."""
        parts = (CallRegion(region.ploidy, intersected(intervals, region.intervals)) for region in self.regions(sex))
        return tuple(part for part in parts if part.intervals)

    def counted(self, targets: Sequence[Interval] | None = None) -> dict[str, Intervals]:
        """Where reads are counted to infer sex, by the count's name; within the targets if there are any."""
        places: dict[str, list[Interval]] = {AUTOSOMAL: [], X_READS: [], Y_READS: []}
        name_of = {ContigKind.AUTOSOME: AUTOSOMAL, ContigKind.X: X_READS, ContigKind.Y: Y_READS}
        for contig in self.contigs:
            if name := name_of.get(kind_of(contig.name)):
                places[name].append(Interval(contig.name, 0, contig.length))
        found = {name: subtracted(whole, self.pseudo_autosomal) for name, whole in places.items()}
        if targets is None:
            return found
        return {name: intersected(whole, targets) for name, whole in found.items()}

    def infer(self, counts: Mapping[str, int], targets: Sequence[Interval] | None = None) -> Sex | None:
        """Sex by the reads; None when it cannot be told, or is neither XX nor XY.

        Args:
            counts: Primary alignments of at least `SURE_MAPQ` that start in each of the `counted` places, summed over
                all chunks.
            targets: What the counts are limited to.
        """
        places = self.counted(targets)
        size = {name: length_bp(intervals) for name, intervals in places.items()}
        if not size[AUTOSOMAL] or not size[X_READS]:
            return None
        per_bp = counts.get(AUTOSOMAL, 0) / size[AUTOSOMAL]
        if per_bp * size[X_READS] < MIN_EXPECTED_READS:
            return None
        x = counts.get(X_READS, 0) / (per_bp * size[X_READS])
        by_x = Sex.FEMALE if x >= X_TWO_COPIES else Sex.MALE if x <= X_ONE_COPY else None
        if per_bp * size[Y_READS] < MIN_EXPECTED_READS:
            return by_x  # no Y, or too little of it among the targets
        y = counts.get(Y_READS, 0) / (per_bp * size[Y_READS])
        by_y = Sex.MALE if y >= Y_PRESENT else Sex.FEMALE if y <= Y_ABSENT else None
        return by_x if by_x is by_y else None
