"""One sample through a running stack: install its bundle, drop its files, watch, fetch and show the results."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from infra.local.drop import Lab
from infra.local.stack import RunningStack
from infra.local.watch import wait_for_plan, watch
from shared.adapters.blobs import AzureBlobs
from shared.domain.reference import Assembly, ReferenceManifest
from shared.errors import TransientError

LIMIT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class SampleJob:
    """What goes in.

    Attributes:
        sample: Sample name.
        fastqs: Its FASTQ files.
        order: Its `order.json`.
        bundle: Folder of its reference bundle.
        out: Folder for the results.
        beside: Other files that the order names, such as its targets or a fingerprint.
    """

    sample: str
    fastqs: tuple[Path, ...]
    order: Path
    bundle: Path
    out: Path
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """What came out.

    Attributes:
        analysis: Id of the analysis.
        files: Copies of the results.
        report: FHIR reference of the report, `DiagnosticReport/...`.
        findings: Reported variants.
        seconds: Wall time from the drop to the last marker, s.
    """

    analysis: str
    files: tuple[Path, ...]
    report: str
    findings: int
    seconds: float


def prepare_bundle(name: str, assembly: Assembly, sources: BundleSources, folder: Path) -> ReferenceManifest:
    """Make a reference bundle unless the folder holds it already."""
    manifest = folder / "manifest.json"
    if manifest.is_file():
        return ReferenceManifest.model_validate_json(manifest.read_bytes())
    return make_bundle(name, assembly, sources, folder, say=lambda text: print(f"  {text}", flush=True))


def run_job(stack: RunningStack, job: SampleJob) -> Finished:
    """Run a sample to its end and copy its results.

    Raises:
        PermanentError: When the drop is refused or the analysis fails, with the reason.
    """
    lab = Lab(stack.endpoints)
    install_bundle(job.bundle, AzureBlobs.connect(stack.endpoints.connection_string))
    began = time.monotonic()
    print(f"Dropping {len(job.fastqs)} FASTQ files and the order of {job.sample} into the landing container ...")
    lab.drop(job.sample, [*job.fastqs, *job.beside, job.order])
    analysis = wait_for_plan(lab, job.sample, stack.check)
    print(f"Analysis {analysis} has begun.", flush=True)
    watch(lab, analysis, stack.check, LIMIT_SECONDS)
    seconds = time.monotonic() - began
    delivered = lab.marker(job.sample, analysis, "delivered")
    report = next(ref for ref in delivered["resources"] if ref.startswith("DiagnosticReport/"))
    check_report(stack.endpoints.fhir, report)
    files = lab.fetch_results(job.sample, analysis, job.out)
    lab.fetch_lake(job.out / "lake")
    return Finished(
        analysis, tuple(files), report, int(lab.marker(job.sample, analysis, "annotated")["findings"]), seconds
    )


def check_report(fhir: str, report: str) -> dict[str, Any]:
    """Read the report back from the FHIR server, as an EHR would."""
    answer = httpx.get(f"{fhir}/{report}", timeout=30)
    if answer.status_code != httpx.codes.OK:
        raise TransientError(f"{fhir}/{report} answered {answer.status_code}; the report should be there.")
    resource: dict[str, Any] = answer.json()
    return resource


def tell(stack: RunningStack, job: SampleJob, finished: Finished) -> None:
    """Say where everything is."""
    out = shown(job.out)
    names = {path.name: path for path in finished.files}

    def place(suffix: str) -> str:
        return shown(names[f"{job.sample}.{suffix}"])

    print(
        f"""
Done in {finished.seconds:.0f} s from the drop. Analysis {finished.analysis}, {finished.findings} reportable finding(s).
  VCF                {place("annotated.vcf.gz")}
  GVCF               {place("g.vcf.gz")}
  alignments         {place("cram" if f"{job.sample}.cram" in names else "bam")}
  FHIR report        {place("fhir.json")}
                     {stack.endpoints.fhir}/{finished.report}
  clinician's page   {place("report.html")}
  lake tables        {out}/lake  (Delta: samples, variants, findings, qc, read_groups)
  quality            {place("qc.json")}
  quality page       {place("qc.html")}
  fingerprint        {place("fingerprint.vcf.gz") if f"{job.sample}.fingerprint.vcf.gz" in names else "none"}""",
        flush=True,
    )


def shown(path: Path) -> str:
    """A path as one would write it here: relative when it lies below the current folder, else whole."""
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
