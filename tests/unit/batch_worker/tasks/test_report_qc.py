"""The quality report from real alignments and variants: the same bytes anywhere, for other tools and for people."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pysam
import pytest

from batch_worker.engine.header import read_dict
from batch_worker.task import TaskContext
from batch_worker.tasks.report_qc import report_qc
from shared import naming
from shared.domain.ids import canonical_json
from shared.domain.markers import GatheredMarker, QcReportedMarker
from shared.domain.plan import Plan, ReferenceChoice, Targets
from shared.domain.reference import BundleFile, Role
from shared.domain.thresholds import Limit
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.naming import Container, Result
from tests.engine_pipeline import Outcome, run_pipeline
from tests.factories import NOON, make_manifest, make_plan
from tests.fakes import World as Outside
from tests.simulate import make_world

FILES = (Result.SAMTOOLS_STATS, Result.BCFTOOLS_STATS, Result.MULTIQC, Result.QC_PAGE)
QC = {
    "schema_version": 2,
    "metrics": {"mean_depth": {"value": 28.5, "unit": "1"}, "contamination": {"value": 0.08, "unit": "1"}},
    "read_groups": {"L1": {"bases": {"value": 1_000, "unit": "{base}"}}, "L<2>": {}},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    from batch_worker.engine.index import build_index

    folder = tmp_path_factory.mktemp("report")
    world = make_world(pairs=300)
    (folder / "source.fa").write_bytes(world.fasta())
    reference = build_index(folder / "source.fa", folder / "index")[0]
    assert read_dict(reference.with_name("reference.fa.dict"))
    return run_pipeline(world, reference, folder / "work", 10**9)


def reported(outcome: Outcome, scratch: Path, plan: Plan, *, multiqc: Path = Path("/none")) -> Outside:
    """What is outside after the task has run on a gathered sample."""
    outside = Outside()
    outputs = []
    for result, data in (
        (Result.BAM, outcome.bam.path.read_bytes()),
        (Result.VCF, outcome.vcf.path.read_bytes()),
        (Result.QC, canonical_json(QC)),
    ):
        with outside.blobs.writer(naming.result_blob(plan.sample, plan.analysis, result)) as stream:
            stream.write(data)
        outputs.append(stream.output())
    if plan.targets:
        outside.blobs.put(naming.targets_data(plan.analysis), b"chrA\t1000\t2000\n")
    marker = GatheredMarker(
        analysis=plan.analysis, started=NOON, ended=NOON, core_seconds=0, outputs=tuple(outputs), pairs=1, primary=2,
        variants=1,
    )  # fmt: skip
    outside.blobs.put(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED), marker.to_json())
    context = TaskContext(outside.blobs, 2, scratch, scratch / "cache", outside.clock, multiqc=multiqc)
    report_qc(plan, context, scratch)
    return outside


def report(outcome: Outcome, scratch: Path, plan: Plan) -> dict[Result, bytes]:
    outside = reported(outcome, scratch, plan)
    last = outside.blobs.events[-1]
    assert last == naming.result_marker(plan.sample, plan.analysis, Stage.QC_REPORTED)
    done = QcReportedMarker.model_validate_json(outside.blobs.read(last))
    found = {result: outside.blobs.read(naming.result_blob(plan.sample, plan.analysis, result)) for result in FILES}
    assert [output.size for output in done.outputs] == [len(found[result]) for result in FILES]
    assert not outside.blobs.names(Container.WORK, "failed")
    return found


def summary(text: bytes, name: str) -> int:
    match = re.search(rf"^SN\t(?:0\t)?{name}:\t(\d+)", text.decode(), flags=re.MULTILINE)
    assert match
    return int(match[1])


def test_the_report_is_the_same_wherever_it_is_made_and_counts_what_is_there(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "another").mkdir()
    plan = make_plan()
    first = report(outcome, tmp_path / "one", plan)
    assert report(outcome, tmp_path / "another", plan) == first
    assert str(tmp_path).encode() not in b"".join(first.values())
    with pysam.AlignmentFile(str(outcome.bam.path)) as bam:
        primary = [r for r in bam.fetch(until_eof=True) if not r.flag & 0x900]
    assert summary(first[Result.SAMTOOLS_STATS], "raw total sequences") == len(primary)
    assert summary(first[Result.SAMTOOLS_STATS], "reads duplicated") == sum(r.is_duplicate for r in primary)
    assert summary(first[Result.BCFTOOLS_STATS], "number of records") == outcome.vcf.records
    assert b"# The command line was:\tbcftools stats NA00001.vcf.gz\n" in first[Result.BCFTOOLS_STATS]
    table = json.loads(first[Result.MULTIQC])
    assert table["data"] == {"NA00001": {"mean_depth": 28.5, "contamination": 0.08}}


def test_the_page_holds_all_it_shows_and_says_what_is_out_of_its_limits(outcome: Outcome, tmp_path: Path) -> None:
    plan = make_plan().model_copy(update={"limits": {"mean_depth": Limit(min=20)}})
    page = report(outcome, tmp_path, plan)[Result.QC_PAGE].decode()
    assert "contamination is 0.08; at most 0.05 is required." in page
    assert "mean_depth is" not in page
    assert page.count("<svg") == page.count("<polyline") - 2 == 4  # qualities and GC have two lines
    assert "L&lt;2&gt;" in page
    assert not re.search(r"<script|<link|src=|href=|@import|url\(", page)
    assert set(re.findall(r"https?://[^\"'<\s]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_with_targets_only_these_are_counted(outcome: Outcome, tmp_path: Path) -> None:
    targets = Targets(source="t.bed", sha256="0" * 64, padding_bp=0, intervals=1, length_bp=1_000)
    found = report(outcome, tmp_path, make_plan().model_copy(update={"targets": targets}))
    with pysam.AlignmentFile(str(outcome.bam.path), index_filename=str(outcome.bam.index)) as bam:
        near = {(r.query_name, r.is_read1) for r in bam.fetch("chrA", 1_000, 2_000) if not r.flag & 0x900}
    assert summary(found[Result.SAMTOOLS_STATS], "raw total sequences") == len(near) > 10
    with pysam.VariantFile(str(outcome.vcf.path), index_filename=str(outcome.vcf.index)) as vcf:
        records = [r for r in vcf.fetch("chrA", 1_000, 2_000) if r.start >= 1_000]
    assert summary(found[Result.BCFTOOLS_STATS], "number of records") == len(records) > 1


def test_results_that_lack_a_file_are_refused(tmp_path: Path) -> None:
    outside, plan = Outside(), make_plan()
    marker = GatheredMarker(
        analysis=plan.analysis, started=NOON, ended=NOON, core_seconds=0, pairs=1, primary=2, variants=1
    )
    outside.blobs.put(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED), marker.to_json())
    with pytest.raises(PermanentError, match=r"names no alignments, variants or quality figures"):
        report_qc(plan, TaskContext(outside.blobs, 1, tmp_path, tmp_path / "cache", outside.clock), tmp_path)


def test_alignments_as_cram_are_read_with_the_bundles_reference(outcome: Outcome, tmp_path: Path) -> None:
    fasta = outcome.bam.path.parents[1] / "index" / "reference.fa"
    cram = tmp_path / "NA1.cram"
    pysam.samtools.view("-C", "-T", str(fasta), "--no-PG", "-o", str(cram), str(outcome.bam.path), catch_stdout=False)
    outside = Outside()
    files = []
    for path, role in ((fasta, Role.FASTA), (Path(f"{fasta}.fai"), Role.FASTA_INDEX)):
        outside.blobs.put(naming.bundle_blob("demo", path.name), path.read_bytes())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(BundleFile(path=path.name, role=role, size=path.stat().st_size, sha256=digest))
    manifest = make_manifest(files=tuple(files))
    outside.blobs.put(naming.manifest_blob("demo"), manifest.to_json())
    plan = make_plan().model_copy(update={"reference": ReferenceChoice.of(manifest)})
    outputs = []
    for suffix, data in (
        ("cram", cram.read_bytes()),
        (Result.VCF, outcome.vcf.path.read_bytes()),
        (Result.QC, canonical_json(QC)),
    ):
        ref = naming.BlobRef(Container.RESULTS, f"{plan.sample}/{plan.analysis}/{plan.sample}.{suffix}")
        with outside.blobs.writer(ref) as stream:
            stream.write(data)
        outputs.append(stream.output())
    marker = GatheredMarker(
        analysis=plan.analysis, started=NOON, ended=NOON, core_seconds=0, outputs=tuple(outputs), pairs=1, primary=2,
        variants=1,
    )  # fmt: skip
    outside.blobs.put(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED), marker.to_json())
    report_qc(plan, TaskContext(outside.blobs, 1, tmp_path, tmp_path / "cache", outside.clock), tmp_path)
    text = outside.blobs.read(naming.result_blob(plan.sample, plan.analysis, Result.SAMTOOLS_STATS))
    with pysam.AlignmentFile(str(outcome.bam.path)) as bam:
        primary = sum(not r.flag & 0x900 for r in bam.fetch(until_eof=True))
    assert summary(text, "raw total sequences") == primary > 500
    assert str(tmp_path).encode() not in text


def fake_multiqc(folder: Path, script: str) -> Path:
    program = folder / "fake"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_multiqcs_report_is_left_where_it_is_installed(outcome: Outcome, tmp_path: Path) -> None:
    program = shutil.which("multiqc")
    if program is None:
        pytest.skip("no `multiqc` on the PATH; an image built with WITH_MULTIQC=yes has it")
    plan = make_plan()
    outside = reported(outcome, tmp_path, plan, multiqc=Path(program))
    page = outside.blobs.read(naming.result_blob(plan.sample, plan.analysis, Result.MULTIQC_REPORT)).decode()
    assert plan.sample in page
    assert "Samtools" in page
    assert "Bcftools" in page


def test_a_multiqc_that_fails_takes_nothing_with_it(outcome: Outcome, tmp_path: Path) -> None:
    plan = make_plan()
    outside = reported(outcome, tmp_path, plan, multiqc=fake_multiqc(tmp_path, "exit 3"))
    assert outside.blobs.facts(naming.result_blob(plan.sample, plan.analysis, Result.MULTIQC_REPORT)) is None
    assert outside.blobs.facts(naming.result_marker(plan.sample, plan.analysis, Stage.QC_REPORTED)) is not None


def test_multiqc_gets_the_statistics_and_our_figures(outcome: Outcome, tmp_path: Path) -> None:
    plan = make_plan()
    script = 'ls "$1" > "$5/multiqc.html"'
    outside = reported(outcome, tmp_path, plan, multiqc=fake_multiqc(tmp_path, script))
    page = outside.blobs.read(naming.result_blob(plan.sample, plan.analysis, Result.MULTIQC_REPORT)).decode()
    assert page.split() == [
        f"{plan.sample}.bcftools-stats.txt", f"{plan.sample}.qc_mqc.json", f"{plan.sample}.samtools-stats.txt",
    ]  # fmt: skip
