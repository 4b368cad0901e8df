"""What a test of the laboratory's catalogue asks of an analysis: `reference/tests/{code}/definition.json`."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.domain.ids import Document
from shared.domain.thresholds import Limits

BedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.bed$")]

DEFAULT_PADDING_BP = 0


class TestDefinition(Document):
    """A test that orders refer to by its code; an order's own options go before it.

    Attributes:
        code: The test's code, as in the order.
        targets: BED file in the definition's folder; None for a whole genome.
        padding_bp: Added to both sides of each target, bp.
        qc: Limits that a sample must keep.
    """

    __test__ = False  # the word means something else to pytest

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    targets: BedName | None = None
    padding_bp: Annotated[int, Field(ge=0, le=10_000)] = DEFAULT_PADDING_BP
    qc: Annotated[Limits, Field(default_factory=dict)]
