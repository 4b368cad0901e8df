"""GATK for this machine: its jars, brought by Maven as `batch_worker/gatk/pom.xml` says, kept in `.local/gatk`.

GATK is optional here: without Java or Maven everything but `caller: gatk` works.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.local.part import ROOT, STATE

POM = ROOT / "batch_worker" / "gatk" / "pom.xml"
INSTALL_LIMIT_SECONDS = 900
_STAMP = ".complete"


@dataclass(frozen=True, slots=True)
class GatkAnswer:
    """Where GATK is, or why it is not here.

    Attributes:
        home: Folder of its jars; None without GATK.
        reason: One sentence; empty with GATK.
    """

    home: Path | None
    reason: str = ""


def installed_gatk(cache: Path = STATE / "gatk") -> GatkAnswer:
    """The GATK that was brought before, of this very POM."""
    home = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if shutil.which("java") is None:
        return GatkAnswer(None, "no `java` on the PATH; install a Java 17 runtime")
    if not (home / _STAMP).is_file():
        return GatkAnswer(None, "GATK was not brought yet; `./run gatk` does it")
    return GatkAnswer(home)


def ensure_gatk(cache: Path = STATE / "gatk") -> GatkAnswer:
    """Bring GATK unless it is here; processes that ask at the same time wait for the first one.

    The stamp is written last, so that a broken download is repeated.
    """
    found = installed_gatk(cache)
    if found.home is not None or shutil.which("java") is None:
        return found
    maven = shutil.which("mvn")
    if maven is None:
        return GatkAnswer(None, "no `mvn` on the PATH; install Maven")
    home = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / _STAMP).is_file():
            shutil.rmtree(home, ignore_errors=True)
            print("bringing GATK with Maven (once; about 430 MB)", file=sys.stderr, flush=True)
            reason = _copy_dependencies(maven, home)
            if reason:
                return GatkAnswer(None, reason)
            (home / _STAMP).touch()
    return GatkAnswer(home)


def _copy_dependencies(maven: str, home: Path) -> str:
    """Let Maven copy the jars; why it could not, or nothing."""
    argv = [maven, "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies"]
    argv.append(f"-DoutputDirectory={home}")
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"Maven did not end within {INSTALL_LIMIT_SECONDS} s; can its repository be reached?"
    if done.returncode != 0:
        words = [line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line]
        return f"Maven could not bring GATK (exit status {done.returncode}): {' '.join(words[:2])}"
    return ""
