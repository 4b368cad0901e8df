"""Make the quality page of a gathered sample, and the statistics that MultiQC and others read."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from batch_worker import commands
from batch_worker.process import run
from batch_worker.task import TaskContext
from shared import naming
from shared.domain.markers import GatheredMarker, OutputFile, QcReportedMarker
from shared.domain.plan import Plan
from shared.domain.qc import QcMetric
from shared.domain.reference import Role
from shared.domain.work import Stage
from shared.errors import PermanentError, TransientError
from shared.formats.multiqc import multiqc_table
from shared.formats.tool_stats import neutral, read_curves
from shared.naming import Result
from shared.report.qc_page import render_qc_page
from shared.steps.meter import Meter
from shared.steps.reference_cache import CALLING, fetch_bundle
from shared.steps.versions import annotation_versions

logger = logging.getLogger(__name__)


def report_qc(plan: Plan, context: TaskContext, scratch: Path) -> None:
    """Fetch alignments and variants, count them with samtools and bcftools, leave `qc-reported.json`."""
    meter = Meter(context.clock, whole_process=True)
    blobs = context.blobs
    gathered = GatheredMarker.model_validate_json(
        blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED))
    )
    outputs = {output.name: output for output in gathered.outputs}

    def fetch(suffix: str) -> Path | None:
        output: OutputFile | None = outputs.get(_name(plan, suffix))
        if output is None:
            return None
        path = scratch / f"{plan.sample}.{suffix}"
        blobs.download(output, path)
        return path

    alignments = fetch(Result.BAM) or fetch("cram")
    vcf, qc = fetch(Result.VCF), fetch(Result.QC)
    if alignments is None or vcf is None or qc is None:
        raise PermanentError("gathered.json names no alignments, variants or quality figures. Gather again.")
    reference = _reference(plan, context) if alignments.suffix == ".cram" else None
    bed, positions = _targets(plan, context, scratch)

    log = scratch / "stats.log"
    reads, variants = scratch / "reads.txt", scratch / "variants.txt"
    run(
        commands.samtools_stats(alignments, reads, threads=context.threads, reference=reference, targets=positions),
        log,
    )
    run(commands.bcftools_stats(vcf, variants, targets=bed), log)
    paths = {str(path): path.name for path in (alignments, vcf)}
    document = json.loads(qc.read_bytes())
    figures = _figures(document["metrics"])
    groups = {name: _figures(some) for name, some in document["read_groups"].items()}
    with reads.open() as lines:
        curves = read_curves(lines, "samtools stats")
    files = {
        Result.SAMTOOLS_STATS: _neutral(reads, f"samtools stats {alignments.name}", paths),
        Result.BCFTOOLS_STATS: _neutral(variants, f"bcftools stats {vcf.name}", paths),
        Result.MULTIQC: multiqc_table(plan.sample, figures),
        Result.QC_PAGE: render_qc_page(plan, figures, groups, curves).encode(),
    }
    marker = QcReportedMarker(
        analysis=plan.analysis,
        outputs=tuple(_upload(plan, result, data, context) for result, data in files.items()),
        tools=annotation_versions(),
        **meter.read(),
    )
    if context.multiqc.is_file():
        _add_multiqc(plan, files, context, scratch / "multiqc", log)
    blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.QC_REPORTED), marker.to_json())


def _add_multiqc(plan: Plan, files: Mapping[Result, bytes], context: TaskContext, folder: Path, log: Path) -> None:
    """Leave MultiQC's report of the files, if it makes one.

    Its bytes differ from run to run, so no marker vouches for it, and the first one stays.
    """
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    for result in (Result.SAMTOOLS_STATS, Result.BCFTOOLS_STATS, Result.MULTIQC):
        (inputs / f"{plan.sample}.{result}").write_bytes(files[result])
    page = folder / "multiqc.html"
    try:
        run(commands.multiqc(context.multiqc, inputs, page, title=plan.sample), log)
        data = page.read_bytes()
    except (TransientError, FileNotFoundError):
        logger.exception("MultiQC made no report of analysis %s; nothing else depends on it", plan.analysis)
        return
    context.blobs.create(naming.result_blob(plan.sample, plan.analysis, Result.MULTIQC_REPORT), data)


def _name(plan: Plan, suffix: str) -> str:
    return f"{naming.results_folder(plan.sample, plan.analysis)}{plan.sample}.{suffix}"


def _reference(plan: Plan, context: TaskContext) -> Path:
    """The reference's FASTA on this node."""
    manifest, folder = fetch_bundle(
        plan.reference.name, plan.reference.manifest_sha256, CALLING, context.blobs, context.cache
    )
    return folder / manifest.one(Role.FASTA).path


def _targets(plan: Plan, context: TaskContext, scratch: Path) -> tuple[Path | None, Path | None]:
    """The targets as BED for bcftools and as 1-based closed positions for samtools; none for a whole genome."""
    if plan.targets is None:
        return None, None
    bed, positions = scratch / "targets.bed", scratch / "targets.tsv"
    bed.write_bytes(context.blobs.read(naming.targets_data(plan.analysis)))
    with positions.open("w") as out:
        for line in bed.read_text().splitlines():
            contig, start, end = line.split("\t")[:3]
            out.write(f"{contig}\t{int(start) + 1}\t{end}\n")
    return bed, positions


def _neutral(path: Path, command: str, paths: Mapping[str, str]) -> bytes:
    with path.open() as lines:
        return "".join(neutral(lines, command, paths)).encode()


def _figures(document: Mapping[str, Mapping[str, float | str]]) -> dict[str, QcMetric]:
    return {name: QcMetric(float(one["value"]), str(one["unit"])) for name, one in document.items()}


def _upload(plan: Plan, result: Result, data: bytes, context: TaskContext) -> OutputFile:
    with context.blobs.writer(naming.result_blob(plan.sample, plan.analysis, result)) as stream:
        stream.write(data)
    return stream.output()
