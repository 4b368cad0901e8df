"""Put the shards' files together: one BAM, one VCF, one GVCF, each with its index; the same bytes however it was cut.

Runs in the function app for small data and on a worker for large; pysam is imported where it is used.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.errors import LedgerError, PermanentError
from shared.formats.bcftools import run_samtools
from shared.formats.cram import replace_header
from shared.formats.gvcf import has_gatk_blocks, join, parse_bands, parse_block

_WINDOW_BP = 100_000
"""How far left-aligning may have moved a record past its neighbours; far more than bcftools norm moves one."""

_PIECE_BYTES = 1 << 20  # text handled at a time


@dataclass(frozen=True, slots=True)
class GatheredBam:
    """The whole genome's alignments and their `.bai`."""

    path: Path
    index: Path


@dataclass(frozen=True, slots=True)
class GatheredCram:
    """The whole genome's alignments as CRAM and their `.crai`."""

    path: Path
    index: Path


@dataclass(frozen=True, slots=True)
class GatheredVcf:
    """The whole genome's variants or GVCF, and the `.tbi`.

    Attributes:
        path: BGZF-compressed VCF.
        index: Tabix index.
        records_in: Records in the shards' files.
        merged: Records that vanished into another: the same allele found from two sides of a border or twice
        in a repeat
            (VCF), or a block that went on behind a border (GVCF).
        records: Records in `path`; always `records_in - merged`.
    """

    path: Path
    index: Path
    records_in: int
    merged: int
    records: int


def gather_bams(bams: Sequence[Path], out: Path) -> GatheredBam:
    """Concatenate the shards' BAMs, in shard order, block by block, and index.

    Raises:
        PermanentError: When there is nothing to gather or a file is no BAM.
    """
    import pysam

    _some(bams)
    run_samtools("cat", "--no-PG", "-o", str(out), *(str(bam) for bam in bams))
    index = Path(f"{out}.bai")
    run_samtools("index", "-b", "-o", str(index), str(out))
    with pysam.AlignmentFile(str(out), index_filename=str(index)) as opened:
        assert opened.has_index()
    return GatheredBam(out, index)


def to_cram(bam: Path, reference: Path, out: Path) -> GatheredCram:
    """Write a BAM's records as CRAM 3.0 and index; the same records give the same bytes.

    The header stays as it is: every @SQ has the M5 by which a reader finds the reference.

    Args:
        bam: Sorted.
        reference: Plain FASTA with its `.fai`, which the BAM was aligned to.
        out: The CRAM.

    Raises:
        PermanentError: When the reference is not the BAM's.
    """
    import pysam

    raw = out.with_name(f"{out.name}.raw")
    options = ("--no-PG", "-C", "--output-fmt-option", "version=3.0")
    run_samtools("view", *options, "-T", str(reference), "-o", str(raw), str(bam))
    with pysam.AlignmentFile(str(bam)) as opened:
        text = str(opened.header)
    replace_header(raw, out, text)
    raw.unlink()
    index = Path(f"{out}.crai")
    run_samtools("index", "-o", str(index), str(out))
    run_samtools("quickcheck", str(out))
    return GatheredCram(out, index)


def gather_vcfs(vcfs: Sequence[Path], out: Path) -> GatheredVcf:
    """Merge the shards' variant files, in shard order, into one sorted VCF, and index.

    A record that left-aligning moved across a border goes where it belongs, and of records with the same
    contig, POS, REF
    and ALT the one with the highest QUAL stays.

    Raises:
        PermanentError: When headers differ or a record is on an unknown contig.
        LedgerError: When a record lies further back than left-aligning can explain.
    """
    header, _ = _header(_some(vcfs)[0])
    contigs = _contig_ranks(header)
    counts = [0, 0]

    def lines() -> Iterator[bytes]:
        yield _text(header)
        previous: tuple[int, int, str, str] | None = None
        for key, line in _in_order(_records(vcfs, header), contigs):
            counts[0] += 1
            if key == previous:
                counts[1] += 1
                continue
            previous = key
            yield line

    _write(out, lines())
    return GatheredVcf(out, _tabix(out), counts[0], counts[1], counts[0] - counts[1])


_Key = tuple[int, int, str, str]


def _in_order(records: Iterator[bytes], contigs: dict[str, int]) -> Iterator[tuple[_Key, bytes]]:
    """Sort records that are sorted but for a window, by (contig, POS, REF, ALT); the highest QUAL first."""
    waiting: list[tuple[_Key, float, bytes]] = []
    last: _Key = (-1, 0, "", "")
    for line in records:
        contig, pos, _, ref, alt, qual, _ = line.decode().split("\t", 6)
        if contig not in contigs:
            raise PermanentError(
                f"A variant lies on contig '{contig}', which the VCF header lacks. Call the shards again."
            )
        key = (contigs[contig], int(pos), ref, alt)
        heapq.heappush(waiting, (key, -float(qual) if qual != "." else 0.0, line))
        while waiting[0][0] < (key[0], key[1] - _WINDOW_BP, "", ""):
            first = heapq.heappop(waiting)
            last = first[0]
            yield last, first[2]
        if key < last:
            raise LedgerError(
                f"A variant at {contig}:{pos} comes after one that lies more than {_WINDOW_BP:,} bp further on; "
                f"the shards' "
                "files are not in shard order or not sorted."
            )
    while waiting:
        key, _, line = heapq.heappop(waiting)
        yield key, line


def gather_gvcfs(gvcfs: Sequence[Path], out: Path) -> GatheredVcf:
    """Concatenate the shards' GVCFs, in shard order, join blocks that a border cut, and index.

    GATK's blocks are not joined: where its shards are cut is a setting of the results.

    Raises:
        PermanentError: When headers differ.
    """
    header, _ = _header(_some(gvcfs)[0])
    bands = () if has_gatk_blocks(header) else parse_bands(header)
    counts = [0, 0]

    def lines() -> Iterator[bytes]:
        yield _text(header)
        held = b""  # the last record so far: the next shard may continue it
        for path in gvcfs:
            at_start = True
            for text in _pieces(path, header):
                counts[0] += text.count(b"\n")
                if at_start and held:
                    first, _, rest = text.partition(b"\n")
                    before, after = parse_block(held.decode().rstrip("\n")), parse_block(first.decode())
                    joined = join(before, after, bands) if before and after else None
                    if joined:
                        counts[1] += 1
                        text = f"{joined.line()}\n".encode() + rest  # noqa: PLW2901 - its start, joined
                    else:
                        yield held
                elif held:
                    yield held
                at_start = False
                cut = text.rfind(b"\n", 0, len(text) - 1) + 1
                yield text[:cut]
                held = text[cut:]
        yield held

    _write(out, lines())
    return GatheredVcf(out, _tabix(out), counts[0], counts[1], counts[0] - counts[1])


def _some(paths: Sequence[Path]) -> Sequence[Path]:
    """The paths; refuse an empty list."""
    if not paths:
        raise PermanentError("There are no shard files to gather; every shard leaves its files.")
    return paths


def _open(path: Path) -> IO[bytes]:
    """Open BGZF text for reading."""
    import gzip

    opened: IO[bytes] = gzip.open(path, "rb")  # type: ignore[assignment]  # noqa: SIM115 - callers close it
    return opened


def _header(path: Path) -> tuple[list[str], int]:
    """The header lines of a VCF and how many bytes they take."""
    lines = []
    size = 0
    with _open(path) as source:
        for line in source:
            size += len(line)
            lines.append(line.decode().rstrip("\n"))
            if line.startswith(b"#CHROM"):
                return lines, size
    raise PermanentError(f"{path.name} has no #CHROM line; it is no VCF. Call the shard again.")


def _text(header: list[str]) -> bytes:
    """Header lines as bytes."""
    return "".join(f"{line}\n" for line in header).encode()


def _contig_ranks(header: list[str]) -> dict[str, int]:
    """Contig name to its place in the header."""
    names = [line.split("ID=", 1)[1].split(",", 1)[0].rstrip(">") for line in header if line.startswith("##contig=")]
    return {name: rank for rank, name in enumerate(names)}


def _pieces(path: Path, header: list[str]) -> Iterator[bytes]:
    """The records of a shard's file as pieces of whole lines; its header must equal the first file's."""
    own, size = _header(path)
    if own != header:
        raise PermanentError(
            f"{path.name} has another header than the first shard's. Call the shards again, all alike."
        )
    with _open(path) as source:
        source.read(size)
        rest = b""
        while text := source.read(_PIECE_BYTES):
            text = rest + text
            cut = text.rfind(b"\n") + 1
            rest = text[cut:]
            if cut:
                yield text[:cut]
        if rest:
            raise PermanentError(f"{path.name} ends inside a line; it is cut off. Call the shard again.")


def _records(paths: Sequence[Path], header: list[str]) -> Iterator[bytes]:
    """All records, file after file, with their line ends."""
    for path in paths:
        for text in _pieces(path, header):
            yield from text.splitlines(keepends=True)


def _write(out: Path, pieces: Iterator[bytes]) -> None:
    """Write BGZF at htslib's default level, so that the same records give the same bytes."""
    import pysam

    with pysam.BGZFile(str(out), "wb") as target:
        for piece in pieces:
            target.write(piece)


def _tabix(path: Path) -> Path:
    """Index a sorted BGZF VCF."""
    import pysam

    index = Path(f"{path}.tbi")
    pysam.tabix_index(str(path), preset="vcf", force=True, index=str(index))
    return index
