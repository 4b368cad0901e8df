"""Gather an analysis's shards into its results: ledger checked, one VCF, GVCF, BAM and QC summary."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from shared import naming
from shared.domain.ids import canonical_json
from shared.domain.ledger import balance, check_reads, check_shards
from shared.domain.markers import AlignedMarker, CalledMarker, GatheredMarker, OutputFile
from shared.domain.plan import Plan
from shared.domain.qc import QcMetric, summarise
from shared.domain.work import Stage
from shared.naming import Result
from shared.ports import BlobStore
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs
from shared.steps.look import read_aligned, read_called, read_chunks
from shared.steps.meter import Meter
from shared.steps.versions import engine_versions

TRANSFERS = 8
"""Files fetched or uploaded at once."""


def gather(plan: Plan, blobs: BlobStore, clock: Callable[[], datetime], scratch: Path) -> None:
    """Check the ledger, concatenate the shards' outputs, leave `gathered.json`.

    Args:
        plan: The analysis; all its shards are called.
        blobs: Where the shards' outputs are.
        clock: The time, UTC.
        scratch: An empty folder; it needs about twice the size of the results.

    Raises:
        LedgerError: When two counts that must be equal are not.
    """
    meter = Meter(clock)
    splits, chunks = read_chunks(plan, blobs)
    aligned = read_aligned(plan, blobs)
    called = read_called(plan, blobs)
    pairs = check_reads(splits, chunks, aligned)
    check_shards(plan, list(aligned.values()), called, pairs)

    files = _fetch(called, blobs, scratch)
    bam = gather_bams(files["bam"], scratch / "sample.bam")
    vcf = gather_vcfs(files["vcf.gz"], scratch / "sample.vcf.gz")
    gvcf = gather_gvcfs(files["g.vcf.gz"], scratch / "sample.g.vcf.gz")
    shards = "the called markers"
    balance("variants", sum(marker.variants for marker in called.values()), shards, vcf.records_in, "the shards' VCFs")
    balance(
        "GVCF records", sum(marker.gvcf_records for marker in called.values()), shards, gvcf.records_in, "the GVCFs"
    )
    primary = sum(marker.primary for marker in called.values())
    metrics = summarise(pairs, _summed(aligned.values()), _summed(called.values()), vcf.records)
    qc = scratch / "qc.json"
    qc.write_bytes(canonical_json(_document(plan, metrics)))
    outputs = _upload(
        plan,
        {
            Result.BAM: bam.path,
            Result.BAI: bam.index,
            Result.VCF: vcf.path,
            Result.VCF_INDEX: vcf.index,
            Result.GVCF: gvcf.path,
            Result.GVCF_INDEX: gvcf.index,
            Result.QC: qc,
        },
        blobs,
    )
    marker = GatheredMarker(
        analysis=plan.analysis,
        pairs=pairs,
        primary=primary,
        variants=vcf.records,
        outputs=outputs,
        tools=engine_versions() | _gatk_version(called.values()),
        **meter.read(),
    )
    blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED), marker.to_json())


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


def _document(plan: Plan, metrics: Mapping[str, QcMetric]) -> dict[str, object]:
    return {
        "schema_version": 1,
        "analysis": plan.analysis,
        "sample": plan.sample,
        "metrics": {name: {"value": metric.value, "unit": metric.unit} for name, metric in metrics.items()},
    }
