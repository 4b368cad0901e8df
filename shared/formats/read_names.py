"""What the names of reads tell of the sequencer: instrument, run, flowcell, lane, index.

Illumina since CASAVA 1.8: ``@INSTRUMENT:RUN:FLOWCELL:LANE:TILE:X:Y[:UMI] 1:N:0:INDEX``; before it
``@INSTRUMENT:LANE:TILE:X:Y#INDEX/1``; MGI ``@FLOWCELL`` + ``L1C001R0010000001/1``. Names that the SRA or others gave
tell nothing.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from shared.domain.reads import Origin
from shared.errors import PermanentError
from shared.formats.fastq_stream import FastqText

HEAD_BYTES = 256 * 1024
"""So much of a file, as it lies in the storage, is enough for hundreds of reads; the decompressor gives nothing out
before it has 128 KiB of text."""

MAX_READS = 500
"""So many reads are asked for their index: each read tells its own, with errors of its own."""

_MAX_TEXT = 2 * 1024**2
"""Text bytes that are unpacked at most: 500 of the longest records, and no more of a gzip bomb."""

_SAFE = r"[A-Za-z0-9_-]{1,40}"
_CASAVA = re.compile(
    rf"@(?P<instrument>{_SAFE}):(?P<run>\d{{1,9}}):(?P<flowcell>{_SAFE}):(?P<lane>\d{{1,2}}):\d+:-?\d+:-?\d+"
    r"(?::[ACGTNacgtnr+_]*)?"
    r"(?:[ \t][12]:[YN]:\d+:(?P<index>[A-Za-z0-9+]{0,100}))?"
)
_BEFORE_CASAVA = re.compile(
    rf"@(?P<instrument>{_SAFE}):(?P<lane>\d{{1,2}}):\d+:-?\d+:-?\d+(?:#(?P<index>[A-Za-z0-9+]{{1,100}}))?(?:/[12])?"
)
_MGI = re.compile(r"@(?P<flowcell>[A-Z]+\d{6,12})L(?P<lane>\d)C\d{3}R\d{3,}(?:/[12])?")
_SEQUENCES = re.compile(r"[ACGTN]+(?:\+[ACGTN]+)?")

_MODELS = (
    (re.compile(r"LH\d{5}"), "NovaSeq X"),
    (re.compile(r"A\d{5}"), "NovaSeq 6000"),
    (re.compile(r"V[HL]\d{5}"), "NextSeq 1000/2000"),
    (re.compile(r"N[BS]\d{6}"), "NextSeq 500/550"),
    (re.compile(r"M\d{5}"), "MiSeq"),
    (re.compile(r"SH\d{5}"), "MiSeq i100"),
    (re.compile(r"MN\d{5}"), "MiniSeq"),
    (re.compile(r"FS\d{8}"), "iSeq 100"),
    (re.compile(r"E\d{5}"), "HiSeq X"),
    (re.compile(r"[JK]\d{5}"), "HiSeq 3000/4000"),
    (re.compile(r"D\d{5}"), "HiSeq 2500"),
)
"""Models by the form of their serial numbers."""


def origin_of_head(head: bytes) -> Origin:
    """Where a FASTQ file's reads come from, by its first `HEAD_BYTES`.

    What cannot be read tells nothing here: the split reads the whole file and names every fault.
    """
    try:
        return origin_of(_titles(head))
    except PermanentError:
        return Origin()


def origin_of(titles: Iterable[str]) -> Origin:
    """Where reads come from, by their names with comments (`@` lines); nothing is told on which they differ.

    The index is the commonest one, because a base of it may be misread or N as any other.

    >>> origin_of(["@A00123:8:HXXX:2:1101:1:1 1:N:0:ACGT+TTGA"]).platform_unit
    'HXXX.2.ACGT+TTGA'
    """
    places: set[tuple[str, ...]] = set()
    indexes: Counter[str] = Counter()
    first_read = platform = ""
    for number, title in enumerate(titles):
        if number == MAX_READS:
            break
        match = _CASAVA.fullmatch(title) or _BEFORE_CASAVA.fullmatch(title) or _MGI.fullmatch(title)
        if match is None:
            return Origin()
        found = match.groupdict(default="")
        platform = "DNBSEQ" if match.re is _MGI else "ILLUMINA"
        places.add(tuple(found.get(key, "") for key in ("instrument", "run", "flowcell", "lane")))
        index = found.get("index", "").upper()
        if _SEQUENCES.fullmatch(index):  # "0" and "NNNN" stand for none
            indexes[index if index.strip("N+") else ""] += 1
        if number == 0 and found.get("flowcell"):
            first_read = title.split()[0].removeprefix("@").removesuffix("/1")
    if not places:
        return Origin()
    instrument, run, flowcell, lane = (
        values.pop() if len(values) == 1 else "" for values in map(set, zip(*places, strict=True))
    )
    return Origin(
        instrument=instrument,
        run=run,
        flowcell=flowcell,
        lane=lane,
        # The most frequent one; of several equally frequent ones the first by letters.
        index=min(indexes, key=lambda one: (-indexes[one], one)) if indexes else "",
        platform=platform,
        model=_model(instrument) if platform == "ILLUMINA" else "",
        first_read=first_read,
    )


def _model(instrument: str) -> str:
    return next((model for serial, model in _MODELS if serial.fullmatch(instrument)), "")


def _titles(head: bytes) -> Iterator[str]:
    """The `@` lines of the first whole records."""
    text = FastqText(io.BytesIO(head))
    rest = b""
    size = 0
    while size < _MAX_TEXT and (piece := text.read()):
        size += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        whole = len(lines) // 4 * 4
        for at in range(0, whole, 4):
            yield lines[at].decode("ascii", errors="replace")
        rest = b"\n".join([*lines[whole:], rest])
