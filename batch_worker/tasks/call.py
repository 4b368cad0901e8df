"""Call one shard from its parts of all chunks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.karyotype import AUTOSOMAL_PLOIDY, ContigKind, kind_of
from shared.domain.ledger import balance
from shared.domain.markers import AlignedMarker, CalledMarker
from shared.domain.plan import Plan
from shared.domain.reference import Role
from shared.domain.work import ChunkKey
from shared.steps.look import read_aligned
from shared.steps.meter import Meter
from shared.steps.reference_cache import CALLING, fetch_bundle
from shared.steps.sex import SexFinding, decide_sex
from shared.steps.targets import read_targets
from shared.steps.versions import engine_versions

DOWNLOADS = 8
"""Parts fetched at once: they are small, so the time goes into waiting."""


def call(plan: Plan, shard: int, context: TaskContext, scratch: Path) -> None:
    """Fetch a shard's parts, call it, upload its BAM, VCF and GVCF, leave `called/{shard}.json`."""
    meter = Meter(context.clock, whole_process=True)
    blobs = context.blobs
    manifest, folder = fetch_bundle(plan.reference.name, plan.reference.manifest_sha256, CALLING, blobs, context.cache)
    aligned = read_aligned(plan, blobs)
    parts = _fetch_parts(aligned, shard, context, scratch)
    targets = read_targets(plan, blobs)
    sex = decide_sex(plan, aligned.values(), targets)
    piece = plan.shards[shard]
    summary = call_shard(
        parts,
        shard=piece,
        reference=folder / manifest.one(Role.FASTA).path,
        halo_bp=plan.settings.halo_bp,
        options=CallOptions(),
        out_dir=scratch / "called",
        log=scratch / "caller.log",
        regions=plan.karyotype.within(piece.intervals, sex.used),
        targets=targets,
        notes=_notes(plan, sex),
    )
    owned = sum(part.owned for marker in aligned.values() for part in marker.parts if part.shard == shard)
    balance("alignments", owned, f"the parts of shard {shard}", summary.records, "its BAM")
    outputs = tuple(
        blobs.upload(naming.called_data(plan.analysis, shard, suffix), path)
        for suffix, path in (("bam", summary.bam), ("vcf.gz", summary.vcf), ("g.vcf.gz", summary.gvcf))
    )
    marker = CalledMarker(
        analysis=plan.analysis,
        shard=shard,
        records=summary.records,
        primary=summary.primary,
        variants=summary.variants.variants,
        gvcf_records=summary.gvcf_records,
        outputs=outputs,
        tools=engine_versions(),
        metrics=_metrics(summary) | ({} if targets is None else {"on_target": summary.on_target}),
        **meter.read(),
    )
    blobs.create(naming.called_marker(plan.analysis, shard), marker.to_json())


def _fetch_parts(aligned: dict[ChunkKey, AlignedMarker], shard: int, context: TaskContext, scratch: Path) -> list[Path]:
    """The shard's part of every chunk, in the order (read group, chunk): it breaks ties of equal position."""
    folder = scratch / "parts"
    folder.mkdir()
    wanted = []
    for key in sorted(aligned):
        part = next(part for part in aligned[key].parts if part.shard == shard)
        wanted.append((part.output, folder / f"{key.read_group}-{key.number:05d}.bam"))
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        list(pool.map(lambda pair: context.blobs.download(*pair), wanted))
    return [path for _, path in wanted]


def _notes(plan: Plan, sex: SexFinding) -> list[str]:
    """Header lines that say what was called with how many copies, and where."""
    ploidies = ",".join(
        f"{one.contig}:{one.start + 1}-{one.end}={region.ploidy}"
        for region in plan.karyotype.regions(sex.used)
        if region.ploidy != AUTOSOMAL_PLOIDY
        for one in region.intervals
        if kind_of(one.contig) is not ContigKind.FOREIGN  # thousands, and none of them is called
    )
    source = "order" if sex.given else "reads" if sex.inferred else "none"
    line = f'##fastq2fhir_ploidy=<sex="{sex.used or "undetermined"}",source="{source}",default={AUTOSOMAL_PLOIDY},'
    notes = [f'{line}regions="{ploidies}">']
    if plan.targets is not None:
        notes.append(f"##fastq2fhir_targets=<sha256={plan.targets.sha256},length={plan.targets.length_bp}>")
    return notes


def _metrics(summary: CallSummary) -> dict[str, int]:
    variants, depth = summary.variants, summary.depth
    return {
        "primary_mapped": summary.primary_mapped,
        "duplicates": summary.duplicates,
        "unplaced": summary.unplaced,
        "callable_bp": depth.callable_bp,
        "depth_sum": depth.depth_sum,
        **{f"depth_{depth_bin}": count for depth_bin, count in enumerate(depth.histogram)},
        "variants_pass": variants.passing,
        "snvs": variants.snvs,
        "indels": variants.indels,
        "transitions": variants.transitions,
        "transversions": variants.transversions,
        "heterozygous": variants.heterozygous,
        "homozygous": variants.homozygous,
    }
