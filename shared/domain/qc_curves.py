"""Curves that a quality page shows. Pure."""

from dataclasses import dataclass

Curve = tuple[tuple[float, float], ...]
"""Points by rising x."""


@dataclass(frozen=True, slots=True)
class ReadCurves:
    """What a page shows of `samtools stats`.

    Attributes:
        qualities: Mean base quality (Phred) by cycle, of R1 and R2.
        gc: Share of the reads by GC fraction in percent, of R1 and R2.
        insert_sizes: Pairs by fragment length, bp.
        depths: Positions by depth, reads.
    """

    qualities: tuple[Curve, Curve]
    gc: tuple[Curve, Curve]
    insert_sizes: Curve
    depths: Curve
