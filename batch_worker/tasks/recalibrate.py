"""Count one shard's bases for the recalibration of base qualities."""

from pathlib import Path

from batch_worker.engine.gatk import recalibrate_shard
from batch_worker.engine.gatk_tools import find_gatk
from batch_worker.task import TaskContext
from batch_worker.tasks.call import fetch_parts
from shared import naming
from shared.domain.ledger import balance
from shared.domain.markers import RecalibratedMarker
from shared.domain.plan import Plan
from shared.domain.reference import Role
from shared.steps.look import read_aligned
from shared.steps.meter import Meter
from shared.steps.reference_cache import RECALIBRATION, fetch_bundle
from shared.steps.versions import engine_versions


def recalibrate(plan: Plan, shard: int, context: TaskContext, scratch: Path) -> None:
    """Fetch a shard's parts, run BaseRecalibrator, upload its table, leave `recalibrated/{shard}.json`."""
    meter = Meter(context.clock, whole_process=True)
    gatk = find_gatk(context.gatk_home)
    blobs = context.blobs
    manifest, folder = fetch_bundle(
        plan.reference.name, plan.reference.manifest_sha256, RECALIBRATION, blobs, context.cache
    )
    aligned = read_aligned(plan, blobs)
    summary = recalibrate_shard(
        fetch_parts(aligned, shard, context, scratch),
        shard=plan.shards[shard],
        reference=folder / manifest.one(Role.FASTA).path,
        known_sites=[folder / file.path for file in manifest.of(Role.KNOWN_SITES)],
        halo_bp=plan.settings.halo_bp,
        gatk=gatk,
        out_dir=scratch / "recalibrated",
        log=scratch / "recalibration.log",
    )
    owned = sum(part.owned for marker in aligned.values() for part in marker.parts if part.shard == shard)
    balance("alignments", owned, f"the parts of shard {shard}", summary.records, "what was recalibrated")
    marker = RecalibratedMarker(
        analysis=plan.analysis,
        shard=shard,
        records=summary.records,
        outputs=(blobs.upload(naming.recalibration_table(plan.analysis, shard), summary.table),),
        tools=engine_versions() | {"GATK": gatk.version},
        **meter.read(),
    )
    blobs.create(naming.recalibrated_marker(plan.analysis, shard), marker.to_json())
