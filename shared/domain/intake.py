"""Whether a drop is complete: the order, the files in the folder, and what is still missing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.order import Order
from shared.domain.reads import InputFile, ReadGroup, is_fastq, pair_up
from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Dropped:
    """A blob in a sample's landing folder.

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
        received: When the last of them, or the order, came in.
    """

    read_groups: tuple[ReadGroup, ...]
    received: datetime


def names_at_arrival(
    order: Order, order_modified: datetime, dropped: Sequence[Dropped], known: Collection[str] = ()
) -> tuple[str, ...]:
    """Full names of the FASTQ files an order is for.

    An order that names none is for every FASTQ that was in the folder when it arrived, by the storage's own times, so
    that the answer does not depend on when an event is seen.

    Args:
        order: The order.
        order_modified: When it arrived.
        dropped: What lies in the folder now.
        known: Files that were there for an earlier upload of an order: one that is replaced while the order is uploaded
            again has a later time, and was there all the same.
    """
    if order.files is not None:
        return tuple(f"{order.sample}/{name}" for name in order.files)
    return tuple(
        file.name for file in dropped if is_fastq(file.name) and (file.modified <= order_modified or file.name in known)
    )


def inspect_drop(
    order: Order, order_modified: datetime, names: Sequence[str], dropped: Sequence[Dropped]
) -> Waiting | Complete:
    """Decide whether an order's files are complete.

    Args:
        order: The order.
        order_modified: When it came in.
        names: The files it is for, from `names_at_arrival`.
        dropped: What lies in the folder now.

    Raises:
        PermanentError: For names outside the convention, archived files, or files given twice under two names.
    """
    if not names:
        return Waiting(
            (),
            "The order names no files and none were in the folder when it arrived. Upload the FASTQ files, then "
            "upload an order.json that names them in `files`.",
        )
    pairing = pair_up(order.sample, names)
    if pairing.unreadable:
        raise PermanentError(
            f"landing/{pairing.unreadable[0]} follows no known naming of FASTQ pairs. Name the files "
            "SAMPLE_S1_L001_R1_001.fastq.gz and ..._R2_001.fastq.gz, or SAMPLE_R1.fastq.gz and SAMPLE_R2.fastq.gz, and "
            "upload the order again with these names."
        )
    if order.files is not None and pairing.missing:
        mate = pairing.missing[0].rpartition("/")[2]
        raise PermanentError(
            f"landing/{order.sample}/order.json names a FASTQ file without its mate {mate}. Name both files of each "
            "pair in `files`, and upload the order again."
        )
    present = {file.name: file for file in dropped}
    # A mate that came after an order without names still belongs to it.
    complete = pair_up(order.sample, [*names, *(name for name in pairing.missing if name in present)])
    needed = sorted({*names, *pairing.missing})
    missing = tuple(name for name in needed if name not in present)
    if missing:
        listed = ", ".join(name.rpartition("/")[2] for name in missing)
        return Waiting(missing, f"The order is there; {len(missing)} of {len(needed)} files are missing: {listed}.")
    read_groups = tuple(
        ReadGroup(
            id=group,
            r1=_input(present[r1]),
            r2=_input(present[r2]),
            library=order.sample,
            platform_unit=f"{order.sample}.{group}",
        )
        for group, r1, r2 in complete.pairs
    )
    _refuse_twins([file for group in read_groups for file in (group.r1, group.r2)])
    archived = [name for name in needed if present[name].tier == "archive"]
    if archived:
        raise PermanentError(
            f"landing/{archived[0]} is in the archive tier and cannot be read. Rehydrate it to the hot or cool tier "
            "(this takes hours), or upload it again; then upload the order again."
        )
    return Complete(read_groups, max(order_modified, *(present[name].modified for name in needed)))


def _input(file: Dropped) -> InputFile:
    return InputFile(name=file.name, size=file.size, content=file.content)


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
