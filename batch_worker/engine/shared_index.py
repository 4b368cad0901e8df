"""One copy of the aligner's index in a node's memory (`/dev/shm`), which all tasks of the node map.

bwa-mem3 finds a staged index by the last part of its path alone, and asks nothing more: under the name `reference.fa`
it would take the index of any bundle. Here every staged copy has a name of its own, made of the bundle's identity and
a random part, and links in the task's scratch folder lead to it. Names that nobody staged are read from disk.

A lock on `/dev/shm` itself lets one task at a time look, drop and stage; the kernel frees it when the task dies. A task
holds a shared lock on the segment it uses. A segment without users is dropped when another one is to be staged, as is
one whose stager was killed (it never got into bwa-mem3's registry). The last segment goes with the node.
"""

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from batch_worker.process import stderr_to

log = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX puts what bwa-mem3 stages
SEGMENT_PREFIX = "bwaidx-"  # so bwa-mem3 names its segments
NAME_PREFIX = "fastq2fhir-"  # so we do, after that
_REGISTRY, _SEMAPHORE = SHARED_MEMORY / "bwactl", SHARED_MEMORY / "sem.bwactl_lock"
_INDEX_SUFFIXES = (".amb", ".ann", ".pac", ".0123", ".bwt.2bit.64")


@contextmanager
def index_prefix(reference: Path, identity: str, scratch: Path, chatter: Path, *, share: bool) -> Iterator[Path]:
    """A path under which the aligner finds the index while the block runs.

    Args:
        reference: `reference.fa` with the files of `build_index` beside it.
        identity: Of the bundle, such as a part of its manifest's digest; the same only for the same bytes.
        scratch: Folder of this task alone; links are made in it.
        chatter: What bwa-mem3 says while it stages is appended here.
        share: Whether to use the node's copy, staging it if need be. Where that is not possible, and when False, the
            aligner reads a copy of its own.
    """
    with ExitStack() as stack:
        prefix = None
        if share:
            try:
                prefix = stack.enter_context(_shared(reference, identity, scratch, chatter))
            except (OSError, RuntimeError) as error:
                log.warning("the aligner's index is not shared, this task reads its own copy: %s", error)
        yield prefix or _link(reference, scratch, f"private-{uuid.uuid4().hex}")


def drop_unused() -> int:
    """Drop the node's staged indexes that no task uses; how many."""
    with _lock(SHARED_MEMORY, fcntl.LOCK_EX):
        return _drop_unused()


@contextmanager
def _shared(reference: Path, identity: str, scratch: Path, chatter: Path) -> Iterator[Path]:
    """The node's copy, staged if it is not there."""
    with ExitStack() as use:
        with _lock(SHARED_MEMORY, fcntl.LOCK_EX):
            name = _find(identity)
            if name is None:
                _drop_unused()
                name = f"{NAME_PREFIX}{identity}-{uuid.uuid4().hex[:8]}"
                prefix = _link(reference, scratch, name)
                _stage(prefix, chatter)
                log.info("staged the aligner's index for this node as %s", name)
            else:
                prefix = _link(reference, scratch, name)
            use.enter_context(_lock(_segment(name), fcntl.LOCK_SH))
        yield prefix


def _stage(prefix: Path, chatter: Path) -> None:
    """Copy the index into shared memory, whole or not at all.

    Raises:
        OSError: When there is no room: a container has 64 MiB of its own unless it shares the node's (`--ipc=host`).
        RuntimeError: When bwa-mem3 cannot.
    """
    from bwa_mem3 import shm

    # The aligner would notice a full /dev/shm only by dying of it.
    wanted = sum(prefix.with_name(prefix.name + suffix).stat().st_size for suffix in _INDEX_SUFFIXES)
    room = os.statvfs(SHARED_MEMORY)
    free = room.f_bavail * room.f_frsize
    if free < wanted:
        raise OSError(f"{SHARED_MEMORY} has {free:,} bytes free, the index takes {wanted:,}")
    with stderr_to(chatter):
        shm.stage(str(prefix))
    if not shm.is_staged(str(prefix)):
        raise RuntimeError("bwa-mem3 did not stage it")


def _find(identity: str) -> str | None:
    """The name of the whole staged copy of a bundle's index, if there is one."""
    from bwa_mem3 import shm

    for segment in sorted(SHARED_MEMORY.glob(f"{SEGMENT_PREFIX}{NAME_PREFIX}{identity}-*")):
        name = segment.name.removeprefix(SEGMENT_PREFIX)
        if shm.is_staged(name):  # it is entered there when it is complete
            return name
    return None


def _drop_unused() -> int:
    """Remove our segments that no task uses, and bwa-mem3's registry when that leaves none at all."""
    dropped = 0
    for segment in SHARED_MEMORY.glob(f"{SEGMENT_PREFIX}{NAME_PREFIX}*"):
        try:
            with _lock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB):
                segment.unlink()
                dropped += 1
        except BlockingIOError:
            continue
    left = [segment.name for segment in SHARED_MEMORY.glob(f"{SEGMENT_PREFIX}*")]
    if all(name.startswith(SEGMENT_PREFIX + NAME_PREFIX) for name in left):
        # A stager that was killed leaves the semaphore taken for ever. We hold the lock, so nobody of us is inside.
        _SEMAPHORE.unlink(missing_ok=True)
    if not left:
        _REGISTRY.unlink(missing_ok=True)
    return dropped


def _segment(name: str) -> Path:
    return SHARED_MEMORY / f"{SEGMENT_PREFIX}{name}"


def _link(reference: Path, scratch: Path, name: str) -> Path:
    """Links to the reference's files under another name; the path without suffixes."""
    folder = scratch / "index"
    folder.mkdir(exist_ok=True)
    for file in reference.parent.glob(f"{reference.name}*"):
        (folder / (name + file.name.removeprefix(reference.name))).symlink_to(file.absolute())
    return folder / name


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a file or folder, which the kernel frees at the latest when this process ends."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
