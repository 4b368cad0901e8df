"""Whether a sample's drop is complete: its order, the files in the folder, and what is still missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.fastq_names import FastqName, NameKind, is_fastq, parse_fastq_name
from shared.domain.order import Order
from shared.domain.reads import InputFile, Pair, Pairing, pair_up
from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Dropped:
    """A FASTQ file in a landing folder.

    Attributes:
        name: Full blob name.
        content: What identifies its bytes, see `InputFile`.
        modified: Last change, UTC.
        tier: Access tier in lower case; empty when unknown.
    """

    name: str
    size: int
    content: str
    modified: datetime
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One sample's order in a landing folder, and how its files are told.

    Attributes:
        folder: The landing folder.
        order: The order.
        arrived: When it came in: the last of the blobs that make it.
        source: Name of the blob to correct when something is wrong with it, such as `NA1/order.json`.
        upload: What tells this upload of the order from others.
        candidates: Full names of the files there now that an order without `files` may be for.
        pairs: The pairs by full names, where a sample sheet gives them; else the names of the files tell.
        expected: Full names of R1 and R2 (of R1 only, of single-end reads) by lane (None: lanes are not split), as an
            Illumina sheet lets them be foreseen; a lane that has a file when the order arrives is not waited for.
        aliases: Other file names that a foreseen one may turn out to have, by the foreseen one.
    """

    folder: str
    order: Order
    arrived: datetime
    source: str
    upload: str
    candidates: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] | None = None
    expected: Mapping[int | None, tuple[str, ...]] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def named(self) -> tuple[str, ...] | None:
        """Full names of the files that the order names; None when it names none."""
        files = self.order.files
        return None if files is None else tuple(f"{self.folder}/{name}" for name in files)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something is missing.

    Attributes:
        missing: Names that the analysis waits for.
        reason: One sentence for the status page.
    """

    missing: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """All files of the order are there.

    Attributes:
        pairs: The R1/R2 pairs, and files of single-end reads.
        files: The files by name.
        received: When the last of them, or the order, came in.
        archived: Names of those that lie in the archive tier.
    """

    pairs: tuple[Pair, ...]
    files: Mapping[str, InputFile]
    received: datetime
    archived: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[tuple[InputFile, ...], ...]:
        """The files of each pair, or the one of single-end reads."""
        return tuple(tuple(self.files[name] for name in pair.names) for pair in self.pairs)

    def check_readable(self) -> None:
        """Refuse files that must be read and cannot; those of an analysis that has begun may lie in the archive.

        Raises:
            PermanentError: Naming the first of them.
        """
        if self.archived:
            raise PermanentError(
                f"landing/{self.archived[0]} is in the archive tier and cannot be read. Rehydrate it to the hot or "
                "cool tier (this takes hours), or upload it again; then upload the order again."
            )


def names_at_arrival(request: Request, dropped: Sequence[Dropped], known: Collection[str] = ()) -> tuple[str, ...]:
    """Full names of the FASTQ files an order is for.

    An order that names none is for every FASTQ of its sample that was in the folder when it arrived, by the storage's
    own times, so that the answer does not depend on when an event is seen.

    Args:
        request: The order.
        dropped: What lies in the folder now.
        known: Files that were there for an earlier upload of an order: one that is replaced while the order is uploaded
            again has a later time, and was there all the same.
    """
    if request.named is not None:
        return request.named
    candidates = set(request.candidates)
    names = [
        file.name
        for file in dropped
        if file.name in candidates and is_fastq(file.name) and (file.modified <= request.arrived or file.name in known)
    ]
    parsed = [_parsed(request, name) for name in names]
    lanes = {name.lane for name in parsed if name is not None}
    for lane, mates in request.expected.items():
        if lane not in lanes and None not in lanes:
            names.extend(mates)
    return tuple(sorted(set(names)))


def _parsed(request: Request, name: str) -> FastqName | None:
    order = request.order
    return parse_fastq_name(name.rpartition("/")[2], order.sample, single_end=order.single_end)


def located(request: Request, names: Sequence[str], dropped: Sequence[Dropped]) -> tuple[str, ...]:
    """Names, those that were foreseen as they really are.

    Illumina's software may write into a folder per project, and by the sample's id or its name.
    """
    present = {file.name for file in dropped}
    foreseen = {name for mates in request.expected.values() for name in mates}
    below = {name.rpartition("/")[2]: name for name in sorted(request.candidates, reverse=True)}

    def find(name: str) -> str:
        file_name = name.rpartition("/")[2]
        found = (below[one] for one in (file_name, *request.aliases.get(file_name, ())) if one in below)
        return next(found, name)

    return tuple(find(name) if name in foreseen and name not in present else name for name in names)


def left_out(request: Request, names: Sequence[str], dropped: Sequence[Dropped]) -> tuple[str, ...]:
    """What lies in the folder and is not read, in words for the status page."""
    index = []
    for name in names:
        parsed = _parsed(request, name)
        if parsed is not None and parsed.kind is NameKind.LEFT_OUT:
            index.append(name)
    notes = []
    if index and request.pairs is None:
        notes.append(f"Left out, as index reads or reads of no sample: {_listed(request, index)}.")
    if request.order.files is None and names:
        late = [file.name for file in dropped if file.name not in names and file.modified > request.arrived]
        if late:
            notes.append(
                f"Came after the order, which names no files: {_listed(request, late)}. Upload the order again to have "
                "them analysed too."
            )
    return tuple(notes)


def _listed(request: Request, names: Sequence[str]) -> str:
    return ", ".join(name.removeprefix(f"{request.folder}/") for name in names)


def inspect_drop(request: Request, names: Sequence[str], dropped: Sequence[Dropped]) -> Waiting | Complete:
    """Decide whether an order's files are complete.

    Args:
        request: The order.
        names: The files it is for, from `names_at_arrival`.
        dropped: What lies in the folder now.

    Raises:
        PermanentError: For names outside the convention, or files given twice under two names.
    """
    if not names:
        return Waiting((), _nothing_there(request))
    present = {file.name: file for file in dropped}
    pairing = _pairing(request, names, present)
    needed = sorted({*names, *pairing.missing} - set(pairing.left_out))
    missing = tuple(name for name in needed if name not in present)
    if missing:
        words = f"The order is there; {len(missing)} of {len(needed)} files are missing: {_listed(request, missing)}."
        return Waiting(missing, words)
    if not pairing.pairs:
        return Waiting((), _nothing_there(request))
    files = {name: InputFile(name=name, size=present[name].size, content=present[name].content) for name in needed}
    _refuse_twins([files[name] for pair in pairing.pairs for name in pair.names])
    archived = tuple(name for name in needed if present[name].tier == "archive")
    received = max(request.arrived, *(present[name].modified for name in needed))
    return Complete(pairing.pairs, files, received, archived)


def _nothing_there(request: Request) -> str:
    if request.source.endswith(".csv"):
        return (
            f"The sample sheet names no files of this sample and none were in the folder when it arrived. Upload the "
            f"FASTQ files, then upload landing/{request.source} again."
        )
    return (
        "The order names no files and none were in the folder when it arrived. Upload the FASTQ files, then upload an "
        "order.json that names them in `files`."
    )


def _pairing(request: Request, names: Sequence[str], present: Collection[str]) -> Pairing:
    """The pairs of the files that the order is for; those that are missing are named."""
    if request.pairs is not None:
        return Pairing(request.pairs, (), ())
    sample = request.order.sample
    single_end = request.order.single_end
    pairing = pair_up(sample, names, single_end=single_end)
    if pairing.unreadable:
        raise PermanentError(
            f"landing/{pairing.unreadable[0]} follows no known naming of FASTQ pairs. Name the files "
            "SAMPLE_S1_L001_R1_001.fastq.gz and ..._R2_001.fastq.gz, or SAMPLE_R1.fastq.gz and SAMPLE_R2.fastq.gz, or "
            "SAMPLE_1.fastq.gz and SAMPLE_2.fastq.gz, and upload the order again with these names. Where the reads "
            "have no second mates, say `single_end: true` in the order; then any name will do."
        )
    if request.order.files is not None and pairing.missing:
        mate = pairing.missing[0].removeprefix(f"{request.folder}/")
        raise PermanentError(
            f"landing/{request.source} names a FASTQ file without its mate {mate}. Name both files of each "
            "pair in `files`, and upload the order again; or say `single_end: true` in it, where the reads have no "
            "second mates."
        )
    # A mate that came after an order without names still belongs to it.
    return Pairing(
        pair_up(sample, [*names, *(name for name in pairing.missing if name in present)], single_end=single_end).pairs,
        pairing.missing,
        (),
        pairing.left_out,
    )


def _refuse_twins(files: Sequence[InputFile]) -> None:
    """Refuse two files with the same bytes: an R1 uploaded as its R2, or a lane uploaded twice."""
    seen: dict[str, str] = {}
    for file in files:
        if file.content in seen and file.size:
            raise PermanentError(
                f"landing/{file.name} and landing/{seen[file.content]} have the same content ({file.size:,} bytes). "
                "One of them was uploaded under a wrong name; upload the right file, then the order again."
            )
        seen[file.content] = file.name
