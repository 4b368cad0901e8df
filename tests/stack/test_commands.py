"""The commands as a user runs them: as processes, with their words and their ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infra.local.demo_data import make_demo_data

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 240


def argv(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "infra.local", *(str(argument) for argument in arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )


@contextmanager
def started(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running command and the lines it has printed; it is killed when the block ends and it still runs."""
    with subprocess.Popen(
        argv(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        lines: list[str] = []
        assert process.stdout is not None
        watchdog = threading.Timer(LIMIT_SECONDS, process.kill)
        watchdog.start()
        try:
            yield process, lines
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()


def read_until(process: subprocess.Popen[str], lines: list[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return line
    pytest.fail("ended without saying " + pattern + ":\n" + "".join(lines))


def processes_naming(text: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(int(folder.name))
    return found


def test_the_demo_ends_with_where_everything_is_and_leaves_no_process(tmp_path: Path) -> None:
    state = tmp_path / "demo-state"
    done = run("demo", "--state", state)
    assert done.returncode == 0, done.stdout + done.stderr
    for what, name in {
        "VCF": "DEMO001.annotated.vcf.gz",
        "FHIR report": "DEMO001.fhir.json",
        "clinician's page": "DEMO001.report.html",
        "quality": "DEMO001.qc.json",
    }.items():
        (place,) = re.findall(rf"^  {what} +(\S+)$", done.stdout, flags=re.MULTILINE)
        assert place.endswith(name)
        assert (ROOT / place).resolve().stat().st_size > 0
    assert (state / "results" / "lake" / "variants" / "_delta_log").is_dir()
    figures = json.loads((state / "results" / "DEMO001.qc.json").read_text())["metrics"]
    assert figures["contamination"]["value"] <= 0.005
    assert figures["identity_concordance"]["value"] > 0.98
    recalls = {kind: float(value) for kind, value in re.findall(r"(SNV|indel) .*recall (\S+)", done.stdout)}
    assert recalls["SNV"] > 0.98
    assert recalls["indel"] > 0.9
    assert processes_naming(str(state)) == []
    again = run("demo", "--state", state)
    assert again.returncode == 0, again.stdout + again.stderr
    analysis = re.findall(r"Analysis (\w{24}) has begun", done.stdout)
    assert re.findall(r"Analysis (\w{24}) has begun", again.stdout) == analysis


def test_a_demo_that_is_kept_up_is_used_by_the_next_run(tmp_path: Path) -> None:
    state = tmp_path / "kept-state"
    with started("demo", "--keep", "--state", state) as (process, lines):
        read_until(process, lines, "Ctrl-C stops it")
        again = run("demo", "--state", state)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "Using the stack that runs on" in again.stdout
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert processes_naming(str(state)) == []


def test_up_answers_until_it_is_interrupted_and_leaves_no_process(tmp_path: Path) -> None:
    state = tmp_path / "up-state"
    with started("up", "--state", state) as (process, lines):
        line = read_until(process, lines, r"functions +http")
        second = run("up", "--state", state)
        assert second.returncode == 1
        assert "A stack runs on" in second.stderr
        health = httpx.get(line.split()[1], timeout=60)
        assert (health.status_code, health.json()) == (httpx.codes.OK, {"healthy": True, "faults": {}})
        process.send_signal(signal.SIGINT)
        read_until(process, lines, "stopping the stack")
        assert process.wait(60) == 0
    assert processes_naming(str(state)) == []


def test_anyones_files_run_with_an_order_made_from_their_names(tmp_path: Path) -> None:
    data = make_demo_data(tmp_path / "data", sample="MINE", genome_bp=20_000, depth=12)
    folder = tmp_path / "fastq"
    folder.mkdir()
    for fastq in data.fastqs:
        fastq.rename(folder / fastq.name)
    out = tmp_path / "out"
    done = run(
        "sample", "--reference", data.fasta, "--clinvar", data.clinvar, "--gff", data.genes, "--fastq", folder,
        "--out", out, "--state", tmp_path / "state",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 reportable finding" in done.stdout
    assert (out / "MINE.annotated.vcf.gz").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("sample", "--reference", "nowhere.fa", "--fastq", "."), 1, "holds no FASTQ files"),
        (("sample", "--reference", "nowhere.fa", "--fastq", "nowhere"), 1, "nowhere is no folder"),
        (("sample",), 2, "required"),
        (("nonsense",), 2, "invalid choice"),
        (("reference", "install", "nowhere", "--blob-uri", "https://x"), 1, "holds no manifest.json"),
    ],
)
def test_wrong_arguments_end_with_a_sentence(arguments: tuple[str, ...], status: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
