"""A sequencing run dropped as one folder with a sample sheet: an analysis and a report per sample."""

import json
import re
import shutil
from pathlib import Path

import httpx
import pysam
import pytest

from infra.local.watch import wait_for_plan, watch
from shared.naming import Container
from tests.stack.conftest import Running

pytestmark = pytest.mark.stack
LIMIT_SECONDS = 240
SAMPLES = ("RUN-A", "RUN-B")


def make_run(running: Running, folder: Path) -> list[Path]:
    """Two samples' files by other names than the demo's, a sheet that names them and a bad row, and the template."""
    donor = running.data.fastqs[0].parent.name
    files, rows = [], []
    for number, sample in enumerate(SAMPLES, start=1):
        copies = [
            shutil.copy(fastq, folder / re.sub(rf"^{donor}_S\d+", f"{sample}_S{number}", fastq.name))
            for fastq in running.data.fastqs[:2]  # a lane is enough
        ]
        files += copies
        rows.append(f"P-{sample},{sample},NA,1,{copies[0].name},{copies[1].name}")
    sheet = folder / "samplesheet.csv"
    sheet.write_text("\n".join(["patient,sample,sex,lane,fastq_1,fastq_2", *rows, "P-C,RUN-C,?,1,c_1.fq.gz,c_2.fq.gz"]))
    order = json.loads(running.data.order.read_text())
    template = folder / "order.json"
    template.write_text(
        json.dumps({"patient_system": "urn:example:mrn", "test": order["test"], "reference": order["reference"]})
    )
    return [sheet, *reversed(files), template]  # the sheet first, R2 before R1, the template last


def test_a_run_with_a_sample_sheet_is_an_analysis_and_a_report_per_sample(running: Running, tmp_path: Path) -> None:
    source = tmp_path / "run"
    source.mkdir()
    running.lab.drop("run-2026", make_run(running, source))
    analyses = {sample: wait_for_plan(running.lab, sample, running.stack.check) for sample in SAMPLES}
    assert len(set(analyses.values())) == 2
    records = []
    for sample, analysis in analyses.items():
        status = watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
        assert (status["folder"], status["follows"]) == ("run-2026", None)
        out = tmp_path / sample
        running.lab.fetch_results(sample, analysis, out)
        with pysam.AlignmentFile(str(out / f"{sample}.bam")) as bam:
            groups = {group["ID"]: (group["PU"], group["SM"]) for group in bam.header.to_dict()["RG"]}
        number = SAMPLES.index(sample) + 1
        assert groups == {f"S{number}_L001": ("HDEMOAFXX.1.ACGTACGT+TGCATGCA", sample)}
        with pysam.VariantFile(str(out / f"{sample}.annotated.vcf.gz")) as vcf:
            records.append([str(record) for record in vcf])
        answer = httpx.get(
            f"{running.stack.endpoints.fhir}/Patient", params={"identifier": f"urn:example:mrn|P-{sample}"}, timeout=30
        )
        assert len(answer.json()["entry"]) == 1
    assert records[0] == records[1] != []  # the same reads, whoever's they are
    refused = running.lab.drops("RUN-C")
    assert refused["state"] == "refused"
    assert "samplesheet.csv, line 4: `sex` is none of" in refused["reason"]
    assert list(running.blobs.list(Container.RESULTS, "RUN-C/"))


def test_an_order_over_http_lies_where_an_uploaded_one_does(running: Running) -> None:
    order = json.loads(running.data.order.read_text()) | {"sample": "RUN-H", "files": None}
    url = f"{running.stack.endpoints.functions}/orders"
    assert [httpx.post(url, json=order, timeout=30).status_code for _ in range(2)] == [201, 200]
    other = httpx.post(url, json={**order, "test": {"code": "x", "display": "X"}}, timeout=30)
    assert (other.status_code, other.json()["title"]) == (409, "Another order is there")
    assert httpx.post(url, content=b"{", timeout=30).status_code == 422
    drop = running.lab.drops("RUN-H")
    assert (drop["state"], drop["files"]) == ("waiting", [])
