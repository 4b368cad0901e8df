"""FASTQ to FHIR on the local stack: what a lab, an EHR and an operator see."""

import gzip
import hashlib
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pysam
import pytest

from batch_worker.tasks.reference import install_bundle
from infra.local.drop import Lab
from infra.local.stack import Stack, StackOptions
from infra.local.storage import COMPLETED_QUEUE
from infra.local.watch import wait_for_plan, watch
from shared.adapters.blobs import AzureBlobs
from shared.adapters.delta import DeltaLake
from shared.errors import PermanentError
from shared.naming import Container
from tests.stack.conftest import SETTINGS, Running, rename_sample

pytestmark = pytest.mark.stack
LIMIT_SECONDS = 240


def finish(running: Running, sample: str, files: list[Path]) -> str:
    running.lab.drop(sample, files)
    analysis = wait_for_plan(running.lab, sample, running.stack.check)
    watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
    return analysis


def names(running: Running, container: Container) -> dict[str, str]:
    return {facts.ref.name: facts.etag for facts in running.blobs.list(container, "")}


@pytest.fixture(scope="module")
def finished(running: Running, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, list[Path], Path]:
    """A delivered sample: (sample, analysis, dropped files, folder of results)."""
    files = rename_sample(running.data, "NA100", tmp_path_factory.mktemp("drop"))
    analysis = finish(running, "NA100", files)
    out = tmp_path_factory.mktemp("results")
    running.lab.fetch_results("NA100", analysis, out)
    return "NA100", analysis, files, out


def search(running: Running, query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{running.stack.endpoints.fhir}/{query}", timeout=30)
    assert answer.status_code == httpx.codes.OK, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def test_the_planted_variant_is_reported_to_the_ehr_for_the_right_patient(
    running: Running, finished: tuple[str, str, list[Path], Path]
) -> None:
    sample, analysis, files, _ = finished
    identifier = json.loads(files[-1].read_text())["patient"]["identifier"]
    (patient,) = search(running, f"Patient?identifier={identifier['system']}|{identifier['value']}")
    reports = search(running, f"DiagnosticReport?subject=Patient/{patient['id']}&_include=DiagnosticReport:result")
    mine = [
        report
        for report in reports
        if report["resourceType"] == "DiagnosticReport" and analysis in json.dumps(report["identifier"])
    ]
    assert len(mine) == 1
    observations = {resource["id"]: resource for resource in reports if resource["resourceType"] == "Observation"}
    results = [observations[ref["reference"].partition("/")[2]] for ref in mine[0]["result"]]
    alleles = {
        component["valueString"]
        for observation in results
        for component in observation.get("component", ())
        if component["code"]["coding"][0]["code"] == "69551-0"
    }
    assert alleles == {running.data.planted.alt}
    assert sample in json.dumps(search(running, f"Specimen?subject=Patient/{patient['id']}"))


def test_report_and_lake_agree_with_the_vcf(running: Running, finished: tuple[str, str, list[Path], Path]) -> None:
    sample, analysis, _, out = finished
    with pysam.VariantFile(str(out / f"{sample}.annotated.vcf.gz")) as vcf:
        called = {
            (record.chrom, record.pos, record.ref, record.alts[0]) for record in vcf if 1 in record.samples[0]["GT"]
        }
    lake = DeltaLake.connect(connection_string=running.stack.endpoints.connection_string)
    rows = {(row["contig"], row["pos"], row["ref"], row["alt"]) for row in lake.rows("variants", analysis)}
    assert rows == called
    (finding,) = lake.rows("findings", analysis)
    planted = running.data.planted
    assert (finding["contig"], finding["pos"], finding["alt"]) == (planted.contig, planted.pos, planted.alt)
    (row,) = lake.rows("samples", analysis)
    assert row["sample"] == sample
    qc = {row["metric"]: row["value"] for row in lake.rows("qc", analysis)}
    with pysam.AlignmentFile(str(out / f"{sample}.bam")) as bam:
        primary = [record for record in bam.fetch(until_eof=True) if not record.is_secondary | record.is_supplementary]
    assert len(primary) == 2 * qc["read_pairs"]
    assert sum(record.is_duplicate for record in primary) == qc["duplicate_reads"]
    page = (out / f"{sample}.report.html").read_text()
    assert finding["gene"] in page


def test_the_bundle_is_what_the_server_stored(running: Running, finished: tuple[str, str, list[Path], Path]) -> None:
    sample, analysis, _, out = finished
    bundle = json.loads((out / f"{sample}.fhir.json").read_text())
    stored = running.lab.marker(sample, analysis, "delivered")["resources"]
    assert len(stored) == len(bundle["entry"])
    for reference in stored:
        assert httpx.get(f"{running.stack.endpoints.fhir}/{reference}", timeout=30).status_code == httpx.codes.OK


def test_dropping_the_same_files_again_changes_nothing(
    running: Running, finished: tuple[str, str, list[Path], Path]
) -> None:
    sample, analysis, files, _ = finished
    settle(running)  # the last function still tidies up when the last marker is there
    before = names(running, Container.RESULTS), work_of_analyses(running)
    running.lab.drop(sample, files)
    wait_for_plan(running.lab, sample, running.stack.check)
    settle(running)
    after = names(running, Container.RESULTS), work_of_analyses(running)
    assert after == before
    assert [one["analysis"] for one in running.lab.analyses() if one["sample"] == sample] == [analysis]


def work_of_analyses(running: Running) -> dict[str, str]:
    """All of the work container but the notes of what each upload of an order was for."""
    notes = ("intake/", "intake-definitions/")
    return {name: etag for name, etag in names(running, Container.WORK).items() if not name.startswith(notes)}


def settle(running: Running) -> None:
    """Wait until every event that was sent is worked off: the queues are empty for a moment."""
    from azure.storage.queue import QueueServiceClient

    queues = QueueServiceClient.from_connection_string(running.stack.endpoints.connection_string)
    clients = [queues.get_queue_client(queue.name) for queue in queues.list_queues() if queue.name != COMPLETED_QUEUE]
    quiet = 0
    for _ in range(300):
        waiting = sum(client.get_queue_properties().approximate_message_count or 0 for client in clients)
        quiet = 0 if waiting else quiet + 1
        if quiet == 5:
            return
        time.sleep(0.2)
    pytest.fail("the queues do not run empty")


def test_a_changed_file_is_a_new_analysis_and_the_old_one_stays(
    running: Running, finished: tuple[str, str, list[Path], Path], tmp_path: Path
) -> None:
    sample, analysis, files, _ = finished
    old = {name: etag for name, etag in names(running, Container.RESULTS).items() if f"/{analysis}/" in name}
    for path in files[:2]:
        # The last reads are left out of both mates.
        text = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        (tmp_path / path.name).write_bytes(gzip.compress(b"".join(text[:-400]), mtime=0))
    changed = finish(running, sample, [tmp_path / path.name for path in files[:2]])
    assert changed != analysis
    now = names(running, Container.RESULTS)
    assert {name: now[name] for name in old} == old
    assert sorted(one["analysis"] for one in running.lab.analyses() if one["sample"] == sample) == sorted(
        [analysis, changed]
    )


def test_subscribers_are_told_and_no_patient_is_named(
    running: Running, finished: tuple[str, str, list[Path], Path]
) -> None:
    from azure.storage.queue import QueueClient, TextBase64DecodePolicy

    _, analysis, files, _ = finished
    queue = QueueClient.from_connection_string(
        running.stack.endpoints.connection_string, COMPLETED_QUEUE, message_decode_policy=TextBase64DecodePolicy()
    )
    events = [json.loads(message.content) for message in queue.peek_messages(32)]
    mine = [event for event in events if event["subject"] == f"analyses/{analysis}"]
    assert [event["type"] for event in mine] == ["org.fastq2fhir.analysis.completed"]
    patient = json.loads(files[-1].read_text())["patient"]["identifier"]["value"]
    assert patient not in json.dumps(events)
    for log in (running.state / "logs").iterdir():
        assert patient not in log.read_text(errors="replace")


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def drop_last_read(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-4]), mtime=0))


def spoil_a_record(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    lines[4 * 700 + 3] = lines[4 * 700 + 3][:100] + b"\n"  # read 701: its qualities are cut short
    path.write_bytes(gzip.compress(b"".join(lines), mtime=0))


def test_bad_files_end_in_a_message_and_the_other_sample_completes(running: Running, tmp_path: Path) -> None:
    faults = {
        "BAD1": (0, truncate, r"BAD1_S1_L001_R1_001\.fastq\.gz is truncated"),
        "BAD2": (1, drop_last_read, r"R2 ends early: landing/BAD2/BAD2_S1_L001_R2_001\.fastq\.gz has [\d,]+ reads"),
        "BAD3": (0, spoil_a_record, r"BAD3_S1_L001_R1_001\.fastq\.gz is not valid FASTQ at line 2,80\d, read 701"),
    }
    for sample, (index, spoil, _) in faults.items():
        files = rename_sample(running.data, sample, tmp_path)
        spoil(files[index])
        running.lab.drop(sample, files)
    good = finish(running, "GOOD1", rename_sample(running.data, "GOOD1", tmp_path))
    for sample, (_, _, message) in faults.items():
        analysis = wait_for_plan(running.lab, sample, running.stack.check)
        with pytest.raises(PermanentError, match=message):
            watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
        failed = running.lab.marker(sample, analysis, "failed")
        assert failed["message"].endswith("again, then upload the order again.") or "order again" in failed["message"]
        assert failed["work"].startswith("split-")
    assert running.lab.analysis(good)["stage"] == "completed"  # type: ignore[index]


def test_a_drop_without_an_order_waits_and_says_so(running: Running, tmp_path: Path) -> None:
    files = rename_sample(running.data, "WAIT1", tmp_path)
    running.lab.drop("WAIT1", files[:1])
    settle(running)
    drop = running.lab.drops("WAIT1")
    assert drop["state"] == "waiting"
    assert "order.json is not" in drop["reason"]
    order = json.loads(files[-1].read_text())
    order["files"] = [path.name for path in files[:-1]]
    files[-1].write_text(json.dumps(order))
    running.lab.drop("WAIT1", files[-1:])
    settle(running)
    assert running.lab.drops("WAIT1")["missing"] == [f"WAIT1/{path.name}" for path in files[1:-1]]
    finish(running, "WAIT1", files[1:-1])


def test_an_order_that_is_wrong_is_refused_with_its_fields_named(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_text(json.dumps({"sample": "WRONG1", "patient": {}, "tests": 1}))
    running.lab.drop("WRONG1", [path])
    settle(running)
    drop = running.lab.drops("WRONG1")
    assert drop["state"] == "refused"
    assert "test: Field required" in drop["reason"]
    (marker,) = [name for name in names(running, Container.RESULTS) if name.startswith("WRONG1/")]
    assert marker.endswith("/failed.json")


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC|\+00:00)?", "TIME", text)


SAME_BYTES = {
    "vcf.gz", "g.vcf.gz", "annotated.vcf.gz", "vcf.gz.tbi", "g.vcf.gz.tbi", "fingerprint.vcf.gz",
    "qc.json", "qc.html", "qc_mqc.json", "samtools-stats.txt", "bcftools-stats.txt",
}  # fmt: skip


def invariant(stack: Stack, sample: str, analysis: str) -> dict[str, Any]:
    """What must not depend on how the work was cut and when it was done.

    Files byte for byte; alignments record for record; the lake's rows, the bundle and the page but for the times of
    arrival and issue and the stack's addresses.
    """
    blobs = AzureBlobs.connect(stack.endpoints.connection_string)
    prefix = f"{sample}/{analysis}/{sample}."
    found: dict[str, Any] = {}
    for facts in blobs.list(Container.RESULTS, prefix):
        kind = facts.ref.name.removeprefix(prefix)
        if kind in SAME_BYTES:
            found[kind] = facts.md5
        elif kind == "bam":
            found[kind] = hashlib.md5(gzip.decompress(blobs.read(facts.ref)), usedforsecurity=False).hexdigest()
        elif kind in {"fhir.json", "report.html"}:
            text = blobs.read(facts.ref).decode()
            text = text.replace(stack.endpoints.fhir, "FHIR").replace(stack.endpoints.blob, "BLOBS")
            # The page itself is compared as report.html; here its bytes, and their hash, hold the time of issue.
            text = re.sub(r'"data": "[^"]+",\s+"hash": "[^"]+"', "PAGE", text)
            found[kind] = without_times(text)
    lake = DeltaLake.connect(connection_string=stack.endpoints.connection_string)
    for table in ("samples", "variants", "findings", "qc", "read_groups"):
        found[table] = sorted(
            without_times(json.dumps(row, sort_keys=True, default=str)) for row in lake.rows(table, analysis)
        )
    return found


@pytest.mark.parametrize(
    ("cut", "relay"),
    [
        ({"CHUNK_PAIRS": "100000", "SHARD_BP": "1000000", "LARGE_INPUT_BYTES": "1", "LARGE_READ_GROUP_BYTES": "1"}, ()),
        (
            {"CHUNK_PAIRS": "300", "SHARD_BP": "7000"},
            ("--duplicate", "1", "--shuffle", "--delay-seconds", "0.5", "--seed", "7"),
        ),
        ({"CHUNK_PAIRS": "700", "FUNCTION_SECONDS": "1"}, ("--duplicate", "0.3", "--drop", "0.3", "--seed", "3")),
    ],
    ids=[
        "one chunk, one shard, split, gathered and annotated on Batch",
        "many of both, every event twice and out of order",
        "events lost, splits stopped and resumed",
    ],
)
def test_results_have_the_same_bytes_however_the_work_is_cut_and_events_arrive(
    running: Running,
    finished: tuple[str, str, list[Path], Path],
    bundle: Path,
    tmp_path: Path,
    cut: dict[str, str],
    relay: tuple[str, ...],
) -> None:
    sample, analysis, files, _ = finished
    expected = invariant(running.stack, sample, analysis)
    assert len(expected) == 19
    settings = {**SETTINGS, **cut, "RECONCILE_SCHEDULE": "*/5 * * * * *"}
    options = StackOptions(state=tmp_path / "stack", slots=2, settings=settings, relay_arguments=relay)
    with Stack(options) as stack:
        blobs = AzureBlobs.connect(stack.endpoints.connection_string)
        install_bundle(bundle, blobs)
        lab = Lab(stack.endpoints)
        lab.drop(sample, random.Random(1).sample(files[:-1], len(files) - 1) + files[-1:])
        assert wait_for_plan(lab, sample, stack.check) == analysis
        watch(lab, analysis, stack.check, LIMIT_SECONDS)
        assert invariant(stack, sample, analysis) == expected


def test_a_killed_host_and_a_preempted_node_change_nothing_but_the_time(
    running: Running, finished: tuple[str, str, list[Path], Path], bundle: Path, tmp_path: Path
) -> None:
    sample, analysis, files, _ = finished
    settings = {**SETTINGS, "CHUNK_PAIRS": "200", "RECONCILE_SCHEDULE": "*/5 * * * * *"}
    with Stack(StackOptions(state=tmp_path / "stack", slots=1, settings=settings)) as stack:
        blobs = AzureBlobs.connect(stack.endpoints.connection_string)
        install_bundle(bundle, blobs)
        lab = Lab(stack.endpoints)
        lab.drop(sample, files)
        wait_for_plan(lab, sample, stack.check)
        killed = preempted = 0
        for _ in range(600):
            status = lab.analysis(analysis) or {}
            if not killed and status.get("chunks"):  # the split has begun; its message and its claim die with the host
                stack.kill_and_restart_functions()
                killed += 1
            if preempted < 2 and killed:
                answer = httpx.post(f"{stack.endpoints.batch}/local/preempt", timeout=30)
                preempted += answer.status_code == httpx.codes.OK
            if killed and preempted == 2:
                break
            time.sleep(0.1)
        assert (killed, preempted) == (1, 2)
        watch(lab, analysis, stack.check, LIMIT_SECONDS)
        assert invariant(stack, sample, analysis) == invariant(running.stack, sample, analysis)
