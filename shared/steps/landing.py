"""Read a landing folder: the orders that lie there, and what they are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared import naming
from shared.domain.fastq_names import BESIDE_ENDINGS, is_fastq
from shared.domain.ids import AnalysisId, digest
from shared.domain.intake import Dropped, Request
from shared.domain.order import parse_order, read_json, validated
from shared.domain.order_template import OrderTemplate
from shared.domain.reads import is_sample_name, pair_up
from shared.domain.run_drop import RunDrop, fault_text, requests_of
from shared.errors import PermanentError
from shared.naming import Container
from shared.ports import BlobFacts, BlobStore

MAX_ORDER_BYTES = 1024**2
"""A thousand times a usual order, and a sheet of ten thousand rows; whatever is larger is not read into memory."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something in a folder can never become an analysis.

    Attributes:
        sample: Whose it is; the folder's name when that cannot be told.
        message: What, where, why, what to do.
        id: Under which it is filed: the same fault has the same.
    """

    sample: str
    message: str
    id: AnalysisId


@dataclass(frozen=True, slots=True)
class LandingFolder:
    """What lies in a landing folder.

    Attributes:
        name: The folder.
        files: The FASTQ files, in folders below it too.
        requests: The orders of samples.
        refusals: What is wrong with the others.
        waiting: What is waited for before there is any order.
        notes: What is not read, and why.
        beside: The other files that orders may name: targets, known genotypes.
    """

    name: str
    files: tuple[Dropped, ...]
    requests: tuple[Request, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    waiting: str = ""
    notes: tuple[str, ...] = ()
    beside: tuple[Dropped, ...] = ()


def read_folder(folder: str, blobs: BlobStore) -> LandingFolder:
    """Read the orders of a landing folder: of one sample (`order.json`), or of a run (a sample sheet too)."""
    listing = {facts.ref.name: facts for facts in blobs.list(Container.LANDING, naming.landing_prefix(folder))}
    dropped = [
        Dropped(facts.ref.name, facts.size, facts.content, facts.modified, facts.tier) for facts in listing.values()
    ]
    files = tuple(file for file in dropped if is_fastq(file.name))
    beside = tuple(file for file in dropped if file.name.endswith(BESIDE_ENDINGS))
    return replace(_read_orders(folder, listing, files, blobs), beside=beside)


def _read_orders(
    folder: str, listing: Mapping[str, BlobFacts], files: tuple[Dropped, ...], blobs: BlobStore
) -> LandingFolder:
    order = listing.get(naming.order_blob(folder).name)
    sheet_name = naming.sheet_name(listing)
    sheet = listing[sheet_name] if sheet_name else None
    if order is None and not files and naming.cohort_blob(folder).name in listing:
        return LandingFolder(folder, files)  # a cohort's, which `steps.cohort` reads
    if order is None:
        waiting = _without_order(folder, files) if sheet is None else _without_template(folder, sheet)
        return LandingFolder(folder, files, waiting=waiting)
    try:
        data = _read(order, blobs, "an order")
    except PermanentError as error:
        return LandingFolder(folder, files, refusals=(_too_large(folder, order, error),))
    try:
        value = read_json(data, order.ref.name)
        if not isinstance(value, dict) or "sample" in value or "patient" in value:
            return _of_sample(folder, files, order, data, sheet)
        template = validated(OrderTemplate, value, order.ref.name)
    except PermanentError as error:
        return LandingFolder(folder, files, refusals=(_refusal(folder, files, data, error),))
    if sheet is None:
        return LandingFolder(folder, files, waiting=_without_sheet(folder))
    return _of_run(folder, files, order, template, sheet, blobs)


def _of_sample(
    folder: str, files: tuple[Dropped, ...], facts: BlobFacts, data: bytes, sheet: BlobFacts | None
) -> LandingFolder:
    order = parse_order(data, facts.ref.name)
    direct = tuple(file.name for file in files if file.name.count("/") == 1)
    notes = []
    if sheet is not None:
        notes.append(f"{sheet.ref} is not read: {facts.ref} is the order of one sample.")
    if order.files is None and len(direct) < len(files):
        below = next(file.name for file in files if file.name not in direct).removeprefix(f"{folder}/")
        notes.append(
            f"{len(files) - len(direct)} FASTQ files lie in folders below landing/{folder}/; an order must name them "
            f"in `files`, such as {below}."
        )
    request = Request(
        folder=folder,
        order=order,
        arrived=facts.modified,
        source=facts.ref.name,
        upload=digest([data.hex(), facts.etag])[:24],
        candidates=direct,
    )
    return LandingFolder(folder, files, requests=(request,), notes=tuple(notes))


def _of_run(
    folder: str,
    files: tuple[Dropped, ...],
    order: BlobFacts,
    template: OrderTemplate,
    facts: BlobFacts,
    blobs: BlobStore,
) -> LandingFolder:
    from shared.formats.sample_sheet import read_sheet

    try:
        data = _read(facts, blobs, "a sample sheet")
    except PermanentError as error:
        return LandingFolder(folder, files, refusals=(_too_large(folder, facts, error),))
    try:
        sheet = read_sheet(data, facts.ref.name)
    except PermanentError as error:
        return LandingFolder(folder, files, refusals=(_refusal(folder, (), data, error),))
    drop = RunDrop(
        folder=folder,
        sheet=facts.ref.name,
        arrived=max(order.modified, facts.modified),
        upload=digest([order.etag, facts.etag]),
        names=tuple(file.name for file in files),
    )
    requests, faults = requests_of(drop, sheet, template)
    refusals = []
    for fault in faults:
        message = fault_text(facts.ref.name, fault)
        sample = fault.sample if is_sample_name(fault.sample) else folder
        refusals.append(Refusal(sample, message, AnalysisId(digest([folder, fault.sample, message])[:24])))
    return LandingFolder(folder, files, requests, tuple(refusals), notes=sheet.notes)


def _read(facts: BlobFacts, blobs: BlobStore, what: str) -> bytes:
    if facts.size > MAX_ORDER_BYTES:
        raise PermanentError(
            f"{facts.ref} has {facts.size:,} bytes; {what} has at most {MAX_ORDER_BYTES:,}. Is it another file under "
            f"this name? Upload {what}; docs/order.schema.json and docs/ingest.md describe them."
        )
    return blobs.read(facts.ref)


def _too_large(folder: str, facts: BlobFacts, error: PermanentError) -> Refusal:
    return Refusal(folder, str(error), AnalysisId(digest([facts.ref.name, facts.content])[:24]))


def _refusal(folder: str, files: Sequence[Dropped], data: bytes, error: PermanentError) -> Refusal:
    return Refusal(folder, str(error), refusal_id(data.hex(), files))


def refusal_id(order: str, files: Sequence[Dropped]) -> AnalysisId:
    """The id of a refusal, from the order's text and the files it was about."""
    return AnalysisId(digest([order, sorted([file.name, file.content] for file in files)])[:24])


def _without_order(folder: str, files: Sequence[Dropped]) -> str:
    names = [file.name for file in files]
    try:
        missing = [name.rpartition("/")[2] for name in pair_up(folder, names).missing]
        mates = f" Mates missing: {', '.join(missing)}." if missing else ""
    except PermanentError as error:
        mates = f" They cannot be paired: {error}"  # what is wrong with the names can be mended before the order comes
    return (
        f"{len(names)} FASTQ files are there, {naming.order_blob(folder)} is not. "
        f"The analysis starts when the order is uploaded.{mates}"
    )


def _without_template(folder: str, sheet: BlobFacts) -> str:
    return (
        f"{sheet.ref} is there, {naming.order_blob(folder)} is not. Upload an order.json with what the sheet does not "
        "say of its samples (`patient_system`, `test`, `reference`), or with {} when its columns say all; or the order "
        "of one sample."
    )


def _without_sheet(folder: str) -> str:
    return (
        f"{naming.order_blob(folder)} names no sample. For a run, upload landing/{folder}/samplesheet.csv (or the "
        "SampleSheet.csv of the run) too; for one sample, upload the order with `sample` and `patient`."
    )
