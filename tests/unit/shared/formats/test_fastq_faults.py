"""Every fault of a FASTQ file in `tests/data/fastq`, and the exact words it gets; and what is no fault."""

import io
from pathlib import Path

import pytest

from shared.errors import PermanentError
from shared.formats.fastq import BLOCK_BYTES, FastqPairs, FastqSource

DATA = Path(__file__).parents[3] / "data" / "fastq"
AGAIN = "Upload the file again from the sequencer's output, then upload the order again."
UNPACKED = "then upload the order again."


def pairs_text(r1: str, r2: str, block_bytes: int) -> bytes:
    sources = (FastqSource(io.BytesIO((DATA / name).read_bytes()), name) for name in (r1, r2))
    pairs = FastqPairs(*sources, block_bytes=block_bytes)
    text = b""
    while block := pairs.take(1_000):
        text += block.text()
    return text


def at(line: int, why: str, name: str | None = "A1:7:FC:1:2", read: int = 2) -> str:
    shown = f" ('{name}')" if name else ""
    return f"is not valid FASTQ at line {line}, read {read}{shown}: {why}."


FAULTS = {
    "frame": at(5, "the line is expected to start with '@', but starts with 'A'", None) + f" {AGAIN}",
    "blank_line": at(5, "the line is blank, a read's '@' line is expected", None) + f" {AGAIN}",
    "blank_end": at(13, "the line is blank, a read's '@' line is expected", None, 4) + f" {AGAIN}",
    "no_sequence": at(6, "the read has no sequence line; the line starts with '+'") + f" {AGAIN}",
    "no_plus": at(7, "the line is expected to start with '+', but starts with 'I'") + f" {AGAIN}",
    "no_quality": at(8, "the read has no quality line; the next read's '@' line follows") + f" {AGAIN}",
    "cut": at(12, "premature end of file, the read has no quality line", "A1:7:FC:1:3", 3) + f" {AGAIN}",
    "lengths": at(8, "lengths of sequence and qualities differ: 10 bases, 9 qualities") + f" {AGAIN}",
    "quality_space": at(8, "a quality is outside '!' to '~' (Phred+33): ' '") + f" {AGAIN}",
    "quality_phred64": at(8, "a quality is outside '!' to '~' (Phred+33): byte 0x7f; it looks like Phred+64")
    + " Convert the qualities to Phred+33 (for instance with `seqtk seq -VQ64`), then upload the order again.",
    "fasta": f"is no FASTQ: it looks like FASTA, which has no qualities. Upload FASTQ, {UNPACKED}",
    "html": "is no FASTQ: it looks like a web page or XML, perhaps a failed download. Download it again, " + UNPACKED,
    "sam": f"is no FASTQ: it looks like a SAM file. Convert it with `samtools fastq`, {UNPACKED}",
    "zip": f"is no FASTQ: it looks like a zip archive. Unpack it and upload the FASTQ files in it, {UNPACKED}",
    "bam.gz": f"is no FASTQ: it looks like a BAM file. Convert it with `samtools fastq`, {UNPACKED}",
    "long_read": at(6, "the read has more than 1,000 bases; the aligner is made for short reads")
    + " Upload short reads, then upload the order again.",
    "long_name": at(
        5, "the read's name has 255 characters, more than the 254 that BAM can hold", "A1:" + "n" * 77 + "..."
    )
    + f" {AGAIN}",
    "long_title": at(5, "the '@' line has more than 1,024 characters", "A1:2") + f" {AGAIN}",
    "bomb.gz": at(1, "the '@' line has more than 1,024 characters", "A" * 80 + "...", 1) + f" {AGAIN}",
    "empty_read": at(6, "the read is empty (no bases)")
    + " Leave out pairs with empty reads, or upload the files as they were before trimming, then upload the order "
    "again.",
    "not_bases": at(6, "letters that are no bases, the first is 'E'") + f" {AGAIN}",
    "gap": at(6, "letters that are no bases, the first is '-'") + f" {AGAIN}",
    "plus": at(7, "the '+' line repeats another name: 'other'") + f" {AGAIN}",
    "no_name": at(5, "the read has no name after '@'", None) + f" {AGAIN}",
    "truncated.gz": "is truncated: its gzip data ends early. The upload or the copy was cut off. " + AGAIN,
    "corrupt.gz": "is damaged: its gzip data cannot be read (CRC check failed ",
    "bomb.zst": at(1, "the '@' line has more than 1,024 characters", "A" * 80 + "...", 1) + f" {AGAIN}",
    "truncated.zst": "is truncated: its zstd data ends early. The upload or the copy was cut off. " + AGAIN,
    "corrupt.zst": "is damaged: its zstd data cannot be read (Unable to decompress Zstandard data: Restored data "
    f"doesn't match checksum). {AGAIN}",
    "window.zst": "needs more than 128 MiB of memory to unpack; it was packed with `zstd --long`. Pack it without that "
    f"and upload it, {UNPACKED}",
}

PAIR = "Upload both files again, then the order again."
NOT_A_PAIR = "The upload looks truncated or the files are not a pair."
MATES_RIGHT = "Upload R1 as R1 and R2 as R2, then the order again."

PAIR_FAULTS = [
    (
        "good_R1.fastq",
        "other_name_R2.fastq",
        (
            "Mates differ at read 2: good_R1.fastq has 'A1:7:FC:1:2', other_name_R2.fastq has 'A1:7:FC:1:9'. The "
            "files are not a pair, or one of them was sorted or filtered alone. Upload the matching R1 and R2, then "
            "the order again."
        ),
    ),
    (
        "short_R1.fastq",
        "good_R2.fastq",
        f"R1 ends early: short_R1.fastq has 2 reads, good_R2.fastq has 3. {NOT_A_PAIR} {PAIR}",
    ),
    (
        "good_R1.fastq",
        "short_R2.fastq",
        f"R2 ends early: short_R2.fastq has 2 reads, good_R1.fastq has 3. {NOT_A_PAIR} {PAIR}",
    ),
    (
        "good_R2.fastq",
        "good_R1.fastq",
        "R1 and R2 are swapped: good_R2.fastq holds second mates, good_R1.fastq first mates (read 1, 'A1:7:FC:1:1'). "
        + MATES_RIGHT,
    ),
    (
        "old_R2.fastq",
        "old_R1.fastq",
        "R1 and R2 are swapped: old_R2.fastq holds second mates, old_R1.fastq first mates (read 1, 'A1:1/2'). "
        + MATES_RIGHT,
    ),
    (
        "good_R1.fastq",
        "good_R1.fastq",
        (
            "good_R1.fastq and good_R1.fastq both hold first mates; one file was perhaps uploaded twice (read 1, "
            f"'A1:7:FC:1:1'). {MATES_RIGHT}"
        ),
    ),
    (
        "old_R2.fastq",
        "old_R2.fastq",
        (
            f"old_R2.fastq and old_R2.fastq both hold second mates; one file was perhaps uploaded twice (read 1, "
            "'A1:1/2'). "
            f"{MATES_RIGHT}"
        ),
    ),
    (
        "archive_R1.fastq",
        "archive_R1.fastq",
        (
            "archive_R1.fastq and archive_R1.fastq hold the same reads: one file was uploaded twice. Upload the "
            "matching R1 and R2, then the order again."
        ),
    ),
    (
        "phred64_R1.fastq",
        "phred64_R2.fastq",
        (
            "phred64_R1.fastq looks like Phred+64: all its qualities are between 'B' and 'h'. Convert the qualities to "
            "Phred+33 (for instance with `seqtk seq -VQ64`), then upload the order again."
        ),
    ),
]

GOOD = [
    ("good_R1.fastq", "good_R2.fastq"),
    ("no_last_line_end_R1.fastq", "good_R2.fastq"),
    ("windows_R1.fastq", "good_R2.fastq"),
    ("packed_R1.fastq.gz", "good_R2.fastq"),
    ("members_R1.fastq.gz", "good_R2.fastq"),
    ("bgzf_R1.fastq.gz", "good_R2.fastq"),
    ("packed_R1.fastq.zst", "good_R2.fastq"),
    ("frames_R1.fastq.zst", "good_R2.fastq"),
]

both_ways = pytest.mark.parametrize("block_bytes", [BLOCK_BYTES, 0], ids=["blocks", "singly"])


@both_ways
@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_file_is_named_with_line_read_and_fault(case: str, block_bytes: int) -> None:
    stem, dot, packing = case.partition(".")
    name = f"{stem}_R1.fastq{dot}{packing}"
    with pytest.raises(PermanentError) as caught:
        pairs_text(name, name if stem in {"truncated", "corrupt"} else "good_R2.fastq", block_bytes)
    message = str(caught.value)
    if case == "corrupt.gz":
        assert message.startswith(f"{name} {FAULTS[case]}")
    else:
        assert message == f"{name} {FAULTS[case]}"
    assert "\n" not in message
    assert len(message) < 500


@both_ways
@pytest.mark.parametrize(("r1", "r2", "message"), PAIR_FAULTS)
def test_files_that_are_no_pair_are_told(r1: str, r2: str, message: str, block_bytes: int) -> None:
    with pytest.raises(PermanentError) as caught:
        pairs_text(r1, r2, block_bytes)
    assert str(caught.value) == message


@both_ways
@pytest.mark.parametrize(("r1", "r2"), GOOD)
def test_however_a_file_is_packed_its_reads_are_the_same(r1: str, r2: str, block_bytes: int) -> None:
    assert pairs_text(r1, r2, block_bytes) == pairs_text("good_R1.fastq", "good_R2.fastq", BLOCK_BYTES)


@both_ways
def test_names_of_every_kind_are_kept_and_a_repeated_name_is_not(block_bytes: int) -> None:
    assert pairs_text("old_R1.fastq", "old_R2.fastq", block_bytes).startswith(b"@A1:1/1\nACGTTGCAAC\n+\n")
    text = pairs_text("archive_R1.fastq", "archive_R2.fastq", block_bytes)
    assert text.startswith(b"@SRR1.1 1 length=10\nACGTTGCAAC\n+\n1IIIFFFF#,\n@SRR1.1 1 length=10\n")


@both_ways
@pytest.mark.parametrize(
    ("r1", "letters"), [("iupac_R1.fastq", b"acgtRYSWK."), ("longest_read_R1.fastq", b"A" * 1_000)]
)
def test_letters_of_every_case_and_reads_up_to_the_limit_are_kept(r1: str, letters: bytes, block_bytes: int) -> None:
    assert b"\n" + letters + b"\n" in pairs_text(r1, "good_R2.fastq", block_bytes)


def test_every_file_beside_the_tests_is_used() -> None:
    used = {name for case in [*GOOD, *PAIR_FAULTS] for name in case[:2]}
    used |= {f"{stem}_R1.fastq{dot}{packing}" for stem, dot, packing in (case.partition(".") for case in FAULTS)}
    used |= {"archive_R2.fastq", "old_R1.fastq", "iupac_R1.fastq", "longest_read_R1.fastq"}
    assert used == {path.name for path in DATA.glob("*.fastq*")}
