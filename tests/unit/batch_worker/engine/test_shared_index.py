"""One index per node: shared by the tasks that want the same, never taken for another's, never left behind by the dead.

These tests use the real /dev/shm. They hold on to what they assert about, because others may drop what is not in use.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from bwa_mem3 import BwaIndex, shm

from batch_worker.engine import shared_index
from batch_worker.engine.shared_index import SHARED_MEMORY, drop_unused, index_prefix
from batch_worker.process import stderr_to
from tests.engine_pipeline import align_all

pytestmark = pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="there is no /dev/shm here")


@pytest.fixture
def bundle() -> Iterator[str]:
    """An identity of this test alone; nothing of it stays."""
    yield uuid4().hex[:16]
    drop_unused()


def segments(bundle: str) -> list[Path]:
    return sorted(SHARED_MEMORY.glob(f"bwaidx-fastq2fhir-{bundle}-*"))


@pytest.fixture
def use(reference: Path, tmp_path: Path):
    """Enter the index as a task of its own would."""

    def enter(bundle: str, share: bool = True, of: Path = reference) -> AbstractContextManager[Path]:
        scratch = tmp_path / uuid4().hex
        scratch.mkdir()
        return index_prefix(of, bundle, scratch, scratch / "log", share=share)

    return enter


def load(prefix: Path, log: Path) -> str:
    """Open the index; what the aligner says of it."""
    with stderr_to(log):
        index = BwaIndex(str(prefix))
    assert index.contigs()[0] == ("chrA", 8_000)
    return log.read_text()


def test_two_tasks_map_one_copy(bundle: str, use, tmp_path: Path) -> None:
    with use(bundle) as first, use(bundle) as second:
        assert len(segments(bundle)) == 1
        assert first != second
        for number, prefix in enumerate((first, second)):
            assert "attached from shm" in load(prefix, tmp_path / str(number))


def test_alignments_are_the_same_with_the_shared_copy(bundle: str, use, world, reference, tmp_path: Path) -> None:
    shards = run_shards(reference)
    own = align_all(world, reference, tmp_path / "own", shards, 10**6)
    with use(bundle) as prefix:
        shared = align_all(world, prefix, tmp_path / "shared", shards, 10**6)
        assert "attached from shm" in (tmp_path / "shared" / "align.log").read_text()
    for one, two in zip(own, shared, strict=True):
        assert [p.path.read_bytes() for p in one.parts] == [p.path.read_bytes() for p in two.parts]


def run_shards(reference: Path):
    from batch_worker.engine.header import read_dict
    from shared.domain.genome import cut_shards

    return cut_shards(read_dict(reference.with_name("reference.fa.dict")), 4_000)


def test_tasks_that_start_at_once_stage_once(bundle: str, use) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        prefixes = list(pool.map(lambda _: stack.enter_context(use(bundle)), range(6)))
        assert len(segments(bundle)) == 1
        assert len({prefix.name for prefix in prefixes}) == 1


def test_without_sharing_a_copy_that_somebody_staged_is_not_taken(bundle: str, use, tmp_path: Path) -> None:
    with use(bundle), use(bundle, share=False) as prefix:
        assert not shm.is_staged(str(prefix))
        assert "shm" not in load(prefix, tmp_path / "log")


def test_another_bundle_of_the_same_file_name_gets_its_own_copy(bundle: str, use) -> None:
    other = uuid4().hex[:16]
    with use(bundle) as first, use(other) as second:
        assert first.name != second.name
        assert (len(segments(bundle)), len(segments(other))) == (1, 1)


def test_staging_another_bundle_drops_what_no_task_uses_and_nothing_else(bundle: str, use) -> None:
    used = uuid4().hex[:16]
    with use(used):
        with use(bundle):
            pass
        with use(uuid4().hex[:16]):
            assert segments(bundle) == []
            assert len(segments(used)) == 1


def test_what_was_dropped_can_be_staged_again_beside_one_in_use(bundle: str, use, tmp_path: Path) -> None:
    with use(uuid4().hex[:16]):
        for number in range(3):
            with use(bundle) as prefix:
                assert "attached from shm" in load(prefix, tmp_path / str(number))
            drop_unused()


def test_nothing_is_left_when_the_last_copy_is_dropped(bundle: str, use) -> None:
    with use(bundle):
        pass
    if drop_unused() and not list(SHARED_MEMORY.glob("bwaidx-*")):
        assert not list(SHARED_MEMORY.glob("bwactl*"))
        assert not list(SHARED_MEMORY.glob("sem.bwactl*"))
    assert segments(bundle) == []


def test_what_a_killed_stager_left_is_cleared_away(bundle: str, use, tmp_path: Path) -> None:
    half = SHARED_MEMORY / f"bwaidx-fastq2fhir-{bundle}-0badbad0"
    half.write_bytes(b"\0" * 1_000)
    libc = ctypes.CDLL(None)
    libc.sem_open.restype = ctypes.c_void_p
    # bwa-mem3's lock, taken by nobody that lives: staging would wait for ever
    assert libc.sem_open(b"/bwactl_lock", os.O_CREAT, 0o644, 0)
    with use(bundle) as prefix:
        assert not half.exists()
        assert "attached from shm" in load(prefix, tmp_path / "log")


def test_a_killed_task_holds_nothing(bundle: str, reference: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from batch_worker.engine.shared_index import index_prefix\n"
        "scratch = Path(sys.argv[3])\n"
        "with index_prefix(Path(sys.argv[1]), sys.argv[2], scratch, scratch / 'log', share=True):\n"
        "    print('in', flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", code, str(reference), bundle, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4]) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"in\n"
        drop_unused()
        assert len(segments(bundle)) == 1  # it is in use
        task.send_signal(signal.SIGKILL)
    drop_unused()
    assert segments(bundle) == []


def test_without_room_a_task_reads_its_own_copy_and_says_so(
    bundle: str, use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = SimpleNamespace(f_bavail=1, f_frsize=4_096)
    monkeypatch.setattr(shared_index.os, "statvfs", lambda _: room)
    with use(bundle) as prefix:
        assert "shm" not in load(prefix, tmp_path / "log")
    assert "is not shared, this task reads its own copy: /dev/shm has 4,096 bytes free, the index takes" in caplog.text
    assert segments(bundle) == []
