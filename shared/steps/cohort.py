"""Look at a cohort that was dropped, and freeze its plan when every sample has a delivered analysis."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from shared import naming
from shared.domain.cohort import CohortMember, CohortOrder, CohortPlan, CohortSettings, freeze_cohort
from shared.domain.fastq_names import is_fastq
from shared.domain.ids import AnalysisId, canonical_json, digest
from shared.domain.markers import Decision, FailedMarker
from shared.domain.order import faults_of
from shared.domain.plan import Plan
from shared.domain.reads import is_sample_name
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.naming import Container
from shared.ports import BlobFacts, BlobStore, Services
from shared.steps.landing import MAX_ORDER_BYTES
from shared.steps.look import read_facts

_READERS = 16
"""Samples looked at once: each is a few requests of some milliseconds."""


@dataclass(frozen=True, slots=True)
class CohortDrop:
    """What a `cohort.json` amounts to.

    Attributes:
        cohort: Name of the folder.
        samples: Those that it names; empty when it cannot be read.
        plan: The plan, when every sample has a delivered analysis.
        waiting: One sentence on what is missing; empty when nothing is.
        missing: Samples that are waited for.
        refused: Why they cannot be genotyped together; empty when they can.
        refused_id: Id under which the refusal is filed.
        is_news: This look began the joining or filed the refusal.
    """

    cohort: str
    samples: tuple[str, ...] = ()
    plan: CohortPlan | None = None
    waiting: str = ""
    missing: tuple[str, ...] = ()
    refused: str = ""
    refused_id: AnalysisId | None = None
    is_news: bool = False


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A sample's analysis, and when it was delivered."""

    plan: Plan
    delivered: datetime


def start_cohort(
    cohort: str,
    services: Services,
    settings: CohortSettings,
    piece_bp: int,
    tell_refusal: Callable[[AnalysisId], None],
) -> CohortDrop | None:
    """Start the joining of a cohort whose samples are all delivered; file a refusal of one that never can be joined.

    Safe to repeat. A cohort that waits is put on the index of what it waits for, so that the delivery of a sample
    finds it.

    Args:
        cohort: Name of the landing folder.
        services: The outside world.
        settings: For the plan.
        piece_bp: For the plan.
        tell_refusal: Tells subscribers of a refusal, before it is filed.

    Returns:
        What it amounts to; None when there is no `cohort.json`.
    """
    drop = look_at_cohort(cohort, services.blobs, settings, piece_bp, freeze=True)
    if drop is None:
        return None
    created = [services.blobs.create(naming.waiting_entry(sample, cohort), b"") for sample in drop.missing]
    if any(created):
        # A sample that was delivered between the look and the entry found no entry: look once more.
        drop = look_at_cohort(cohort, services.blobs, settings, piece_bp, freeze=True) or drop
    if drop.plan is not None:
        return replace(drop, is_news=_begin(drop.plan, services.blobs))
    if drop.refused_id is not None:
        return replace(drop, is_news=_refuse(drop, drop.refused_id, services, tell_refusal))
    return drop


def _begin(plan: CohortPlan, blobs: BlobStore) -> bool:
    ref = naming.cohort_plan_blob(plan.analysis)
    if blobs.facts(ref) is not None:
        return False
    # The index entries first: a cohort that has a plan is always found by the timer and by the status page.
    blobs.create(naming.cohort_entry(plan.cohort, plan.analysis), b"")
    blobs.create(naming.open_entry(plan.analysis), plan.cohort.encode())
    return blobs.create(ref, plan.to_json())


def _refuse(
    drop: CohortDrop, refused_id: AnalysisId, services: Services, tell_refusal: Callable[[AnalysisId], None]
) -> bool:
    ref = naming.result_marker(drop.cohort, refused_id, Stage.FAILED)
    if services.blobs.facts(ref) is not None:
        return False
    tell_refusal(refused_id)
    marker = FailedMarker(
        analysis=refused_id, sample=drop.cohort, work="ingest", message=drop.refused, failed=services.clock()
    )
    return services.blobs.create(ref, marker.to_json())


def look_at_cohort(
    cohort: str, blobs: BlobStore, settings: CohortSettings, piece_bp: int, *, freeze: bool = False
) -> CohortDrop | None:
    """What a cohort's folder amounts to; None when there is no `cohort.json` in it.

    Which analyses are joined is written down once per upload, when all are there: later deliveries change nothing.

    Args:
        cohort: Name of the landing folder.
        blobs: The data account.
        settings: For the plan.
        piece_bp: For the plan.
        freeze: Write the choice down; without it nothing is written.
    """
    found = blobs.facts(naming.cohort_blob(cohort))
    if found is None:
        return None
    drop = CohortDrop(cohort)
    data = b""
    try:
        data = _read(found, blobs)
        order = parse_cohort(data, found.ref.name)
        drop = replace(drop, samples=tuple(member.sample for member in order.samples))
        choice = naming.cohort_choice(cohort, digest([data.hex(), found.etag])[:24])
        frozen = blobs.find(choice)
        if frozen is not None:
            return replace(drop, plan=CohortPlan.model_validate_json(frozen))
        _check_folder(cohort, order, blobs)
        with ThreadPoolExecutor(_READERS) as pool:
            chosen = list(pool.map(lambda member: _choose(member, blobs), order.samples))
        there = [one for one in chosen if isinstance(one, _Chosen)]
        missing = tuple(name for name, one in zip(drop.samples, chosen, strict=True) if not isinstance(one, _Chosen))
        if missing:
            return replace(drop, waiting=_waits(missing, len(chosen)), missing=missing)
        plan = freeze_cohort(
            cohort,
            {one.plan.sample: one.plan for one in there},
            max(found.modified, *(one.delivered for one in there)),
            settings,
            piece_bp,
            order.reference,
        )
    except PermanentError as error:
        refused_id = AnalysisId(digest([cohort, data.hex(), str(error)])[:24])
        return replace(drop, refused=str(error), refused_id=refused_id)
    if freeze and not blobs.create(choice, plan.to_json()):
        plan = CohortPlan.model_validate_json(blobs.read(choice))  # another look was first, and saw what it saw
    return replace(drop, plan=plan)


def _waits(missing: tuple[str, ...], total: int) -> str:
    return (
        f"{len(missing)} of {total} samples have no delivered analysis yet: {', '.join(missing)}. "
        "The cohort is joined when they have one."
    )


def _read(facts: BlobFacts, blobs: BlobStore) -> bytes:
    if facts.size > MAX_ORDER_BYTES:
        raise PermanentError(
            f"{facts.ref} has {facts.size:,} bytes; a cohort has at most {MAX_ORDER_BYTES:,}. Is it another file under "
            "this name? docs/cohorts.md describes it."
        )
    return blobs.read(facts.ref)


def parse_cohort(data: bytes, blob_name: str) -> CohortOrder:
    """Read a `cohort.json`.

    Raises:
        PermanentError: Naming the blob, each field that is wrong, and why.
    """
    again = "Correct it and upload it again; docs/cohorts.md describes it."
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"landing/{blob_name} is not JSON in UTF-8. {again}") from error
    try:
        order = CohortOrder.model_validate(value)
    except ValidationError as error:
        raise PermanentError(f"landing/{blob_name} is not a valid cohort: {faults_of(error)}. {again}") from error
    folder = blob_name.rpartition("/")[0]
    if not is_sample_name(folder):
        raise PermanentError(
            f"landing/{blob_name}: the folder's name is the cohort's and must be 1 to 64 letters, digits, dots, dashes "
            "or underscores, the first a letter or digit. Upload it into a folder of such a name."
        )
    if order.cohort not in {None, folder}:
        raise PermanentError(
            f"landing/{blob_name} is cohort {order.cohort} but lies in the folder {folder}. Put it into the folder of "
            "its name, or correct `cohort`."
        )
    return order


def _check_folder(cohort: str, order: CohortOrder, blobs: BlobStore) -> None:
    """Refuse a cohort whose results would lie among those of a sample.

    Raises:
        PermanentError: Naming what is in the way.
    """
    if cohort in {member.sample for member in order.samples}:
        raise PermanentError(
            f"landing/{cohort}/cohort.json has the name of one of its samples. Upload it into a folder of another name."
        )
    names = (facts.ref.name for facts in blobs.list(Container.LANDING, naming.landing_prefix(cohort)))
    other = next((name for name in names if is_fastq(name) or name == naming.order_blob(cohort).name), None)
    if other is not None:
        raise PermanentError(
            f"landing/{cohort}/ holds a sample's drop too (landing/{other}). Upload cohort.json into a folder of "
            "its own."
        )


def _choose(member: CohortMember, blobs: BlobStore) -> _Chosen | None:
    """A sample's analysis; None when it is not delivered yet.

    Raises:
        PermanentError: When the named one never can be taken.
    """
    if member.analysis is not None:
        return _named(member.sample, AnalysisId(member.analysis), blobs)
    delivered = []
    for facts in blobs.list(Container.RESULTS, naming.sample_folder(member.sample)):
        marker = naming.parse_marker(facts.ref.container, facts.ref.name)
        if marker is not None and marker.stage is Stage.DELIVERED:
            delivered.append((facts.modified, marker.analysis))
    if not delivered:
        return None
    modified, analysis = max(delivered)
    return _Chosen(Plan.model_validate_json(blobs.read(naming.plan_blob(analysis))), modified)


def _named(sample: str, analysis: AnalysisId, blobs: BlobStore) -> _Chosen | None:
    data = blobs.find(naming.plan_blob(analysis))
    if data is None:
        raise PermanentError(
            f"The cohort names analysis {analysis} of sample {sample}, which there is not. GET /api/analyses lists "
            "them; leave `analysis` out for the newest delivered one."
        )
    plan = Plan.model_validate_json(data)
    if plan.sample != sample:
        raise PermanentError(
            f"The cohort names analysis {analysis} of sample {sample}, but it is of sample {plan.sample}. Correct "
            "`analysis` or `sample`."
        )
    delivered = blobs.facts(naming.result_marker(sample, analysis, Stage.DELIVERED))
    if delivered is not None:
        return _Chosen(plan, delivered.modified)
    facts = read_facts(plan, blobs)
    results, is_released = facts.results, facts.decision is Decision.RELEASED
    for stage, word in (
        (Stage.FAILED, "has failed"),
        (Stage.REJECTED, "was rejected"),
        (Stage.HELD, "is held"),
    ):
        if stage in results and not (stage is Stage.HELD and is_released):
            raise PermanentError(
                f"The cohort names analysis {analysis} of sample {sample}, which {word}. Name a delivered analysis, or "
                "leave `analysis` out for the newest delivered one."
            )
    return None


def take_cohort(data: bytes, services: Services, *, replace_it: bool = False) -> tuple[str, bool]:
    """File a cohort that came over HTTP as `landing/{cohort}/cohort.json`; that blob's event does the rest.

    Args:
        data: The body: as the file, with `cohort`.
        services: The outside world.
        replace_it: Upload it whatever lies there: to join the newest analyses of now.

    Returns:
        The name of the cohort, and whether this call wrote it.

    Raises:
        CohortConflictError: When another cohort lies there.
        PermanentError: When it is not valid.
    """
    if len(data) > MAX_ORDER_BYTES:
        raise PermanentError(f"The cohort has {len(data):,} bytes; a cohort has at most {MAX_ORDER_BYTES:,}.")
    try:
        order = CohortOrder.model_validate_json(data)
    except ValidationError as error:
        raise PermanentError(f"The cohort is not valid: {faults_of(error)}. docs/cohorts.md describes it.") from error
    if order.cohort is None:
        raise PermanentError("The cohort is not valid: `cohort` is missing; it names the cohort and its folder.")
    ref = naming.cohort_blob(order.cohort)
    _check_folder(order.cohort, order, services.blobs)
    body = canonical_json(order.model_dump(mode="json", exclude_none=True))
    if services.blobs.create(ref, body):
        return order.cohort, True
    if replace_it:
        with services.blobs.writer(ref) as stream:
            stream.write(body)
        return order.cohort, True
    if _is_same(services.blobs.find(ref), order, ref.name):
        return order.cohort, False
    raise CohortConflictError(
        f"{ref} is there and is another cohort. Send it with `?replace=true` to replace that one, or give it another "
        "name."
    )


class CohortConflictError(PermanentError):
    """Another cohort lies in the folder."""


def _is_same(data: bytes | None, order: CohortOrder, name: str) -> bool:
    if data is None:
        return False
    try:
        there = parse_cohort(data, name)
    except PermanentError:
        return False
    return there.model_copy(update={"cohort": order.cohort}) == order
