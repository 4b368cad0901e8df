"""GATK as a program: where its jars are, which version, one run of one tool."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from batch_worker import commands
from batch_worker.process import run
from shared.errors import PermanentError

HEAP_MB = 3_072
"""Heap of a JVM, MB: a tool works in windows along the genome, so it does not grow with the shard."""

_JAR = re.compile(r"gatk-(\d+(?:\.\d+)+)\.jar")


@dataclass(frozen=True, slots=True)
class Gatk:
    """An installed GATK.

    Attributes:
        home: Folder of its jars.
        version: Such as `4.6.2.0`.
    """

    home: Path
    version: str

    def run(self, arguments: Sequence[str], *, scratch: Path, log: Path) -> None:
        """Run one tool to its end; what it says is appended to `log`.

        Args:
            arguments: From one of the functions of `commands`.
            scratch: Folder for temporary files.
            log: See above.

        Raises:
            TransientError: When it fails; carries its last words.
        """
        # GATK unpacks its native libraries there and names them by URL: a space in the path would be its end.
        folder = scratch if quote(str(scratch)) == str(scratch) else None
        with tempfile.TemporaryDirectory(prefix="gatk-", dir=folder) as temporary:
            run(commands.gatk(arguments, home=self.home, scratch=Path(temporary), heap_mb=HEAP_MB), log)


def find_gatk(home: Path) -> Gatk:
    """The GATK that is installed in a folder.

    Raises:
        PermanentError: When there is none, or no Java to run it.
    """
    versions = [match[1] for path in home.glob("gatk-*.jar") if (match := _JAR.fullmatch(path.name))]
    if len(versions) != 1:
        raise PermanentError(
            f"The order asks for `caller: gatk`, but this node has no GATK: {home} holds {len(versions)} files "
            "gatk-VERSION.jar, one is needed. The worker image brings it; on one's own machine `./run gatk` does. "
            "GATK_HOME names the folder."
        )
    if shutil.which("java") is None:
        raise PermanentError(
            "The order asks for `caller: gatk`, but this node has no `java` on its PATH. The worker image brings it; "
            "on one's own machine install a Java 17 runtime."
        )
    return Gatk(home, versions[0])


def link_reference(reference: Path, folder: Path) -> Path:
    """Links to `reference.fa`, its `.fai` and its `.dict` under the names that GATK looks for; the FASTA's link."""
    linked = folder / "reference.fa"
    linked.symlink_to(reference.resolve())
    linked.with_name("reference.fa.fai").symlink_to(reference.with_name(f"{reference.name}.fai").resolve())
    linked.with_name("reference.dict").symlink_to(reference.with_name(f"{reference.name}.dict").resolve())
    return linked
