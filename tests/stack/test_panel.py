"""A panel through the whole local stack: a test's definition with its BED, alignments as CRAM."""

import json
from pathlib import Path

import pysam
import pytest

from infra.local.__main__ import main
from shared.adapters.delta import DeltaLake
from tests.stack.conftest import Running, rename_sample
from tests.stack.test_chain import finish

pytestmark = pytest.mark.stack


def test_a_panel_is_called_and_reported_within_its_targets(running: Running, tmp_path: Path) -> None:
    planted = running.data.planted
    start, end = planted.pos - 400, planted.pos + 300
    panel = tmp_path / "panel"
    panel.mkdir()
    (panel / "genes.bed").write_text(f"track name=panel\r\n{planted.contig}\t{start}\t{end}\texon\r\n")
    definition = {"code": "STACK-PANEL", "targets": "genes.bed", "padding_bp": 25, "qc": {"mean_depth": {"min": 1}}}
    (panel / "definition.json").write_text(json.dumps(definition))
    connection = running.stack.endpoints.connection_string
    assert main(["panel", "install", str(panel), "--connection-string", connection]) == 0

    sample = "NA700"
    files = rename_sample(running.data, sample, tmp_path)
    order = json.loads(files[-1].read_text())
    order |= {"test": {"code": "STACK-PANEL", "display": "Panel"}, "options": {"alignments": "cram"}}
    files[-1].write_text(json.dumps(order))
    analysis = finish(running, sample, files)
    out = tmp_path / "results"
    running.lab.fetch_results(sample, analysis, out)

    bed = f"{planted.contig}\t{start - 25}\t{end + 25}\n"
    assert (out / f"{sample}.targets.bed").read_text() == bed
    with pysam.VariantFile(str(out / f"{sample}.annotated.vcf.gz")) as vcf:
        places = [(record.chrom, record.start) for record in vcf]
    assert (planted.contig, planted.pos - 1) in places
    assert all(contig == planted.contig and start - 25 <= at < end + 25 for contig, at in places)
    lake = DeltaLake.connect(connection_string=connection)
    (finding,) = lake.rows("findings", analysis)
    assert (finding["contig"], finding["pos"], finding["alt"]) == (planted.contig, planted.pos, planted.alt)
    qc = {row["metric"]: row["value"] for row in lake.rows("qc", analysis)}
    assert 0 < qc["callable_bases"] <= end - start + 50
    assert 0 < qc["on_target_fraction"] < 0.2
    bundle = (out / f"{sample}.fhir.json").read_text()
    assert f"{sample}.targets.bed" in bundle
    assert "the regions of NA700.targets.bed" in (out / f"{sample}.report.html").read_text()
    assert not (out / f"{sample}.bam").exists()
    pysam.samtools.quickcheck(str(out / f"{sample}.cram"))
