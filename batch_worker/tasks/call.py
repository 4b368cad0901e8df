"""Call one shard from its parts of all chunks."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.gatk import GatkOptions, call_shard_gatk
from batch_worker.engine.gatk_tools import find_gatk
from batch_worker.engine.windowed import call_in_windows
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.genome import Shard
from shared.domain.karyotype import AUTOSOMAL_PLOIDY, ContigKind, kind_of
from shared.domain.ledger import balance
from shared.domain.markers import AlignedMarker, CalledMarker, OutputFile
from shared.domain.order import Caller
from shared.domain.plan import Plan
from shared.domain.reference import Role
from shared.domain.work import ChunkKey
from shared.formats.common_sites import read_common_sites
from shared.formats.site_table import write_site_table
from shared.steps.look import read_aligned, read_recalibrated
from shared.steps.meter import Meter
from shared.steps.reference_cache import CALLING, fetch_bundle
from shared.steps.sex import SexFinding, decide_sex
from shared.steps.targets import read_targets
from shared.steps.versions import engine_versions

DOWNLOADS = 8
"""Parts fetched at once: they are small, so the time goes into waiting."""

UPLOADS = 3
"""Results uploaded at once: BAM, VCF and GVCF."""


def call(plan: Plan, shard: int, context: TaskContext, scratch: Path) -> None:
    """Fetch a shard's parts, call it, upload its BAM, VCF and GVCF, leave `called/{shard}.json`."""
    meter = Meter(context.clock, whole_process=True)
    gatk = find_gatk(context.gatk_home) if plan.order.options.caller is Caller.GATK else None
    blobs = context.blobs
    manifest, folder = fetch_bundle(plan.reference.name, plan.reference.manifest_sha256, CALLING, blobs, context.cache)
    aligned = read_aligned(plan, blobs)
    parts = fetch_parts(aligned, shard, context, scratch)
    tables = _fetch_tables(plan, context, scratch) if plan.order.options.recalibrates else []
    reference = folder / manifest.one(Role.FASTA).path
    sites = [site for file in manifest.of(Role.COMMON_SITES) for site in read_common_sites(folder / file.path)]
    targets = read_targets(plan, blobs)
    sex = decide_sex(plan, aligned.values(), targets)
    notes = _notes(plan, sex)
    whole = plan.shards[shard]
    uploads: dict[str, Future[OutputFile]] = {}

    with ThreadPoolExecutor(UPLOADS) as pool:

        def upload(suffix: str, path: Path) -> None:
            uploads[suffix] = pool.submit(blobs.upload, naming.called_data(plan.analysis, shard, suffix), path)

        def call_one(pieces: Sequence[Path], piece: Shard, out_dir: Path) -> CallSummary:
            regions = plan.karyotype.within(piece.intervals, sex.used)
            if gatk is not None:
                return call_shard_gatk(
                    pieces,
                    shard=piece,
                    tables=tables,
                    reference=reference,
                    halo_bp=plan.settings.halo_bp,
                    options=GatkOptions(),
                    gatk=gatk,
                    out_dir=out_dir,
                    log=scratch / "caller.log",
                    regions=regions,
                    targets=targets,
                    notes=notes,
                    common_sites=sites,
                )
            return call_shard(
                pieces,
                shard=piece,
                reference=reference,
                halo_bp=plan.settings.halo_bp,
                options=CallOptions(),
                out_dir=out_dir,
                log=scratch / "caller.log",
                regions=regions,
                targets=targets,
                notes=notes,
                common_sites=sites,
                on_bam=lambda bam: upload("bam", bam) if piece is whole else None,  # goes out while calling runs
            )

        out = scratch / "called"
        if gatk is not None:  # its calls depend on where a shard is cut: it is cut no further
            summary = call_one(parts, whole, out)
        else:
            summary = call_in_windows(parts, whole, plan.contigs, plan.settings.halo_bp, call_one, out)
        files = {"bam": summary.bam, "vcf.gz": summary.vcf, "g.vcf.gz": summary.gvcf}
        if sites:
            files["sites.tsv"] = out / "sites.tsv"
            write_site_table(summary.sites, files["sites.tsv"])
        for suffix, path in files.items():
            if suffix not in uploads:
                upload(suffix, path)
    owned = sum(part.owned for marker in aligned.values() for part in marker.parts if part.shard == shard)
    balance("alignments", owned, f"the parts of shard {shard}", summary.reads.records, "its BAM")
    outputs = tuple(uploads[suffix].result() for suffix in files)
    marker = CalledMarker(
        analysis=plan.analysis,
        shard=shard,
        records=summary.reads.records,
        primary=summary.reads.primary,
        variants=summary.variants.variants,
        gvcf_records=summary.gvcf_records,
        outputs=outputs,
        tools=engine_versions() | ({"GATK": gatk.version} if gatk else {}),
        metrics=_metrics(summary) | ({} if targets is None else {"on_target": summary.on_target}),
        duplicates=summary.reads.group_duplicates,
        **meter.read(),
    )
    blobs.create(naming.called_marker(plan.analysis, shard), marker.to_json())


def _fetch_tables(plan: Plan, context: TaskContext, scratch: Path) -> list[Path]:
    """The recalibration tables of all shards, in order."""
    recalibrated = read_recalibrated(plan, context.blobs)
    folder = scratch / "tables"
    folder.mkdir()
    wanted = [(recalibrated[n].outputs[0], folder / f"{n:05d}.table") for n in range(len(plan.shards))]
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        list(pool.map(lambda pair: context.blobs.download(*pair), wanted))
    return [path for _, path in wanted]


def fetch_parts(aligned: dict[ChunkKey, AlignedMarker], shard: int, context: TaskContext, scratch: Path) -> list[Path]:
    """Fetch the shard's part of every chunk, in the order (read group, chunk): it breaks ties of equal position."""
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
        "primary_mapped": summary.reads.primary_mapped,
        "duplicates": summary.reads.duplicates,
        "unplaced": summary.reads.unplaced,
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
