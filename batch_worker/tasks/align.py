"""Align one chunk and upload its part of every shard."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batch_worker.engine.align import AlignedPart, AlignSummary, align_chunk
from batch_worker.engine.header import SamReadGroup
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.ledger import balance
from shared.domain.markers import AlignedMarker, ChunkMarker, ShardPart
from shared.domain.plan import Plan
from shared.domain.reference import Role
from shared.domain.work import ChunkKey
from shared.ports import BlobStore
from shared.steps.chunk_reads import open_in_landing
from shared.steps.meter import Meter
from shared.steps.reference_cache import ALIGNMENT, fetch_bundle
from shared.steps.versions import engine_versions

UPLOADS = 8
"""Parts uploaded at once: they are small, so the time goes into waiting."""


def align(plan: Plan, chunk: ChunkKey, context: TaskContext, scratch: Path) -> None:
    """Fetch a chunk, align it, upload a BAM part per shard, leave `aligned/{rg}/{n}.json`."""
    meter = Meter(context.clock, whole_process=True)
    blobs = context.blobs
    manifest, folder = fetch_bundle(
        plan.reference.name, plan.reference.manifest_sha256, ALIGNMENT, blobs, context.cache
    )
    source = ChunkMarker.model_validate_json(blobs.read(naming.chunk_marker(plan.analysis, chunk)))
    group = plan.read_group(chunk.read_group)
    with _reads(plan, source, blobs, scratch) as reads:
        summary = align_chunk(
            reads,
            index_prefix=folder / manifest.one(Role.FASTA).path,
            read_group=SamReadGroup(group.id, plan.sample, group.library, "ILLUMINA", group.platform_unit),
            shards=plan.shards,
            halo_bp=plan.settings.halo_bp,
            batch_pairs=plan.settings.batch_pairs,
            threads=context.threads,
            out_dir=scratch / "parts",
            log=scratch / "aligner.log",
        )
    balance("read pairs", source.pairs, f"chunk {chunk.read_group}/{chunk.number}", summary.pairs, "its alignment")
    parts = _upload(plan, chunk, summary, context)
    marker = AlignedMarker(
        analysis=plan.analysis,
        read_group=chunk.read_group,
        number=chunk.number,
        pairs=summary.pairs,
        primary=summary.primary,
        records=summary.primary + summary.secondary + summary.supplementary,
        parts=parts,
        outputs=tuple(part.output for part in parts),
        tools=engine_versions(),
        metrics={
            "bases": summary.bases,
            "q30_bases": summary.q30_bases,
            "primary_mapped": summary.primary_mapped,
            "unplaced": summary.unplaced,
        },
        **meter.read(),
    )
    blobs.create(naming.aligned_marker(plan.analysis, chunk), marker.to_json())


@contextmanager
def _reads(plan: Plan, marker: ChunkMarker, blobs: BlobStore, scratch: Path) -> Iterator[Path | BinaryIO]:
    """A chunk's reads: from the dropped files, or the chunk's copy of them."""
    if marker.is_in_landing:
        with open_in_landing(plan, marker, blobs) as stream:
            yield stream
        return
    reads = scratch / "reads.fastq.gz"
    blobs.download(marker.outputs[0], reads)
    yield reads


def _upload(plan: Plan, chunk: ChunkKey, summary: AlignSummary, context: TaskContext) -> tuple[ShardPart, ...]:
    """Upload every shard's part; a shard that the chunk has no record for gets a header."""

    def upload(part: AlignedPart) -> ShardPart:
        output = context.blobs.upload(naming.aligned_part(plan.analysis, chunk, part.shard), part.path)
        return ShardPart(shard=part.shard, output=output, owned=part.owned, owned_primary=part.owned_primary)

    with ThreadPoolExecutor(UPLOADS) as pool:
        return tuple(pool.map(upload, summary.parts))
