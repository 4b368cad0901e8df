"""FASTQ text of a few reads, and its packing as bgzip does it."""

import struct
import zlib

LETTERS = "ACGTTGCANACGGATTACAG"


def fastq(reads: int, mate: int, *, letters: str = LETTERS, begin: int = 0) -> bytes:
    """Reads of one mate, named M1:7:0, M1:7:1, ...; every read another rotation of the letters."""
    records = []
    for number in range(begin, begin + reads):
        turn = number % len(letters)
        read = letters[turn:] + letters[:turn]
        quality = "".join(chr(33 + (number + at) % 41) for at in range(len(read)))
        records.append(f"@M1:7:{number} {mate}:N:0:ACGT\n{read}\n+\n{quality}\n")
    return "".join(records).encode()


def bgzf(data: bytes, block: int = 500) -> bytes:
    """The text as BGZF: gzip members with their sizes, and an empty one at the end."""
    out = []
    for at in (*range(0, len(data), block), len(data)):
        text = data[at : at + block]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(text) + deflate.flush()
        size = len(body) + 25
        out.append(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", size) + body)
        out.append(struct.pack("<II", zlib.crc32(text), len(text)))
    return b"".join(out)
