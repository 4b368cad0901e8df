"""A small genome with X, Y and a mitochondrion, and the reads of a woman and a man; substitutions only, all known."""

import random
from dataclasses import dataclass

from tests.simulate import World, _random, _reverse

DEPTH = 26  # of two copies
PAR_BED = "chrX\t0\t2000\nchrX\t9000\t10000\nchrY\t0\t2000\nchrY\t5000\t6000\n"
PAR_X = ((0, 2_000), (9_000, 10_000))
PAR_Y = ((0, 2_000), (5_000, 6_000))
_EVERY_BP = 190


@dataclass(frozen=True)
class Person:
    """Reads, and what they were made from.

    Attributes:
        world: Reference and reads.
        alleles: The ALT bases of each copy, by contig and 0-based position, in the coordinates of the reference where
            they are to be called: those of the PAR of Y lie on X.
    """

    world: World
    alleles: dict[tuple[str, int], list[str]]

    def genotype(self, contig: str, at: int, copies: int) -> str:
        """GT as it should be called, alleles in ascending order; only for places with one ALT base."""
        carried = len(self.alleles[contig, at])
        return "/".join(["0"] * (copies - carried) + ["1"] * carried)


def make_reference(seed: int = 3) -> dict[str, str]:
    """The genome; Y's pseudo-autosomal regions are masked with N, as analysis sets have them."""
    rng = random.Random(seed)
    return {
        "chr1": _random(rng, 20_000),
        "chrX": _random(rng, 10_000),
        "chrY": "N" * 2_000 + _random(rng, 3_000) + "N" * 1_000,
        "chrM": _random(rng, 1_200),
        "chrUn_KI270302v1": _random(rng, 60),  # shorter than a read
        "hs38d1_decoy": _random(rng, 700),
    }


def make_person(*, is_male: bool, seed: int = 5, read_bp: int = 100, fragment_bp: int = 280) -> Person:
    """A person's reads, in one read group; equal arguments give equal bytes."""
    rng = random.Random(seed)
    contigs = make_reference()
    alleles: dict[tuple[str, int], list[str]] = {}

    def copy(contig: str, letters: str, *, shift: int = 0, named: str = "") -> str:
        out = list(letters)
        for at in range(rng.randrange(60, _EVERY_BP), len(letters) - 40, _EVERY_BP):
            place = at + rng.randrange(20)
            ref = letters[place]
            if ref == "N":
                continue
            # One ALT base for each place of the reference, so that two copies of it agree.
            alt = {"A": "C", "C": "G", "G": "T", "T": "A"}[ref]
            out[place] = alt
            alleles.setdefault((named or contig, place + shift), []).append(alt)
        return "".join(out)

    x = contigs["chrX"]
    copies = [copy("chr1", contigs["chr1"]) for _ in range(2)] + [copy("chrX", x)]
    if is_male:
        shared = (copy("chrX", x[:2_000]), copy("chrX", x[9_000:], shift=9_000))
        copies.append(shared[0] + copy("chrY", contigs["chrY"])[2_000:5_000] + shared[1])
    else:
        copies.append(copy("chrX", x))
    mitochondrion = copy("chrM", contigs["chrM"])
    copies += [mitochondrion] * 6
    copies.append(contigs["hs38d1_decoy"])
    reads: list[str] = []
    for number, letters in enumerate(copies):
        for pair in range(len(letters) * DEPTH // 2 // (2 * read_bp)):
            size = max(read_bp + 10, min(len(letters) - 1, int(rng.gauss(fragment_bp, 40))))
            start = rng.randrange(len(letters) - size)
            fragment = letters[start : start + size]
            if rng.random() < 0.5:
                fragment = _reverse(fragment)
            for mate, read in ((1, fragment[:read_bp]), (2, _reverse(fragment)[:read_bp])):
                reads.append(f"@P:{number}:{pair} {mate}:N:0:AC\n{read}\n+\n{'I' * read_bp}\n")
    return Person(World(contigs, {"L1": "".join(reads).encode()}), alleles)
