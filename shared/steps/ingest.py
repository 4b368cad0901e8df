"""Look at a sample's landing folder and start its analysis when the drop is complete."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from shared import naming
from shared.domain.ids import AnalysisId, canonical_json, digest
from shared.domain.intake import Dropped, Waiting, inspect_drop, names_at_arrival
from shared.domain.markers import FailedMarker
from shared.domain.order import Order, parse_order
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reads import is_fastq, pair_up
from shared.domain.reference import ReferenceManifest, Role
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.naming import Container
from shared.ports import BlobFacts, Services
from shared.steps.known_fingerprint import named_fingerprint, with_fingerprint
from shared.steps.targets import FrozenTargets, find_targets, read_definition

MAX_ORDER_BYTES = 1024**2
"""A thousand times a usual order; whatever is larger is not read into memory."""


@dataclass(frozen=True, slots=True)
class Drop:
    """What a sample's folder amounts to.

    Attributes:
        plan: The plan of the analysis that the drop is, when it is complete.
        waiting: One sentence on what is missing; empty when nothing is.
        missing: Blob names that are waited for.
        refused: Why the drop cannot be analysed; empty when it can.
        refused_id: Id under which the refusal is filed.
        files: Blob names of the FASTQ files in the folder.
        is_news: This look began the analysis or filed the refusal.
        targets: What the plan's analysis is limited to; None for the whole genome.
    """

    sample: str
    plan: Plan | None = None
    waiting: str = ""
    missing: tuple[str, ...] = ()
    refused: str = ""
    refused_id: AnalysisId | None = None
    files: tuple[str, ...] = ()
    is_news: bool = False
    targets: FrozenTargets | None = None


def ingest(
    sample: str,
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    tell_refusal: Callable[[AnalysisId], None],
) -> Drop:
    """Start the analysis of a sample's drop when it is complete, and file a refusal when it never can be.

    Safe to repeat: the same drop is the same analysis, and a refusal that is filed is not told again.

    Args:
        sample: Name of the folder.
        services: The outside world.
        settings: For the plan.
        layout: For the plan.
        tell_refusal: Tells subscribers of a refused drop. It is called before the refusal is filed, so that a notice
            which could not be sent is sent when the drop is looked at again.
    """
    drop = look_at_drop(sample, services, settings, layout, freeze=True)
    is_news = False
    if drop.plan is not None:
        plan = drop.plan
        if services.blobs.facts(naming.plan_blob(plan.analysis)) is None:
            # The index entry first: an analysis that has a plan is always found by the timer.
            services.blobs.create(naming.open_entry(plan.analysis), sample.encode())
            if drop.targets is not None:
                drop.targets.write(plan, services.blobs)
            is_news = services.blobs.create(naming.plan_blob(plan.analysis), plan.to_json())
    elif drop.refused_id is not None:
        ref = naming.result_marker(sample, drop.refused_id, Stage.FAILED)
        if services.blobs.facts(ref) is None:
            tell_refusal(drop.refused_id)
            marker = FailedMarker(
                analysis=drop.refused_id,
                sample=sample,
                work="ingest",
                message=drop.refused,
                failed=services.clock(),
            )
            is_news = services.blobs.create(ref, marker.to_json())
    return replace(drop, is_news=is_news)


def look_at_drop(
    sample: str, services: Services, settings: ResultSettings, layout: Layout, *, freeze: bool = False
) -> Drop:
    """Decide what a sample's folder amounts to; the status page and `ingest` share it.

    Args:
        sample: Name of the folder.
        services: The outside world.
        settings: For the plan.
        layout: For the plan.
        freeze: Write down which files an order that names none is for, when it is first seen.
    """
    listing = [
        facts
        for facts in services.blobs.list(Container.LANDING, naming.landing_folder(sample))
        if naming.landing_sample(facts.ref.name) == sample
    ]
    dropped = [
        Dropped(facts.ref.name, facts.size, facts.content, facts.modified, facts.tier)
        for facts in listing
        if is_fastq(facts.ref.name)
    ]
    files = tuple(file.name for file in dropped)
    order_facts = next((facts for facts in listing if facts.ref == naming.order_blob(sample)), None)
    if order_facts is None:
        return Drop(sample, waiting=_without_order(sample, files), files=files)
    if order_facts.size > MAX_ORDER_BYTES:
        return _without_readable_order(order_facts, files)
    data = services.blobs.read(order_facts.ref)
    try:
        order = parse_order(data, order_facts.ref.name)
        names, arrived = _names(order, data, order_facts, dropped, services, freeze=freeze)
        outcome = inspect_drop(order, arrived, names, dropped)
        if isinstance(outcome, Waiting):
            return Drop(sample, waiting=outcome.reason, missing=outcome.missing, files=files)
        known = named_fingerprint(order, listing)
        if isinstance(known, str):
            return Drop(sample, waiting=known, missing=(f"{sample}/{order.fingerprint}",), files=files)
        manifest = read_manifest(order.reference, services)
        check_caller(order, manifest)
        definition = read_definition(order, _upload(data, order_facts), services.blobs, freeze=freeze)
        contigs = tuple(entry.to_contig() for entry in manifest.contigs)
        targets = find_targets(order, definition, contigs, services.blobs)
        if isinstance(targets, Waiting):
            return Drop(sample, waiting=targets.reason, missing=targets.missing, files=files)
        plan = freeze_plan(
            order=order,
            received=outcome.received,
            read_groups=outcome.read_groups,
            manifest=manifest,
            settings=settings,
            layout=layout,
            targets=targets.targets if targets else None,
            limits=definition.qc if definition else {},
            fingerprint=known.content if known else None,
        )
        if freeze and services.blobs.facts(naming.plan_blob(plan.analysis)) is None:
            plan = with_fingerprint(plan, known, services.blobs)
    except PermanentError as error:
        deciding = {file.name: file.content for file in dropped}
        deciding |= {facts.ref.name: facts.content for facts in listing if facts.ref.name.endswith(".bed")}
        contents = sorted(deciding.items())
        refused = AnalysisId(digest([data.hex(), contents])[:24])
        return Drop(sample, refused=str(error), refused_id=refused, files=files)
    return Drop(sample, plan=plan, files=files, targets=targets)


def _without_readable_order(order: BlobFacts, files: tuple[str, ...]) -> Drop:
    refused = AnalysisId(digest([order.ref.name, order.content])[:24])
    message = (
        f"{order.ref} has {order.size:,} bytes; an order has at most {MAX_ORDER_BYTES:,}. Is it another file under "
        "this name? Upload the order; docs/order.schema.json describes it."
    )
    return Drop(order.ref.name.partition("/")[0], refused=message, refused_id=refused, files=files)


def _without_order(sample: str, files: tuple[str, ...]) -> str:
    try:
        missing = [name.rpartition("/")[2] for name in pair_up(sample, files).missing]
        mates = f" Mates missing: {', '.join(missing)}." if missing else ""
    except PermanentError as error:
        mates = f" They cannot be paired: {error}"  # what is wrong with the names can be mended before the order comes
    return (
        f"{len(files)} FASTQ files are there, {naming.order_blob(sample)} is not. "
        f"The analysis starts when the order is uploaded.{mates}"
    )


def _names(
    order: Order, data: bytes, facts: BlobFacts, dropped: list[Dropped], services: Services, *, freeze: bool
) -> tuple[tuple[str, ...], datetime]:
    """The files of an order and when it arrived, as they were when this upload of it was first seen.

    The same order uploaded again asks for what is in the folder then: the way out after files were renamed or a lane
    was added.
    """
    ref = naming.intake_blob(order.sample, _upload(data, facts))
    found = services.blobs.find(ref)
    if found is None:
        names = names_at_arrival(order, facts.modified, dropped, _known_names(order.sample, services))
        if not names or not freeze:
            return names, facts.modified
        services.blobs.create(ref, canonical_json({"files": list(names), "arrived": facts.modified.isoformat()}))
        found = services.blobs.read(ref)
    record = json.loads(found)
    return tuple(record["files"]), datetime.fromisoformat(record["arrived"])


def _upload(data: bytes, facts: BlobFacts) -> str:
    """Digest that tells uploads of orders apart."""
    return digest([data.hex(), facts.etag])[:24]


def _known_names(sample: str, services: Services) -> set[str]:
    """The files of earlier uploads of the sample's orders."""
    folder = naming.intake_folder(sample)
    records = [services.blobs.read(facts.ref) for facts in services.blobs.list(Container.WORK, folder)]
    return {name for record in records for name in json.loads(record)["files"]}


def check_caller(order: Order, manifest: ReferenceManifest) -> None:
    """Refuse an order whose caller needs what its reference bundle lacks."""
    if order.options.recalibrates and not manifest.of(Role.KNOWN_SITES):
        raise PermanentError(
            f"The order asks for `caller: gatk` with base quality recalibration, but reference bundle "
            f"'{order.reference}' has no known sites. Make a bundle with `./run reference make --known-sites` and name "
            "it in `reference`, or set `recalibrate` to false in the order's options; then upload the order again."
        )


def read_manifest(name: str, services: Services) -> ReferenceManifest:
    """The manifest of an installed reference bundle.

    Raises:
        PermanentError: When it is not installed, naming those that are, or cannot be read.
    """
    data = services.blobs.find(naming.manifest_blob(name))
    if data is None:
        folders = (folder.rstrip("/") for folder in services.blobs.folders(Container.REFERENCE, ""))
        installed = ", ".join(folder for folder in folders if folder != naming.TESTS_FOLDER)
        raise PermanentError(
            f"Reference bundle '{name}' is not installed (installed: {installed or 'none'}). Correct `reference` in "
            "the order, or install the bundle with `./run reference install` and upload the order again."
        )
    try:
        return ReferenceManifest.model_validate_json(data)
    except ValidationError as error:
        raise PermanentError(
            f"{naming.manifest_blob(name)} is no valid manifest ({error.error_count()} faults). "
            "Install the bundle again with `./run reference install`."
        ) from error
