"""A small deterministic world for engine tests: a genome with awkward places, a donor, and read pairs.

Awkward on purpose: an exact copy of a segment, microsatellites with indels, an N run, a contig shorter than a shard,
duplicates of both kinds (a pair's and a single read's), reads of no origin, chimeras, overlapping mates.
"""

import random
from dataclasses import dataclass

COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class World:
    """The reference (contig name to letters) and interleaved FASTQ text of each read group."""

    contigs: dict[str, str]
    read_groups: dict[str, bytes]

    def fasta(self, width: int = 60) -> bytes:
        """The reference as FASTA text."""
        out = []
        for name, letters in self.contigs.items():
            out.append(f">{name}\n")
            out.extend(letters[at : at + width] + "\n" for at in range(0, len(letters), width))
        return "".join(out).encode()


def make_world(
    seed: int = 7,
    pairs: int = 1_300,
    read_bp: int = 100,
    start_step: int = 1,
    fragment_bp: int = 260,
    phreds: tuple[int, ...] = (11, 25, 37, 37, 37, 37),
    tears: float = 0.0,
    variety: float = 1.0,
) -> World:
    """Make the world; equal arguments give equal bytes.

    Args:
        seed: Of everything random.
        pairs: Fragments, copies not counted.
        read_bp: Length of every read.
        start_step: Fragments start at multiples of this many bp of the donor.
        fragment_bp: Mean length of fragments; below twice `read_bp` mates overlap.
        phreds: Qualities that bases are drawn from; a base of quality 2 is an N every second time.
        tears: Share of reads whose last third is random (the aligner clips it), and of reads with an own small indel.
        variety: How many variants the donor has, as a multiple of one every 150 bp or so.
    """
    rng = random.Random(seed)
    contigs = _genome(rng)
    haplotypes = [{name: _donor(letters, rng, variety) for name, letters in contigs.items()} for _ in range(2)]
    groups: dict[str, list[str]] = {"L1": [], "L2": []}
    names = [name for name, letters in contigs.items() if len(letters) > 2 * read_bp]
    weights = [len(contigs[name]) for name in names]
    for number in range(pairs):
        lane = "L1" if number % 5 < 3 else "L2"
        contig = rng.choices(names, weights)[0]
        letters = rng.choice(haplotypes)[contig]
        size = max(read_bp + 10, min(len(letters) - 1, int(rng.gauss(fragment_bp, 45))))
        start = rng.randrange(len(letters) - size) // start_step * start_step
        if start_step > 1:
            size = max(read_bp + 10, size // start_step * start_step)
        fragment = letters[start : start + size]
        if rng.random() < 0.5:
            fragment = _reverse(fragment)
        if number % 97 == 0:  # a chimera: its second half comes from somewhere else
            other = rng.choice(haplotypes)[names[0]]
            at = rng.randrange(len(other) - size)
            fragment = fragment[: read_bp // 2 + 5] + other[at : at + size]
        copies = 1 + (rng.random() < 0.12) + (rng.random() < 0.04)
        for copy in range(copies):
            first, second = fragment[:read_bp], _reverse(fragment)[:read_bp]
            if number % 41 == 0:  # a mate of no origin: the read is single, and so are its copies
                second = _random(rng, read_bp)
            if number % 89 == 0:
                first, second = _random(rng, read_bp), _random(rng, read_bp)
            name = f"M{rng.randrange(10**6):06d}:{number}:{copy}"
            for letters_out, mate in ((first, 1), (second, 2)):
                read, quality = _sequenced(
                    _torn(letters_out, rng) if tears and rng.random() < tears else letters_out, rng, phreds
                )
                groups[lane].append(f"@{name} {mate}:N:0:AC\n{read}\n+\n{quality}\n")
    return World(contigs, {lane: "".join(reads).encode() for lane, reads in groups.items()})


def _random(rng: random.Random, length: int) -> str:
    return "".join(rng.choices("ACGT", k=length))


def _reverse(letters: str) -> str:
    return letters.translate(COMPLEMENT)[::-1]


def _genome(rng: random.Random) -> dict[str, str]:
    big = list(_random(rng, 8_000))
    for at in range(1_000, 8_000, 1_000):
        unit = rng.choice(["A", "CA", "GAT", "TTTA"])
        big[at : at + 36] = list((unit * 36)[:36])
    big[5_300:5_700] = big[2_300:2_700]  # an exact copy: ties that the aligner breaks by the place in the batch
    big[6_500:6_600] = "N" * 100
    small = _random(rng, 3_000)
    return {
        "chrA": "".join(big),
        "chrB": small[:2_000] + "".join(big[3_300:3_600]) + small[2_000:],
        "chrC": _random(rng, 90),
    }


def _donor(letters: str, rng: random.Random, variety: float) -> str:
    """A haplotype: an SNV or an indel about every 150 bp, indels preferably in the microsatellites."""
    out = []
    at = 0
    while at < len(letters):
        if letters[at] != "N" and rng.random() < variety / 250:
            out.append(rng.choice("ACGT".replace(letters[at], "")))
            at += 1
        elif letters[at] != "N" and rng.random() < variety / 450:
            if rng.random() < 0.5:
                at += rng.randint(1, 6)
            else:
                out.append(letters[at] + _random(rng, rng.randint(1, 6)))
                at += 1
        elif at % 1_000 == 10 and rng.random() < 0.7 * min(1, variety):
            at += rng.choice([2, 3, 4])
        else:
            out.append(letters[at] if letters[at] != "N" else rng.choice("ACGT"))
            at += 1
    return "".join(out)


def _torn(letters: str, rng: random.Random) -> str:
    """The read with a random tail, or with a small indel that no other read has; of the same length."""
    at = rng.randrange(len(letters) // 3, len(letters) * 2 // 3)
    if rng.random() < 0.5:
        return letters[:at] + _random(rng, len(letters) - at)
    size = rng.randint(1, 3)
    torn = (
        letters[:at] + _random(rng, size) + letters[at:] if rng.random() < 0.5 else letters[:at] + letters[at + size :]
    )
    return (torn + _random(rng, size))[: len(letters)]


def _sequenced(letters: str, rng: random.Random, phreds: tuple[int, ...]) -> tuple[str, str]:
    """The read with errors as its qualities promise; Phred + 33."""
    read, quality = [], []
    for letter in letters:
        phred = rng.choice(phreds)
        wrong = rng.random() < 10 ** (-phred / 10)
        base = rng.choice("ACGT") if wrong else letter
        read.append("N" if phred == 2 and rng.random() < 0.5 else base)
        quality.append(chr(phred + 33))
    return "".join(read), "".join(quality)
