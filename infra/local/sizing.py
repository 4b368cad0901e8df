"""How to cut work up on one machine: enough pieces to keep its cores busy, few enough that starting them is cheap."""

import math
from collections.abc import Sequence
from pathlib import Path

from shared.domain.plan import Layout, ResultSettings

COMPRESSED_BYTES_PER_PAIR = 100
"""Of a 2x150 pair's two records in gzip, roughly; only the number of chunks depends on it."""

LARGEST_CHUNK_PAIRS = 400_000
"""About 2 GiB of memory for an align task."""

SMALL_SHARD_BP = 5_000_000
"""Calling less than this takes seconds: a second round of tasks then costs more in starts than it evens out."""


def settings_for(genome_bp: int, fastqs: Sequence[Path], slots: int) -> dict[str, str]:
    """App settings that cut a drop into about one piece per slot and stage, at most as large as one task can hold.

    A genome whose calling takes longer than moments is cut into two pieces per slot, which evens out the slots' ends.

    Args:
        genome_bp: Length of the reference.
        fastqs: The sample's files.
        slots: Tasks that run at once.
    """
    batch = ResultSettings().batch_pairs
    pairs = sum(path.stat().st_size for path in fastqs) // COMPRESSED_BYTES_PER_PAIR
    chunk = min(LARGEST_CHUNK_PAIRS, max(batch, math.ceil(pairs / slots / batch) * batch))
    share = math.ceil(genome_bp / slots)
    shard = min(Layout().shard_bp, max(100_000, share if share < 2 * SMALL_SHARD_BP else math.ceil(share / 2)))
    return {"CHUNK_PAIRS": str(chunk), "SHARD_BP": str(shard)}
