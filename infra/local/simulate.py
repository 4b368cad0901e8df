"""Simulated Illumina reads of a diploid donor: paired ends, quality-true errors, duplicates, a few N.

Everything is drawn from the given generator, so equal seeds give equal bytes.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.local.demo_genome import Bases, N, reverse_complement, substitute

QUALITIES = np.array([2, 12, 23, 37], dtype=np.uint8)
"""Phred qualities of a NovaSeq's bins; 2 marks a base that was not called (N)."""

_BLOCK_BYTES = 65_280
"""Text bytes of a BGZF block, as bgzip cuts them."""

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file (SAM specification 4.1.2)."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """How the reads are made.

    Attributes:
        read_bp: Bases per read.
        fragment_mean_bp: Mean length of the sequenced fragments.
        fragment_sd_bp: Their standard deviation.
        duplicates: Share of the pairs that are copies of another pair's fragment.
        uncalled: Share of the reads that have bases which were not called (N).
    """

    read_bp: int = 150
    fragment_mean_bp: int = 400
    fragment_sd_bp: int = 80
    duplicates: float = 0.05
    uncalled: float = 0.002


@dataclass(frozen=True, slots=True)
class ReadPairs:
    """Read pairs in the order of the sequencer; row i of every array is pair i.

    Attributes:
        bases: R1 and R2, ASCII codes, one read per row.
        qualities: R1 and R2, Phred, one read per row.
    """

    bases: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    qualities: tuple[NDArray[np.uint8], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.bases[0])


def simulate_pairs(haplotypes: Sequence[Bases], pairs: int, model: ReadModel, rng: np.random.Generator) -> ReadPairs:
    """Sequence `pairs` fragments of the haplotypes (contigs of both, in any order).

    Fragments start anywhere with equal chance; those that touch a run of N of the reference are not made.
    """
    genome = np.concatenate(haplotypes)
    ends = np.cumsum([len(part) for part in haplotypes])
    copies = int(pairs * model.duplicates)
    starts, lengths = _fragments(genome, ends, pairs - copies, model, rng)
    copied = rng.integers(0, pairs - copies, copies)
    flipped = rng.random(pairs - copies) < 0.5
    order = rng.permutation(pairs)  # a copy lies anywhere on the flow cell
    starts, lengths, flipped = (np.concatenate([all_, all_[copied]])[order] for all_ in (starts, lengths, flipped))

    steps = np.arange(model.read_bp)
    left = genome[starts[:, None] + steps]
    right = reverse_complement(genome[(starts + lengths - model.read_bp)[:, None] + steps])
    reads = (np.where(flipped[:, None], right, left), np.where(flipped[:, None], left, right))
    sequenced = [_sequence(read, mate, model, rng) for mate, read in enumerate(reads)]
    return ReadPairs((sequenced[0][0], sequenced[1][0]), (sequenced[0][1], sequenced[1][1]))


def _fragments(
    genome: Bases, ends: NDArray[np.int64], count: int, model: ReadModel, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of fragments that lie within one contig and outside of N."""
    n_before = np.concatenate([[0], np.cumsum(genome == N)])
    starts: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    found = 0
    while found < count:
        start = rng.integers(0, len(genome) - model.read_bp, count)
        drawn = rng.normal(model.fragment_mean_bp, model.fragment_sd_bp, count)
        length = np.maximum(drawn.round().astype(np.int64), model.read_bp)
        end = start + length
        fits = end <= ends[np.searchsorted(ends, start, side="right")]
        fits &= n_before[np.minimum(end, len(genome))] == n_before[start]
        starts.append(start[fits])
        lengths.append(length[fits])
        found += int(fits.sum())
    return np.concatenate(starts)[:count], np.concatenate(lengths)[:count]


def _sequence(
    reads: NDArray[np.uint8], mate: int, model: ReadModel, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Qualities, and bases with as many errors as the qualities say.

    Qualities fall along the read, R2 is worse than R1, and some reads are worse than others.
    """
    cycle = np.linspace(0, 1, model.read_bp, dtype=np.float32)
    weak = (0.02 + 0.08 * cycle**2) * (1.0, 1.6)[mate]  # share of bases below Q37 in an average read
    of_read = rng.gamma(2, 0.5, len(reads)).astype(np.float32)
    draw = rng.random(reads.shape, dtype=np.float32)
    limit = np.minimum(of_read[:, None] * weak, 0.9).astype(np.float32)
    level = np.where(draw < limit * 0.3, 1, np.where(draw < limit, 2, 3))
    qualities = QUALITIES[level]
    probability = (10.0 ** (QUALITIES / -10.0)).astype(np.float32)
    wrong = rng.random(reads.shape, dtype=np.float32) < probability[level]
    bases = reads.copy()
    bases[wrong] = substitute(bases[wrong], rng)
    poor = np.flatnonzero(rng.random(len(reads)) < model.uncalled)
    for row in poor:
        missing = rng.integers(0, model.read_bp, int(rng.integers(1, 4)))
        bases[row, missing] = N
        qualities[row, missing] = QUALITIES[0]
    return bases, qualities


def fastq_text(pairs: ReadPairs, mate: int, lane: int, chosen: range) -> bytes:
    """FASTQ of the R1 (mate 1) or R2 (mate 2) of a range of pairs, with Illumina's read names."""
    bases = pairs.bases[mate - 1]
    qualities = pairs.qualities[mate - 1] + np.uint8(33)
    return b"".join(
        b"%b %d:N:0:ACGTACGT+TGCATGCA\n%b\n+\n%b\n"
        % (_read_name(lane, number), mate, bases[row].tobytes(), qualities[row].tobytes())
        for number, row in enumerate(chosen)
    )


def _read_name(lane: int, number: int) -> bytes:
    """The name of a lane's read by its number: instrument:run:flowcell:lane:tile:x:y, all of them different."""
    tile, on_tile = divmod(number, 5_000)
    x = 1_000 + on_tile * 7_919 % 30_000
    return b"@DEMO01:1:HDEMOAFXX:%d:%d:%d:%d" % (lane, 1_101 + tile, x, 1_000 + on_tile * 6)


def write_gzip(path: Path, text: bytes) -> None:
    """Write one gzip member without a time, as bcl-convert's fastq.gz."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    path.write_bytes(packer.compress(text) + packer.flush())


def write_bgzf(path: Path, text: bytes) -> None:
    """Write BGZF: gzip in blocks that can be found and unpacked one by one (SAM specification 4.1)."""
    with path.open("wb") as file:
        for block in _bgzf_blocks(text):
            file.write(block)


def _bgzf_blocks(text: bytes) -> Iterator[bytes]:
    for start in range(0, len(text), _BLOCK_BYTES):
        part = text[start : start + _BLOCK_BYTES]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = packer.compress(part) + packer.flush()
        size = len(packed) + 26  # header 18, CRC and length 8
        yield (
            bytes.fromhex("1f8b08040000000000ff060042430200")
            + (size - 1).to_bytes(2, "little")
            + packed
            + zlib.crc32(part).to_bytes(4, "little")
            + len(part).to_bytes(4, "little")
        )
    yield _BGZF_END
