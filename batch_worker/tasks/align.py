"""Align one chunk and upload its part of every shard."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batch_worker.checked_stream import checked_stream
from batch_worker.engine.align import AlignedPart, align_chunk
from batch_worker.engine.header import SamReadGroup
from batch_worker.engine.shared_index import index_prefix
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.ledger import balance
from shared.domain.markers import AlignedMarker, ChunkMarker, ShardPart
from shared.domain.plan import Plan
from shared.domain.reads import ReadGroup
from shared.domain.reference import Role
from shared.domain.work import ChunkKey
from shared.ports import BlobStore
from shared.steps.chunk_reads import open_in_landing
from shared.steps.meter import Meter
from shared.steps.reference_cache import ALIGNMENT, fetch_bundle
from shared.steps.targets import read_targets
from shared.steps.versions import engine_versions

UPLOADS = 8
"""Parts uploaded at once: they are small, so the time goes into waiting."""


def _sam_read_group(sample: str, group: ReadGroup) -> SamReadGroup:
    """The @RG line's fields of a read group."""
    return SamReadGroup(group.id, sample, group.library, group.platform, group.platform_unit, group.model)


def align(plan: Plan, chunk: ChunkKey, context: TaskContext, scratch: Path) -> None:
    """Align a chunk while it is fetched, upload a BAM part per shard, leave `aligned/{rg}/{n}.json`."""
    meter = Meter(context.clock, whole_process=True)
    blobs = context.blobs
    manifest, folder = fetch_bundle(
        plan.reference.name, plan.reference.manifest_sha256, ALIGNMENT, blobs, context.cache
    )
    source = ChunkMarker.model_validate_json(blobs.read(naming.chunk_marker(plan.analysis, chunk)))
    group = plan.read_group(chunk.read_group)
    chatter = scratch / "aligner.log"

    def upload(part: AlignedPart) -> ShardPart:
        output = blobs.upload(naming.aligned_part(plan.analysis, chunk, part.shard), part.path)
        part.path.unlink()
        return ShardPart(shard=part.shard, output=output, owned=part.owned, owned_primary=part.owned_primary)

    # Reads come in while the first are aligned, and parts go out while the next are cut: no marker is written before
    # the stream has proved whole and every upload is done.
    uploads: list[Future[ShardPart]] = []
    with (
        index_prefix(
            folder / manifest.one(Role.FASTA).path, manifest.sha256[:16], scratch, chatter, share=context.share_index
        ) as prefix,
        ThreadPoolExecutor(UPLOADS) as pool,
        _reads(plan, source, blobs) as reads,
    ):
        summary = align_chunk(
            reads,
            index_prefix=prefix,
            read_group=_sam_read_group(plan.sample, group),
            shards=plan.shards,
            halo_bp=plan.settings.halo_bp,
            batch_pairs=plan.settings.batch_pairs,
            threads=context.threads,
            out_dir=scratch / "parts",
            log=chatter,
            single_end=group.is_single_end,
            places=plan.karyotype.counted(read_targets(plan, blobs)),
            on_part=lambda part: uploads.append(pool.submit(upload, part)),
        )
    balance(group.unit, source.pairs, f"chunk {chunk.read_group}/{chunk.number}", summary.pairs, "its alignment")
    parts = tuple(done.result() for done in uploads)
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
        metrics={**summary.metrics.counts(), "unplaced": summary.unplaced, **summary.counted},
        insert_sizes=summary.metrics.histogram(),
        **meter.read(),
    )
    blobs.create(naming.aligned_marker(plan.analysis, chunk), marker.to_json())


@contextmanager
def _reads(plan: Plan, marker: ChunkMarker, blobs: BlobStore) -> Iterator[BinaryIO]:
    """A chunk's reads while they come in: from the dropped files, or the chunk's copy of them."""
    place = open_in_landing(plan, marker, blobs) if marker.is_in_landing else checked_stream(blobs, marker.outputs[0])
    with place as reads:
        yield reads
