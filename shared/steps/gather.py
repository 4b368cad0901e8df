"""Gather an analysis's shards into its results: ledger checked, one VCF, GVCF, BAM and QC summary."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from shared import naming
from shared.domain.ids import canonical_json
from shared.domain.ledger import balance, check_reads, check_shards
from shared.domain.markers import AlignedMarker, CalledMarker, FlaggedMarker, GatheredMarker, OutputFile
from shared.domain.order import AlignmentFormat
from shared.domain.plan import Plan
from shared.domain.qc import QcMetric, add_histograms, summarise, summarise_reads
from shared.domain.reference import Role
from shared.domain.thresholds import Missed, in_force, missed_limits
from shared.domain.work import ChunkKey, Stage
from shared.naming import Result
from shared.ports import BlobStore
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs, to_cram
from shared.steps.look import read_aligned, read_called, read_chunks
from shared.steps.meter import Meter
from shared.steps.reference_cache import CALLING, fetch_bundle
from shared.steps.sex import decide_sex
from shared.steps.site_figures import site_figures
from shared.steps.targets import read_targets
from shared.steps.versions import engine_versions

TRANSFERS = 8
"""Files fetched or uploaded at once."""


def gather(plan: Plan, blobs: BlobStore, clock: Callable[[], datetime], scratch: Path, cache: Path) -> None:
    """Check the ledger, concatenate the shards' outputs, leave `gathered.json`.

    Args:
        plan: The analysis; all its shards are called.
        blobs: Where the shards' outputs are.
        clock: The time, UTC.
        scratch: An empty folder; it needs about twice the size of the results.
        cache: The node's copies of reference bundles, which CRAM is made against.

    Raises:
        LedgerError: When two counts that must be equal are not.
    """
    meter = Meter(clock)
    splits, chunks = read_chunks(plan, blobs)
    aligned = read_aligned(plan, blobs)
    called = read_called(plan, blobs)
    reads = check_reads(plan, splits, chunks, aligned)
    check_shards(plan, list(aligned.values()), called, reads)

    files = _fetch(called, blobs, scratch)
    bam = gather_bams(files["bam"], scratch / "sample.bam")
    alignments = {Result.BAM: bam.path, Result.BAI: bam.index}
    if plan.order.options.alignments is AlignmentFormat.CRAM:
        cram = to_cram(bam.path, _reference(plan, blobs, cache), scratch / "sample.cram")
        alignments = {Result.CRAM: cram.path, Result.CRAI: cram.index}
    targets = scratch / "targets.bed"
    if plan.targets is not None:
        targets.write_bytes(blobs.read(naming.targets_data(plan.analysis)))
    vcf = gather_vcfs(files["vcf.gz"], scratch / "sample.vcf.gz")
    gvcf = gather_gvcfs(files["g.vcf.gz"], scratch / "sample.g.vcf.gz")
    shards = "the called markers"
    balance("variants", sum(marker.variants for marker in called.values()), shards, vcf.records_in, "the shards' VCFs")
    balance(
        "GVCF records", sum(marker.gvcf_records for marker in called.values()), shards, gvcf.records_in, "the GVCFs"
    )
    primary = sum(marker.primary for marker in called.values())
    inserts = add_histograms(marker.insert_sizes for marker in aligned.values())
    sites = site_figures(plan, files.get("sites.tsv", ()), blobs, scratch)
    sex = decide_sex(plan, aligned.values(), read_targets(plan, blobs))
    metrics = summarise(
        reads.pairs,
        _summed(aligned.values()),
        _summed(called.values()),
        vcf.records,
        inserts,
        sex_agrees=sex.agrees,
        single_reads=reads.single_reads,
    )
    metrics = dict(sorted((metrics | sites.figures).items()))
    missed = missed_limits(metrics, plan.limits)
    qc = scratch / "qc.json"
    qc.write_bytes(canonical_json(_document(plan, metrics, _read_groups(plan, aligned, called), missed)))
    outputs = _upload(
        plan,
        {
            **alignments,
            Result.VCF: vcf.path,
            Result.VCF_INDEX: vcf.index,
            Result.GVCF: gvcf.path,
            Result.GVCF_INDEX: gvcf.index,
            Result.QC: qc,
            **sites.files,
            **({Result.TARGETS: targets} if plan.targets is not None else {}),
        },
        blobs,
    )
    if missed:
        # Before the marker of the stage: whoever goes on from there must see it.
        flagged = FlaggedMarker(analysis=plan.analysis, sample=plan.sample, missed=missed)
        blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.FLAGGED), flagged.to_json())
    marker = GatheredMarker(
        analysis=plan.analysis,
        pairs=reads.pairs,
        single_reads=reads.single_reads,
        primary=primary,
        variants=vcf.records,
        outputs=outputs,
        tools=engine_versions() | _gatk_version(called.values()),
        **meter.read(),
    )
    blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED), marker.to_json())


def _reference(plan: Plan, blobs: BlobStore, cache: Path) -> Path:
    """The FASTA of the plan's bundle, with its index beside it."""
    manifest, folder = fetch_bundle(plan.reference.name, plan.reference.manifest_sha256, CALLING, blobs, cache)
    return folder / manifest.one(Role.FASTA).path


def _gatk_version(called: Iterable[CalledMarker]) -> dict[str, str]:
    """GATK's version where it was the caller. Shards of two versions cannot be gathered: their headers differ."""
    return {name: version for marker in called for name, version in marker.tools.items() if name == "GATK"}


def _fetch(called: Mapping[int, CalledMarker], blobs: BlobStore, scratch: Path) -> dict[str, list[Path]]:
    """The shards' files by suffix, in shard order."""
    folder = scratch / "shards"
    folder.mkdir()
    files: dict[str, list[Path]] = {}
    wanted: list[tuple[OutputFile, Path]] = []
    for shard in sorted(called):
        for output in called[shard].outputs:
            name = output.name.rpartition("/")[2]
            wanted.append((output, folder / name))
            files.setdefault(name.partition(".")[2], []).append(folder / name)
    with ThreadPoolExecutor(TRANSFERS) as pool:
        list(pool.map(lambda pair: blobs.download(*pair), wanted))
    return files


def _upload(plan: Plan, files: Mapping[Result, Path], blobs: BlobStore) -> tuple[OutputFile, ...]:
    def upload(item: tuple[Result, Path]) -> OutputFile:
        result, path = item
        return blobs.upload(naming.result_blob(plan.sample, plan.analysis, result), path)

    with ThreadPoolExecutor(TRANSFERS) as pool:
        return tuple(pool.map(upload, files.items()))


def _summed(markers: Iterable[AlignedMarker | CalledMarker]) -> Counter[str]:
    total: Counter[str] = Counter()
    for marker in markers:
        total.update(marker.metrics)
    return total


def _read_groups(
    plan: Plan, aligned: Mapping[ChunkKey, AlignedMarker], called: Mapping[int, CalledMarker]
) -> dict[str, Mapping[str, QcMetric]]:
    """The figures of each read group, by its id."""
    groups: dict[str, Mapping[str, QcMetric]] = {}
    for group in plan.read_groups:
        mine = [marker for marker in aligned.values() if marker.read_group == group.id]
        duplicates = sum(marker.duplicates.get(group.id, 0) for marker in called.values())
        inserts = add_histograms(marker.insert_sizes for marker in mine)
        count = sum(marker.pairs for marker in mine)
        pairs, single_reads = (0, count) if group.is_single_end else (count, 0)
        groups[group.id] = summarise_reads(pairs, _summed(mine), duplicates, inserts, single_reads=single_reads)
    return groups


def _document(
    plan: Plan,
    metrics: Mapping[str, QcMetric],
    groups: Mapping[str, Mapping[str, QcMetric]],
    missed: tuple[Missed, ...],
) -> dict[str, object]:
    def figures(some: Mapping[str, QcMetric]) -> dict[str, object]:
        return {name: {"value": metric.value, "unit": metric.unit} for name, metric in some.items()}

    return {
        "schema_version": 2,
        "analysis": plan.analysis,
        "sample": plan.sample,
        "metrics": figures(metrics),
        "read_groups": {name: figures(some) for name, some in groups.items()},
        "limits": {name: limit.model_dump(mode="json") for name, limit in in_force(plan.limits).items()},
        "verdict": "missed" if missed else "kept",
        "missed": [str(one) for one in missed],
    }
