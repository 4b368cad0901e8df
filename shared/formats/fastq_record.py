"""One FASTQ record, looked at line by line, with the words for every fault.

This is the definition of what is accepted. `fastq_table` only finds out fast that there is nothing to complain about.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from shared.errors import PermanentError

MAX_READ_BP = 1_000
"""The aligner is made for short reads; 1,000 bp is beyond every short-read sequencer (the longest make 2 x 300)."""

MAX_TITLE_BYTES = 1_024
"""The '@' line with its comment. Sequencers write less than 150; a line beyond this is no read."""

MAX_NAME_BYTES = 254
"""A BAM record cannot hold a longer name (SAM specification 4.2)."""

LINE_LIMITS = (MAX_TITLE_BYTES, MAX_READ_BP, MAX_TITLE_BYTES, MAX_READ_BP)
"""Bytes of the four lines of a record, without line ends."""

MAX_RECORD_BYTES = sum(LINE_LIMITS) + len(LINE_LIMITS)

BASES = b"ACGTNRYSWKMBDHVUacgtnryswkmbdhvu."
"""IUPAC codes and the dot of old instruments; the aligner reads what is not ACGT as N and either case alike. The gap
'-' is no base: it belongs to alignments, and the aligner has no code for it."""

UPLOAD_AGAIN = "Upload the file again from the sequencer's output, then upload the order again"

_NAME_SHOWN = 80  # characters of a read's name in a message

PHRED64_RANGE = (ord(";"), ord("j"))
"""The qualities of Illumina 1.3 to 1.7 and Solexa: -5 to 42, plus 64."""

PHRED64_ADVICE = "Convert the qualities to Phred+33 (for instance with `seqtk seq -VQ64`), then upload the order again"

_PHRED64_SURE = 96  # read as Phred+33 this were Q63, which no sequencer gives
_TITLE = re.compile(rb"@[\t -~]*")
_MATE = re.compile(rb"[ \t]([12]):[YN]:")

# What people upload instead, by its first bytes.
_OTHER_KINDS = (
    (b"BAM\1", "a BAM file", "Convert it with `samtools fastq`"),
    (b"CRAM", "a CRAM file", "Convert it with `samtools fastq`"),
    (b"@HD\t", "a SAM file", "Convert it with `samtools fastq`"),
    (b"@SQ\t", "a SAM file", "Convert it with `samtools fastq`"),
    (b"PK\3\4", "a zip archive", "Unpack it and upload the FASTQ files in it"),
    (b"BZh", "bzip2 data", "Compress it with gzip instead"),
    (b"\xfd7zXZ", "xz data", "Compress it with gzip instead"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "Compress it with gzip instead"),
    (b"\x1f\x8b", "gzip within gzip", "Unpack it once"),
    (b">", "FASTA, which has no qualities", "Upload FASTQ"),
    (b";", "FASTA, which has no qualities", "Upload FASTQ"),
    (b"<", "a web page or XML, perhaps a failed download", "Download it again"),
    (b"\xff\xfe", "UTF-16 text", "Save it as plain ASCII text"),
    (b"\xef\xbb\xbf", "text with a byte order mark", "Save it as plain ASCII text"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """A checked record; lines without line ends.

    Attributes:
        title: The first line without its ``@``, with the comment.
    """

    title: bytes
    sequence: bytes
    quality: bytes

    def text(self) -> bytes:
        """As FASTQ, the third line bare."""
        return b"@%b\n%b\n+\n%b\n" % (self.title, self.sequence, self.quality)


def full_name(title: bytes) -> bytes:
    """The title up to the comment."""
    return title.replace(b"\t", b" ").partition(b" ")[0]


def bare_name(title: bytes) -> bytes:
    """The name both mates share: without comment and without ``/1`` or ``/2``."""
    name = full_name(title)
    return name[:-2] if len(name) > 2 and name[-2:] in {b"/1", b"/2"} else name


def declared_mate(title: bytes) -> int | None:
    """1 or 2 when the title says so, as ``name/1`` or ``name 1:N:0:ACGT``."""
    name = full_name(title)
    if len(name) > 2 and name[-2:] in {b"/1", b"/2"}:
        return int(name[-1:])
    found = _MATE.match(title, len(name))
    return int(found[1]) if found else None


def shown(name: bytes) -> str:
    """A name for a message: printable, on one line, short."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in name[: _NAME_SHOWN + 1])
    return text if len(text) <= _NAME_SHOWN else text[:_NAME_SHOWN] + "..."


def check_record(lines: list[bytes], number: int, source: str) -> Record:
    """The record in the lines.

    Args:
        lines: Four, or fewer when the file ends; the last of fewer may be cut when it is longer than its limit.
        number: The read's number in the file, from 1.
        source: The file's name for messages.

    Raises:
        PermanentError: Naming file, line, read and fault.
    """
    place = _Place(source, number, lines)
    title = _check_title(place, lines[0])
    sequence = _check_sequence(place, lines)
    _check_plus(place, lines, title)
    return Record(title, sequence, _check_quality(place, lines, title, len(sequence)))


class _Place:
    """Where the record is; makes the errors."""

    def __init__(self, source: str, number: int, lines: list[bytes]) -> None:
        self.source = source
        self.number = number
        name = full_name(lines[0][1:]) if lines[0].startswith(b"@") else b""
        self.name = f" ('{shown(name)}')" if name else ""

    def fail(self, line: int, why: str, advice: str = UPLOAD_AGAIN) -> NoReturn:
        """Raise for a line of the record (0 to 3)."""
        at = 4 * (self.number - 1) + line + 1  # nothing but whole records of four lines came before
        raise PermanentError(
            f"{self.source} is not valid FASTQ at line {at:,}, read {self.number:,}{self.name}: {why}. {advice}."
        )


def _check_title(place: _Place, line: bytes) -> bytes:
    if place.number == 1:
        _refuse_other_kinds(place, line)
    if not line:
        place.fail(0, "the line is blank, a read's '@' line is expected")
    if not line.startswith(b"@"):
        place.fail(0, f"the line is expected to start with '@', but starts with {_character(line)}")
    if len(line) > MAX_TITLE_BYTES:
        place.fail(0, f"the '@' line has more than {MAX_TITLE_BYTES:,} characters")
    if not _TITLE.fullmatch(line):
        place.fail(0, "the '@' line holds bytes that are not plain ASCII text")
    title = line[1:]
    if not full_name(title):
        place.fail(0, "the read has no name after '@'")
    if (length := len(bare_name(title))) > MAX_NAME_BYTES:
        place.fail(0, f"the read's name has {length:,} characters, more than the {MAX_NAME_BYTES} that BAM can hold")
    return title


def _refuse_other_kinds(place: _Place, line: bytes) -> None:
    for magic, kind, advice in _OTHER_KINDS:
        if line.startswith(magic):
            raise PermanentError(
                f"{place.source} is no FASTQ: it looks like {kind}. {advice}, then upload the order again."
            )
    if line and not line.startswith(b"@") and any(byte < 32 or byte > 126 for byte in line):
        raise PermanentError(f"{place.source} is no FASTQ: it holds bytes that are not text. {UPLOAD_AGAIN}.")


def _check_sequence(place: _Place, lines: list[bytes]) -> bytes:
    if len(lines) < 2:
        place.fail(1, "premature end of file, the read has no sequence line")
    line = lines[1]
    if not line:
        if len(lines) == 4 and lines[2].startswith(b"+") and not lines[3]:
            place.fail(
                1,
                "the read is empty (no bases)",
                "Leave out pairs with empty reads, or upload the files as they were before trimming, then upload "
                "the order again",
            )
        place.fail(1, "the line is blank, the read's bases are expected")
    if line.startswith((b"+", b"@")):
        place.fail(1, f"the read has no sequence line; the line starts with {_character(line)}")
    if len(line) > MAX_READ_BP:
        place.fail(
            1,
            f"the read has more than {MAX_READ_BP:,} bases; the aligner is made for short reads",
            "Upload short reads, then upload the order again",
        )
    if rest := line.translate(None, BASES):
        place.fail(1, f"letters that are no bases, the first is {_character(rest)}")
    return line


def _check_plus(place: _Place, lines: list[bytes], title: bytes) -> None:
    if len(lines) < 3:
        place.fail(2, "premature end of file, the read has no '+' line and no quality line")
    line = lines[2]
    if not line:
        place.fail(2, "the line is blank, the '+' line is expected")
    if not line.startswith(b"+"):
        place.fail(2, f"the line is expected to start with '+', but starts with {_character(line)}")
    if len(line) > 1 and line[1:] != title:
        place.fail(2, f"the '+' line repeats another name: '{shown(full_name(line[1:]))}'")


def _check_quality(place: _Place, lines: list[bytes], title: bytes, bases: int) -> bytes:
    if len(lines) < 4:
        place.fail(3, "premature end of file, the read has no quality line")
    line = lines[3]
    if not line:
        place.fail(3, f"the line is blank, {bases:,} qualities are expected")
    if len(line) != bases:
        instrument, colon, _ = title.partition(b":")
        if colon and line.startswith(b"@" + instrument + colon):
            place.fail(3, "the read has no quality line; the next read's '@' line follows")
        many = f"more than {MAX_READ_BP:,}" if len(line) > MAX_READ_BP else f"{len(line):,}"
        place.fail(3, f"lengths of sequence and qualities differ: {bases:,} bases, {many} qualities")
    if (outside := [byte for byte in line if not 33 <= byte <= 126]) and outside:
        inside = [byte for byte in line if 33 <= byte <= 126]
        why = f"a quality is outside '!' to '~' (Phred+33): {_character(bytes(outside))}"
        if min(outside) > 126 and inside and min(inside) >= PHRED64_RANGE[0]:
            place.fail(3, f"{why}; it looks like Phred+64", PHRED64_ADVICE)
        place.fail(3, why)
    return line


def looks_like_phred64(lowest: int, highest: int) -> bool:
    """Whether the quality characters of a whole file are those of Illumina 1.3 to 1.7, which add 64.

    One single value for all bases (simulated reads) proves nothing.
    """
    return PHRED64_RANGE[0] <= lowest < highest and _PHRED64_SURE <= highest <= PHRED64_RANGE[1]


def _character(line: bytes) -> str:
    byte = line[0]
    return f"'{chr(byte)}'" if 32 <= byte < 127 else f"byte 0x{byte:02x}"
