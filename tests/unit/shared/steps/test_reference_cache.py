"""A node's copies of reference bundles: fetched once, checked, never half."""

import hashlib
import io
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from shared import naming
from shared.domain.reference import BundleFile, ReferenceManifest, Role
from shared.errors import PermanentError, TransientError
from shared.naming import BlobRef
from shared.steps.reference_cache import fetch_bundle
from tests.factories import make_manifest
from tests.fakes import FakeBlobs

FILES = {"reference.fa": Role.FASTA, "reference.fa.fai": Role.FASTA_INDEX, "index/reference.0123": Role.ALIGNER_INDEX}


class CountingBlobs(FakeBlobs):
    """Counts how often each blob is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.readers_awaited = 0
        self._all_have_read = threading.Event()

    def read(self, ref: BlobRef) -> bytes:
        with self._lock:
            self.readers_awaited -= 1
        if self.readers_awaited <= 0:
            self._all_have_read.set()
        return super().read(ref)

    def open(self, ref: BlobRef, content: str | None = None, start: int = 0) -> BinaryIO:
        assert self._all_have_read.wait(timeout=10)
        self.opened.append(ref.name)
        return super().open(ref, content, start)


@pytest.fixture
def blobs() -> CountingBlobs:
    return CountingBlobs()


def install(blobs: FakeBlobs, **changed: bytes) -> ReferenceManifest:
    files = []
    for path, role in FILES.items():
        data = changed.get(role.name, f"bytes of {path}".encode())
        blobs.put(naming.bundle_blob("demo", path), data)
        files.append(BundleFile(path=path, role=role, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    manifest = make_manifest(files=tuple(files))
    blobs.put(naming.manifest_blob("demo"), manifest.to_json())
    return manifest


def fetch(blobs: FakeBlobs, manifest: ReferenceManifest, cache: Path, *roles: Role) -> Path:
    return fetch_bundle("demo", manifest.sha256, roles or tuple(Role), blobs, cache)[1]


def there(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_the_files_of_the_roles_are_fetched_whole_and_no_others(blobs: CountingBlobs, tmp_path: Path) -> None:
    folder = fetch(blobs, install(blobs), tmp_path, Role.FASTA, Role.ALIGNER_INDEX)
    assert there(folder) == ["index/reference.0123", "reference.fa"]
    assert (folder / "reference.fa").read_bytes() == b"bytes of reference.fa"


def test_what_is_here_is_not_fetched_again(blobs: CountingBlobs, tmp_path: Path) -> None:
    manifest = install(blobs)
    for _ in range(2):
        fetch(blobs, manifest, tmp_path)
    assert sorted(blobs.opened) == sorted(f"demo/{path}" for path in FILES)


def test_tasks_that_start_at_once_fetch_once(blobs: CountingBlobs, tmp_path: Path) -> None:
    manifest = install(blobs)
    blobs.readers_awaited = 8  # the first to fetch waits until all have found that nothing is here
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: fetch(blobs, manifest, tmp_path), range(8)))
    assert len(set(folders)) == 1
    assert len(blobs.opened) == len(FILES)


def test_a_file_that_does_not_fit_its_checksum_is_not_kept_and_is_tried_again(
    blobs: CountingBlobs, tmp_path: Path
) -> None:
    manifest = install(blobs)
    ref = naming.bundle_blob("demo", "reference.fa")
    blobs.put(ref, b"damaged")
    with pytest.raises(
        TransientError, match=r"reference/demo/reference\.fa has 7 bytes with SHA-256 .*Install the bund"
    ):
        fetch(blobs, manifest, tmp_path)
    assert "reference.fa" not in {path.name for path in tmp_path.rglob("*")}
    blobs.put(ref, b"bytes of reference.fa")
    assert "reference.fa" in there(fetch(blobs, manifest, tmp_path))


def test_a_fetch_that_died_half_way_is_begun_again(
    blobs: CountingBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = install(blobs)

    @contextmanager
    def torn(ref: BlobRef, content: str | None = None) -> Iterator[BinaryIO]:
        with FakeBlobs.open(blobs, ref, content) as stream:
            monkeypatch.setattr(stream, "read", lambda _size: (_ for _ in ()).throw(TransientError("cut off")))
            yield stream

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "open", torn)
        with pytest.raises(TransientError, match="cut off"):
            fetch(blobs, manifest, tmp_path)
    assert there(fetch(blobs, manifest, tmp_path)) == sorted(FILES)


def test_a_task_that_was_killed_while_fetching_leaves_no_half_file_and_no_lock(
    blobs: CountingBlobs, tmp_path: Path
) -> None:
    manifest = install(blobs)
    read, write = os.pipe()
    child = os.fork()
    if not child:  # another task of the node, killed when it has some bytes of the first file

        def kill(_ref: BlobRef, _content: str | None = None) -> BinaryIO:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        class Dying(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(3) or kill(BlobRef(naming.Container.REFERENCE, "")).read()

        blobs.open = lambda *_: Dying(b"byt")  # type: ignore[method-assign]
        os.close(read)
        fetch(blobs, manifest, tmp_path)
        os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b""  # its end of the pipe is closed: it is dead
    os.close(read)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert there(tmp_path / f"demo-{manifest.sha256[:16]}") == [".reference.fa.partial"]
    folder = fetch(blobs, manifest, tmp_path)
    assert there(folder) == sorted(FILES)
    assert (folder / "reference.fa").read_bytes() == b"bytes of reference.fa"


def test_a_file_that_lost_its_end_is_fetched_again(blobs: CountingBlobs, tmp_path: Path) -> None:
    manifest = install(blobs)
    cut = fetch(blobs, manifest, tmp_path) / "reference.fa"
    cut.write_bytes(b"byt")
    fetch(blobs, manifest, tmp_path)
    assert cut.read_bytes() == b"bytes of reference.fa"


def test_a_bundle_that_was_replaced_since_the_plan_is_refused(blobs: CountingBlobs, tmp_path: Path) -> None:
    planned = install(blobs)
    install(blobs, FASTA=b"another genome")
    with pytest.raises(
        PermanentError, match=r"'demo' was replaced after the analysis was planned.*give bundles a vers"
    ):
        fetch(blobs, planned, tmp_path)
    assert there(tmp_path) == []


def test_two_versions_of_a_bundle_lie_side_by_side(blobs: CountingBlobs, tmp_path: Path) -> None:
    first = fetch(blobs, install(blobs), tmp_path)
    second = fetch(blobs, install(blobs, FASTA=b"another genome"), tmp_path)
    assert first != second
    assert (first / "reference.fa").read_bytes() != (second / "reference.fa").read_bytes()
