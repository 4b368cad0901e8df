"""Writes the FASTQ files beside it: `python tests/data/fastq/make.py`. One fault each; the rest of the file is good."""

import gzip
import struct
import sys
import zlib
from pathlib import Path

from backports import zstd

HERE = Path(__file__).parent
BASES, QUALITY = "ACGTTGCAAC", "IIIIFFFF#,"


def record(number: int, mate: int, name: str | None = None, bases: str = BASES, quality: str = QUALITY) -> str:
    title = f"A1:7:FC:1:{number} {mate}:N:0:ACGT" if name is None else name
    return f"@{title}\n{bases}\n+\n{quality}\n"


def good(mate: int, reads: int = 3) -> str:
    return "".join(record(number, mate) for number in range(1, reads + 1))


def with_second(mate: int, second: str) -> str:
    return record(1, mate) + second + record(3, mate)


def lines_without(mate: int, line: int) -> str:
    lines = good(mate).splitlines(keepends=True)
    del lines[line]
    return "".join(lines)


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def bgzf(data: bytes, block: int = 100) -> bytes:
    out = []
    for at in (*range(0, len(data), block), len(data)):
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(data[at : at + block]) + deflate.flush()
        out.append(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25) + body)
        out.append(struct.pack("<II", zlib.crc32(data[at : at + block]), len(data[at : at + block])))
    return b"".join(out)


def zstd_bomb() -> bytes:
    """Twenty million times the same letter."""
    return compressed(b"@" + bytes([65]) * 20_000_000)


def compressed(data: bytes) -> bytes:
    """One zstd frame with a checksum."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def skippable(data: bytes) -> bytes:
    """A zstd frame that holds no text, as pzstd writes before others (RFC 8878, section 3.1.2)."""
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def wide_window(data: bytes) -> bytes:
    """As `zstd --long=28`: whoever unpacks it must hold 256 MiB."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28})
    return packer.compress(data) + packer.flush()


def old(mate: int, reads: int = 3) -> str:
    return "".join(record(n, mate, f"A1:{n}/{mate}") for n in range(1, reads + 1))


def archive(mate: int) -> str:
    """As the sequence archives write it: no mate in the name, and the name again in the third line."""
    names = [f"SRR1.{number} {number} length=10" for number in (1, 2, 3)]
    return "".join(f"@{name}\n{BASES}\n+{name}\n{mate}{QUALITY[1:]}\n" for name in names)


def phred64(mate: int) -> str:
    return "".join(record(n, mate, quality="hhhhgfeBB" + "ab"[mate - 1]) for n in (1, 2, 3))


def random_text(reads: int) -> str:
    """Reads that do not pack well, from a small generator of its own (Numerical Recipes' constants)."""
    state, records = 1, []
    for number in range(1, reads + 1):
        bases = ""
        for _ in range(10):
            state = (1664525 * state + 1013904223) % 2**32
            bases += "ACGT"[state >> 30]
        records.append(record(number, 1, bases=bases))
    return "".join(records)


def files() -> dict[str, bytes]:
    whole = packed(random_text(200))
    corrupt = bytearray(whole)
    corrupt[-6] ^= 1
    frame = compressed(random_text(200).encode())
    corrupt_frame = bytearray(frame)
    corrupt_frame[-1] ^= 1  # in the checksum
    texts = {
        "good_R1.fastq": good(1),
        "good_R2.fastq": good(2),
        "frame_R1.fastq": with_second(1, record(2, 1)[1:]),
        "blank_line_R1.fastq": with_second(1, "\n" + record(2, 1)),
        "blank_end_R1.fastq": good(1) + "\n",
        "no_sequence_R1.fastq": lines_without(1, 5),
        "no_plus_R1.fastq": lines_without(1, 6),
        "no_quality_R1.fastq": lines_without(1, 7),
        "cut_R1.fastq": good(1)[: -len(QUALITY) - 1],
        "lengths_R1.fastq": with_second(1, record(2, 1, quality=QUALITY[:-1])),
        "quality_space_R1.fastq": with_second(1, record(2, 1, quality="IIII IIIII")),
        "quality_phred64_R1.fastq": with_second(1, record(2, 1, quality="hhhhggg\x7fBB")),
        "phred64_R1.fastq": phred64(1),
        "phred64_R2.fastq": phred64(2),
        "other_name_R2.fastq": with_second(2, record(9, 2)),
        "short_R1.fastq": good(1, 2),
        "short_R2.fastq": good(2, 2),
        "old_R1.fastq": old(1),
        "old_R2.fastq": old(2),
        "archive_R1.fastq": archive(1),
        "archive_R2.fastq": archive(2),
        "fasta_R1.fastq": ">A1:7\nACGT\n",
        "html_R1.fastq": "<!DOCTYPE html>\n<title>Sign in</title>\n",
        "sam_R1.fastq": "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\n",
        "long_read_R1.fastq": with_second(1, record(2, 1, bases="A" * 1_001, quality="I" * 1_001)),
        "longest_read_R1.fastq": with_second(1, record(2, 1, bases="A" * 1_000, quality="I" * 1_000)),
        "long_name_R1.fastq": with_second(1, record(2, 1, name="A1:" + "n" * 252)),
        "long_title_R1.fastq": with_second(1, record(2, 1, name="A1:2 " + "c" * 1_020)),
        "empty_read_R1.fastq": with_second(1, record(2, 1, bases="", quality="")),
        "not_bases_R1.fastq": with_second(1, record(2, 1, bases="ACGTEACGTA")),
        "gap_R1.fastq": with_second(1, record(2, 1, bases="ACG-TACGTA")),
        "plus_R1.fastq": with_second(1, record(2, 1).replace("\n+\n", "\n+other\n")),
        "no_name_R1.fastq": with_second(1, record(2, 1, name=" 1:N:0:ACGT")),
        "no_last_line_end_R1.fastq": good(1)[:-1],
        "windows_R1.fastq": good(1).replace("\n", "\r\n"),
        "iupac_R1.fastq": with_second(1, record(2, 1, bases="acgtRYSWK.")),
    }
    members = b"".join(packed(good(1)[at : at + 70]) for at in range(0, len(good(1)), 70))
    return {name: text.encode("latin-1") for name, text in texts.items()} | {
        "truncated_R1.fastq.gz": whole[: len(whole) // 2],
        "corrupt_R1.fastq.gz": bytes(corrupt),
        "bam_R1.fastq.gz": packed("BAM\1\0\0\0\0"),
        "zip_R1.fastq": b"PK\3\4\x14\0\0\0",
        "bomb_R1.fastq.gz": gzip.compress(b"@" + bytes([65]) * 20_000_000, mtime=0),
        "packed_R1.fastq.gz": packed(good(1)),
        "members_R1.fastq.gz": members,
        "bgzf_R1.fastq.gz": bgzf(good(1).encode()),
        "packed_R1.fastq.zst": compressed(good(1).encode()),
        "frames_R1.fastq.zst": skippable(b"pzstd")
        + b"".join(compressed(good(1).encode()[at : at + 70]) for at in range(0, len(good(1)), 70)),
        "truncated_R1.fastq.zst": frame[: len(frame) // 2],
        "corrupt_R1.fastq.zst": bytes(corrupt_frame),
        "bomb_R1.fastq.zst": zstd_bomb(),
        "window_R1.fastq.zst": wide_window(good(1).encode()),
    }


def main() -> int:
    for name, data in files().items():
        (HERE / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
