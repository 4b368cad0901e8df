"""Look at a landing folder and start the analyses of the drops in it that are complete."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from shared import naming
from shared.domain.fastq_names import is_fastq
from shared.domain.ids import AnalysisId, canonical_json
from shared.domain.intake import (
    Complete,
    Dropped,
    Request,
    Waiting,
    inspect_drop,
    left_out,
    located,
    names_at_arrival,
)
from shared.domain.markers import FailedMarker
from shared.domain.order import LateFiles
from shared.domain.plan import Layout, Plan, ResultSettings, analysis_id, freeze_plan
from shared.domain.reads import ReadGroup, make_read_groups
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.naming import Container
from shared.ports import Services
from shared.steps.basis import Basis, find_basis
from shared.steps.known_fingerprint import with_fingerprint
from shared.steps.landing import LandingFolder, Refusal, read_folder, refusal_id
from shared.steps.targets import FrozenTargets


@dataclass(frozen=True, slots=True)
class Drop:
    """What a sample's part of a landing folder amounts to.

    Attributes:
        sample: The sample; the folder's name when no order tells it.
        folder: The landing folder.
        plan: The plan of the analysis that the drop is, when it is complete.
        waiting: One sentence on what is missing; empty when nothing is.
        missing: Blob names that are waited for.
        refused: Why the drop cannot be analysed; empty when it can.
        refused_id: Id under which the refusal is filed.
        files: Blob names of the FASTQ files of the drop.
        notes: What was left out, and why.
        is_news: This look began the analysis or filed the refusal.
        targets: What the plan's targets are, to be left for its tasks.
    """

    sample: str
    folder: str
    plan: Plan | None = None
    waiting: str = ""
    missing: tuple[str, ...] = ()
    refused: str = ""
    refused_id: AnalysisId | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_news: bool = False
    targets: FrozenTargets | None = None


def ingest(
    folder: str,
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    tell_refusal: Callable[[AnalysisId], None],
    about: str | None = None,
) -> tuple[Drop, ...]:
    """Start the analyses of a folder's drops that are complete, and file a refusal of each that never can be.

    Safe to repeat: the same drop is the same analysis, and a refusal that is filed is not told again. What goes wrong
    with one sample is raised when the others were looked at.

    Args:
        folder: The landing folder.
        services: The outside world.
        settings: For the plans.
        layout: For the plans.
        tell_refusal: Tells subscribers of a refused drop. It is called before the refusal is filed, so that a notice
            which could not be sent is sent when the drop is looked at again.
        about: Name of the blob that was written: samples of a run that it does not concern are not looked at.
    """
    found = read_folder(folder, services.blobs)
    drops = []
    errors: list[Exception] = []
    for look in _looks(found, services, settings, layout, freeze=True, about=about):
        try:
            drop = look()
            drops.append(replace(drop, is_news=_begin(drop, services) or _refuse(drop, services, tell_refusal)))
        except Exception as error:  # noqa: BLE001 - raised below: one sample does not keep the others waiting
            errors.append(error)
    if errors:
        raise errors[0]
    return tuple(drops)


def look_at_folder(folder: str, services: Services, settings: ResultSettings, layout: Layout) -> tuple[Drop, ...]:
    """What a folder's drops amount to, without writing anything: for the status page."""
    found = read_folder(folder, services.blobs)
    return tuple(look() for look in _looks(found, services, settings, layout, freeze=False))


def _begin(drop: Drop, services: Services) -> bool:
    """Start the analysis of a complete drop; whether this call did."""
    plan = drop.plan
    if plan is None or services.blobs.facts(naming.plan_blob(plan.analysis)) is not None:
        return False
    # The index entries first: an analysis that has a plan is always found by the timer and by what follows it.
    received = canonical_json({"received": plan.received.isoformat()})
    services.blobs.create(naming.history_entry(drop.folder, drop.sample, plan.analysis), received)
    services.blobs.create(naming.open_entry(plan.analysis), drop.folder.encode())
    if drop.targets is not None:
        drop.targets.write(plan, services.blobs)
    return services.blobs.create(naming.plan_blob(plan.analysis), plan.to_json())


def _refuse(drop: Drop, services: Services, tell_refusal: Callable[[AnalysisId], None]) -> bool:
    """File the refusal of a drop; whether this call did."""
    if drop.refused_id is None:
        return False
    ref = naming.result_marker(drop.sample, drop.refused_id, Stage.FAILED)
    if services.blobs.facts(ref) is not None:
        return False
    tell_refusal(drop.refused_id)
    marker = FailedMarker(
        analysis=drop.refused_id, sample=drop.sample, work="ingest", message=drop.refused, failed=services.clock()
    )
    return services.blobs.create(ref, marker.to_json())


def _looks(
    found: LandingFolder,
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    *,
    freeze: bool,
    about: str | None = None,
) -> Iterator[Callable[[], Drop]]:
    """What is to be looked at in a folder, one call per sample.

    Args:
        found: The folder.
        services: The outside world.
        settings: For the plans.
        layout: For the plans.
        freeze: Write down which files an order that names none is for, when it is first seen.
        about: As for `ingest`.
    """
    files = tuple(file.name for file in found.files)
    for refusal in found.refusals:
        yield partial(_refused, found, refusal)
    for request in found.requests:
        if about is None or _concerns(request, about):
            yield partial(_look_at, request, found, services, settings, layout, freeze=freeze)
    if found.waiting:
        yield partial(Drop, found.name, found.name, waiting=found.waiting, files=files, notes=found.notes)


def _concerns(request: Request, name: str) -> bool:
    """Whether a blob that was written can change anything for a sample."""
    if not is_fastq(name):
        return True
    return name in (request.named or request.candidates)


def _refused(found: LandingFolder, refusal: Refusal) -> Drop:
    files = tuple(file.name for file in found.files) if refusal.sample == found.name else ()
    return Drop(refusal.sample, found.name, refused=refusal.message, refused_id=refusal.id, files=files)


def _look_at(
    request: Request,
    found: LandingFolder,
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    *,
    freeze: bool,
) -> Drop:
    sample = request.order.sample
    mine = set(request.named or request.candidates)
    dropped = [file for file in found.files if file.name in mine]
    drop = Drop(sample, found.name, files=tuple(file.name for file in dropped), notes=found.notes)
    try:
        names, arrived = _names(request, dropped, services, freeze=freeze)
        request = replace(request, arrived=arrived)
        names = located(request, names, dropped)
        drop = replace(drop, notes=(*drop.notes, *left_out(request, names, dropped)))
        outcome = inspect_drop(request, names, dropped)
        if isinstance(outcome, Waiting):
            return replace(drop, waiting=outcome.reason, missing=outcome.missing)
        basis = find_basis(request, services.blobs, freeze=freeze)
        if isinstance(basis, Waiting):
            return replace(drop, waiting=basis.reason, missing=basis.missing)
        plan = _plan(request, outcome, basis, services, settings, layout, freeze=freeze)
        return replace(drop, plan=plan, targets=basis.targets)
    except PermanentError as error:
        order = request.order.to_json().hex()
        return replace(drop, refused=str(error), refused_id=refusal_id(order, [*dropped, *found.beside]))


def _names(
    request: Request, dropped: list[Dropped], services: Services, *, freeze: bool
) -> tuple[tuple[str, ...], datetime]:
    """The files of an order and when it arrived, as they were when this upload of it was first seen.

    The same order uploaded again asks for what is in the folder then: the way out after files were renamed or a lane
    was added.
    """
    if request.pairs is not None:  # a sheet that names files and pairs leaves nothing to find out
        return names_at_arrival(request, dropped), request.arrived
    ref = naming.intake_blob(request.folder, request.order.sample, request.upload)
    found = services.blobs.find(ref)
    if found is None:
        names = names_at_arrival(request, dropped, _known_names(request, services))
        if not names or not freeze:
            return names, request.arrived
        services.blobs.create(ref, canonical_json({"files": list(names), "arrived": request.arrived.isoformat()}))
        found = services.blobs.read(ref)
    record = json.loads(found)
    return tuple(record["files"]), datetime.fromisoformat(record["arrived"])


def _known_names(request: Request, services: Services) -> set[str]:
    """The files of earlier uploads of the sample's orders."""
    prefix = naming.intake_prefix(request.folder, request.order.sample)
    records = [services.blobs.read(facts.ref) for facts in services.blobs.list(Container.WORK, prefix)]
    return {name for record in records for name in json.loads(record)["files"]}


def _plan(
    request: Request,
    complete: Complete,
    basis: Basis,
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    *,
    freeze: bool,
) -> Plan:
    """The plan of a complete drop: the one that was frozen, or a new one."""
    targets = basis.targets.targets if basis.targets else None
    limits = basis.definition.qc if basis.definition else {}
    fingerprint = basis.fingerprint.content if basis.fingerprint else None
    analysis = analysis_id(
        request.order,
        complete.inputs,
        basis.manifest,
        settings,
        targets=targets,
        limits=limits,
        fingerprint=fingerprint,
    )
    frozen = services.blobs.find(naming.plan_blob(analysis))
    if frozen is not None:
        return Plan.model_validate_json(frozen)
    complete.check_readable()
    plan = freeze_plan(
        order=request.order,
        received=complete.received,
        read_groups=_read_groups(request.order.sample, complete, services),
        manifest=basis.manifest,
        settings=settings,
        layout=layout,
        targets=targets,
        limits=limits,
        fingerprint=fingerprint,
        folder=request.folder,
        follows=_followed(request, analysis, complete, services),
    )
    return with_fingerprint(plan, basis.fingerprint, services.blobs) if freeze else plan


def _read_groups(sample: str, complete: Complete, services: Services) -> tuple[ReadGroup, ...]:
    """The read groups, with what the names of the first reads tell of the sequencer."""
    from shared.formats.read_names import HEAD_BYTES, origin_of_head

    origins = {}
    for pair in complete.pairs:
        head = services.blobs.head(naming.landing_blob(pair.r1), HEAD_BYTES, complete.files[pair.r1].content)
        origins[pair.r1] = origin_of_head(head)
    return make_read_groups(sample, complete.pairs, complete.files, origins)


def _followed(request: Request, analysis: AnalysisId, complete: Complete, services: Services) -> AnalysisId | None:
    """The latest analysis that the sample's drop was before; by the storage's own times, not by when it is looked at.

    Raises:
        PermanentError: When its files were others and the order wants no second analysis then.
    """
    earlier = []
    for entry in services.blobs.list(Container.WORK, naming.history_prefix(request.folder, request.order.sample)):
        before = naming.parse_history_entry(entry.ref.name)
        frozen = services.blobs.find(naming.plan_blob(before)) if before != analysis else None
        if frozen is None:  # its writer died before the plan, and the drop has changed since
            continue
        plan = Plan.model_validate_json(frozen)
        if (plan.received, plan.analysis) < (complete.received, analysis):
            earlier.append(plan)
    if request.order.late_files is LateFiles.REFUSE:
        files = {file for group in complete.inputs for file in group}
        for plan in earlier:
            if files != {file for group in plan.read_groups for file in group.files}:
                raise PermanentError(
                    f"The files of landing/{request.source} are not those with which analysis {plan.analysis} has "
                    "begun, and the order says `late_files: refuse`. Upload the order with `late_files: new-analysis` "
                    "to have them analysed; the new analysis then follows the old one."
                )
    return max(earlier, key=lambda plan: (plan.received, plan.analysis)).analysis if earlier else None
