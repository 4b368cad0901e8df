"""The targets of an analysis: found for an order, padded and merged, frozen with the plan, read back by its tasks."""

import hashlib
import re
from dataclasses import dataclass

from pydantic import ValidationError

from shared import naming
from shared.domain.genome import Contig
from shared.domain.intake import Request, Waiting
from shared.domain.intervals import Intervals, length_bp, merged, widened
from shared.domain.plan import Plan, Targets
from shared.domain.test_definition import DEFAULT_PADDING_BP, TestDefinition
from shared.errors import PermanentError, TransientError
from shared.formats.bed import MAX_BED_BYTES, bed_text, read_bed
from shared.naming import BlobRef
from shared.ports import BlobStore

_NO_DEFINITION = b"null"
_DEFINED_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class FrozenTargets:
    """Targets as an analysis keeps them.

    Attributes:
        bed: What `work/data/{analysis}/targets.bed` holds.
        targets: The same for the plan.
    """

    bed: bytes
    targets: Targets

    def write(self, plan: Plan, blobs: BlobStore) -> None:
        """Leave the BED for the analysis's tasks; before its plan."""
        blobs.create(naming.targets_data(plan.analysis), self.bed)


def read_definition(request: Request, blobs: BlobStore, *, freeze: bool) -> TestDefinition | None:
    """The definition of the ordered test as it was when this order's drop was first complete; None without one.

    Args:
        request: The order in its landing folder.
        blobs: Where definitions lie.
        freeze: Write down which definition holds, so that a later one does not make another analysis of the same drop.

    Raises:
        PermanentError: When the definition cannot be read.
    """
    code = request.order.test.code
    if not _DEFINED_CODE.fullmatch(code):
        return None
    pinned = naming.intake_definition(request.folder, request.order.sample, request.upload)
    data = blobs.find(pinned)
    if data is None:
        data = blobs.find(naming.definition_blob(code)) or _NO_DEFINITION
        if freeze:
            blobs.create(pinned, data)
            data = blobs.read(pinned)
    if data == _NO_DEFINITION:
        return None
    try:
        definition = TestDefinition.model_validate_json(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'definition'}: {e['msg']}" for e in error.errors())
        raise PermanentError(
            f"{naming.definition_blob(code)} is not a valid test definition: {faults}. Install it again with "
            "`./run panel install`, then upload the order again."
        ) from error
    if definition.code != code:
        raise PermanentError(
            f"{naming.definition_blob(code)} defines test '{definition.code}', not '{code}'. Install it again with "
            "`./run panel install`, then upload the order again."
        )
    return definition


def find_targets(
    request: Request, definition: TestDefinition | None, contigs: tuple[Contig, ...], blobs: BlobStore
) -> FrozenTargets | Waiting | None:
    """The targets of an order: its own, else those of its test; None for the whole genome.

    Raises:
        PermanentError: When the BED is wrong, or the definition names one that is not there.
    """
    order = request.order
    padding = order.options.padding_bp
    if padding is None:
        padding = definition.padding_bp if definition else DEFAULT_PADDING_BP
    if order.options.targets is not None:
        ref = naming.landing_blob(f"{request.folder}/{order.options.targets}")
        if blobs.facts(ref) is None:
            return Waiting((ref.name,), f"The order names targets that are missing: {order.options.targets}.")
        return _frozen(ref, padding, contigs, blobs)
    if definition is None or definition.targets is None:
        if order.options.padding_bp is not None:
            raise PermanentError(
                "The order gives `options.padding_bp`, but neither the order nor its test has targets to pad. Name a "
                "BED file in `options.targets`, or leave the padding out."
            )
        return None
    ref = naming.definition_targets(definition.code, definition.targets)
    if blobs.facts(ref) is None:
        raise PermanentError(
            f"The definition of test '{definition.code}' names {ref}, which is not there. Install the test again with "
            "`./run panel install`, then upload the order again."
        )
    return _frozen(ref, padding, contigs, blobs)


def _frozen(ref: BlobRef, padding_bp: int, contigs: tuple[Contig, ...], blobs: BlobStore) -> FrozenTargets:
    facts = blobs.facts(ref)
    if facts is not None and facts.size > MAX_BED_BYTES:
        raise PermanentError(
            f"{ref} has {facts.size:,} bytes; a BED file may have {MAX_BED_BYTES:,}. Leave out all columns but the "
            "first three, or merge its intervals."
        )
    intervals = prepare_targets(blobs.read(ref), str(ref), padding_bp, contigs)
    bed = bed_text(intervals)
    targets = Targets(
        source=str(ref),
        sha256=hashlib.sha256(bed).hexdigest(),
        padding_bp=padding_bp,
        intervals=len(intervals),
        length_bp=length_bp(intervals),
    )
    return FrozenTargets(bed, targets)


def prepare_targets(data: bytes, name: str, padding_bp: int, contigs: tuple[Contig, ...]) -> Intervals:
    """The intervals of a BED, padded and merged, in the reference's order."""
    return widened(read_bed(data, name, contigs), padding_bp, padding_bp, contigs)


def read_targets(plan: Plan, blobs: BlobStore) -> Intervals | None:
    """The targets that were frozen with a plan; None for the whole genome.

    Raises:
        TransientError: When the BED is not what the plan was frozen with.
    """
    if plan.targets is None:
        return None
    ref = naming.targets_data(plan.analysis)
    data = blobs.read(ref)
    if hashlib.sha256(data).hexdigest() != plan.targets.sha256:
        raise TransientError(f"{ref} is not the BED that the plan was frozen with ({len(data):,} bytes).")
    return merged(read_bed(data, str(ref), plan.contigs), plan.contigs)
