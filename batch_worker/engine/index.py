"""The aligner's index, built from FASTA: the files that `bwa-mem2 index` writes, byte for byte.

Memory peaks at about 28 bytes per base of the reference (9 for each of the two strands' suffix array and text, plus the
sorter's own), so a human genome is a task for a large-memory node, done once per reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from batch_worker.engine.fasta import FastaContig, dict_line, read_contigs, write_contig
from shared.errors import PermanentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REFERENCE_NAME = "reference.fa"
INDEX_SUFFIXES = (".fai", ".dict", ".0123", ".pac", ".ann", ".amb", ".bwt.2bit.64")

_SEED = 11  # bwa's constant; the letters drawn for N depend on it
_LCG_FACTOR, _LCG_STEP, _LCG_MASK = 0x5DEECE66D, 0xB, (1 << 48) - 1  # POSIX lrand48
_BLOCK = 64  # BWT symbols per checkpoint (bwa-mem2's CP_BLOCK_SIZE)
_SA_STEP = 8  # every 8th suffix-array value is stored (bwa-mem2's SA_COMPRESSION)
_CHUNK_BLOCKS = 1 << 15  # checkpoints computed at a time: about 2 million symbols, tens of MB


@dataclass(frozen=True, slots=True)
class _Hole:
    """A run of one ambiguous letter: start (0-based over all contigs), length in bp, the letter as in the source."""

    start: int
    length: int
    letter: str


class _Lrand48:
    """`lrand48() & 3` as POSIX defines it, drawn in blocks."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._state = (seed << 16) + 0x330E
        size = 1 << 14
        factors = np.empty(size, dtype=np.uint64)
        steps = np.empty(size, dtype=np.uint64)
        factor, step = 1, 0
        for i in range(size):  # x[i + 1] = factor * x[0] + step
            factor, step = factor * _LCG_FACTOR & _LCG_MASK, (step * _LCG_FACTOR + _LCG_STEP) & _LCG_MASK
            factors[i], steps[i] = factor, step
        self._factors, self._steps = factors, steps

    def draw(self, count: int) -> "NDArray[np.uint8]":
        """The next `count` values, each 0 to 3."""
        import numpy as np

        out = np.empty(count, dtype=np.uint8)
        mask = np.uint64(_LCG_MASK)
        done = 0
        while done < count:
            size = min(count - done, len(self._factors))
            # Products wrap at 2**64, which 2**48 divides, so the masked result is exact.
            states = (self._factors[:size] * np.uint64(self._state) + self._steps[:size]) & mask
            out[done : done + size] = ((states >> np.uint64(17)) & np.uint64(3)).astype(np.uint8)
            self._state = int(states[-1])
            done += size
        return out


def _code_table() -> "NDArray[np.uint8]":
    """Letter to 2-bit code; 4 for every ambiguous letter."""
    import numpy as np

    table = np.full(256, 4, dtype=np.uint8)
    for code, letters in enumerate((b"Aa", b"Cc", b"Gg", b"Tt")):
        table[list(letters)] = code
    return table


def _holes(sequence: "NDArray[np.uint8]", ambiguous: "NDArray[np.bool_]", offset: int) -> Iterator[_Hole]:
    """The runs of equal ambiguous letters in one contig (`N` and `n` are two letters, as in bwa)."""
    import numpy as np

    places = np.flatnonzero(ambiguous)
    if not len(places):
        return
    letters = sequence[places]
    first = np.flatnonzero(np.r_[True, (np.diff(places) != 1) | (letters[1:] != letters[:-1])])
    for begin, stop in zip(first, np.r_[first[1:], len(places)], strict=True):
        yield _Hole(offset + int(places[begin]), int(stop - begin), chr(letters[begin]))


def _write_pac(path: Path, forward: "NDArray[np.uint8]") -> None:
    """Two bits per base, first base in the high bits; a spare byte when the last is full; then `length % 4`."""
    import numpy as np

    rest = len(forward) % 4
    padded = np.concatenate([forward, np.zeros(-len(forward) % 4, dtype=np.uint8)]).reshape(-1, 4)
    packed = padded[:, 0] << 6 | padded[:, 1] << 4 | padded[:, 2] << 2 | padded[:, 3]
    with path.open("wb") as out:
        out.write(packed.astype(np.uint8).tobytes())
        out.write(bytes([0, 0]) if rest == 0 else bytes([rest]))


def _suffix_array(both: "NDArray[np.uint8]") -> "NDArray[Any]":
    """The suffix array of the text, without a sentinel."""
    from pydivsufsort import divsufsort

    array: NDArray[Any] = divsufsort(both)
    return array


def _write_bwt(path: Path, both: "NDArray[np.uint8]") -> None:
    """`.bwt.2bit.64`: counts, checkpoints with one-hot BWT symbols, the sampled suffix array, the sentinel's place."""
    import numpy as np

    suffixes = _suffix_array(both)
    size = len(both) + 1  # with the sentinel, whose suffix sorts first
    counts = np.bincount(both, minlength=4)[:4]
    sentinel = -1
    running = np.zeros(4, dtype=np.int64)
    with path.open("wb") as out:
        out.write(np.array([size, 0, *np.cumsum(counts)], dtype="<i8").tobytes())
        blocks = (size >> 6) + 1
        for first in range(0, blocks, _CHUNK_BLOCKS):
            count = min(_CHUNK_BLOCKS, blocks - first)
            begin, stop = first * _BLOCK, min((first + count) * _BLOCK, size)
            rows = _rows(suffixes, begin, stop, len(both))
            symbols = np.full(count * _BLOCK, 4, dtype=np.uint8)  # 4: sentinel and padding set no bit
            symbols[: stop - begin] = both[rows - 1]
            zero = np.flatnonzero(rows == 0)
            if len(zero):
                symbols[zero[0]] = 4
                sentinel = begin + int(zero[0])
            entry = np.empty((count, 8), dtype="<i8")
            grid = symbols.reshape(count, _BLOCK)
            for base in range(4):
                hits = grid == base
                per_block = hits.sum(axis=1, dtype=np.int64)
                entry[:, base] = running[base] + np.cumsum(per_block) - per_block
                running[base] += per_block.sum()
                entry[:, 4 + base] = np.packbits(hits, axis=1).view(">u8").ravel().astype("<u8").view("<i8")
            out.write(entry.tobytes())
        assert sentinel >= 0
        _write_sampled(out, suffixes, size)
        out.write(np.array([sentinel], dtype="<i8").tobytes())


def _rows(suffixes: "NDArray[Any]", begin: int, stop: int, sentinel_suffix: int) -> "NDArray[np.int64]":
    """Entries `begin` to `stop` (0-based half-open) of the suffix array that has the sentinel's suffix in front."""
    import numpy as np

    if begin:
        return suffixes[begin - 1 : stop - 1].astype(np.int64)
    return np.concatenate([[sentinel_suffix], suffixes[: stop - 1]]).astype(np.int64)


def _write_sampled(out: IO[bytes], suffixes: "NDArray[Any]", size: int) -> None:
    """Every 8th suffix: first the high bytes of all, then the low 32 bits of all."""
    import numpy as np

    sampled = np.empty((size >> 3) + 1, dtype=np.int64)  # the size is odd, so every entry is set
    sampled[0] = size - 1
    sampled[1:] = suffixes[_SA_STEP - 1 :: _SA_STEP]
    out.write((sampled >> 32).astype(np.int8).tobytes())
    out.write((sampled & 0xFFFFFFFF).astype("<u4").tobytes())


def _refuse_short(total: int) -> None:
    """Refuse a reference that no read pair could align to."""
    if total < _BLOCK:
        raise PermanentError(f"The reference has {total} bp in all; the aligner needs at least {_BLOCK}.")


def build_index(fasta: Path, out_dir: Path) -> list[Path]:
    """Write `reference.fa` and the index files beside it; return all, the FASTA first.

    Args:
        fasta: FASTA, plain, gzip or BGZF.
        out_dir: Folder for `reference.fa` + `.fai .dict .0123 .pac .ann .amb .bwt.2bit.64`.

    Raises:
        PermanentError: With the line number, when the FASTA is no usable DNA reference.
    """
    import numpy as np

    out_dir.mkdir(parents=True, exist_ok=True)
    reference = out_dir / REFERENCE_NAME
    paths = {suffix: reference.with_name(REFERENCE_NAME + suffix) for suffix in INDEX_SUFFIXES}
    table, dice = _code_table(), _Lrand48(_SEED)
    codes: list[NDArray[np.uint8]] = []
    holes: list[_Hole] = []
    annotations: list[str] = []
    offset = 0
    with (
        reference.open("wb") as plain,
        paths[".fai"].open("w", newline="\n") as fai,
        paths[".dict"].open("w", newline="\n") as sequence_dict,
    ):
        sequence_dict.write("@HD\tVN:1.0\tSO:unsorted\n")
        contig: FastaContig
        for contig in read_contigs(fasta):
            fai.write(write_contig(plain, contig))
            sequence_dict.write(dict_line(contig))
            letters = np.frombuffer(contig.sequence, dtype=np.uint8)
            coded = table[letters]
            ambiguous = coded > 3
            contig_holes = list(_holes(letters, ambiguous, offset))
            coded[ambiguous] = dice.draw(int(ambiguous.sum()))
            codes.append(coded)
            holes.extend(contig_holes)
            # bwa writes "(null)" for a missing comment; the first 0 is a GI number that nobody uses.
            annotations.append(f"0 {contig.name} {contig.comment or '(null)'}\n")
            annotations.append(f"{offset} {len(letters)} {len(contig_holes)}\n")
            offset += len(letters)
    _refuse_short(offset)
    contigs = len(codes)
    paths[".ann"].write_text(f"{offset} {contigs} {_SEED}\n" + "".join(annotations), newline="\n")
    paths[".amb"].write_text(
        f"{offset} {contigs} {len(holes)}\n" + "".join(f"{h.start} {h.length} {h.letter}\n" for h in holes),
        newline="\n",
    )
    forward = np.concatenate(codes)
    codes.clear()
    _write_pac(paths[".pac"], forward)
    both = np.concatenate([forward, (3 - forward)[::-1]])
    del forward
    both.tofile(paths[".0123"])
    _write_bwt(paths[".bwt.2bit.64"], both)
    return [reference, *paths.values()]
