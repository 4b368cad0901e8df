"""A node's copy of the reference bundles: fetched once, checked, shared by all tasks and functions of the node."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from shared import naming
from shared.domain.reference import BundleFile, ReferenceManifest, Role
from shared.errors import PermanentError, TransientError
from shared.ports import BlobStore

BLOCK_BYTES = 8 * 1024**2

ALIGNMENT = frozenset({Role.FASTA, Role.FASTA_INDEX, Role.DICT, Role.ALIGNER_INDEX})
CALLING = frozenset({Role.FASTA, Role.FASTA_INDEX, Role.DICT, Role.COMMON_SITES})
RECALIBRATION = CALLING | {Role.KNOWN_SITES, Role.KNOWN_SITES_INDEX}
ANNOTATION = frozenset({Role.FASTA, Role.FASTA_INDEX, Role.GENES, Role.GENES_INDEX, Role.CLINVAR, Role.CLINVAR_INDEX})


def fetch_bundle(
    name: str, manifest_sha256: str, roles: Iterable[Role], blobs: BlobStore, cache: Path
) -> tuple[ReferenceManifest, Path]:
    """Bring files of a bundle to this node unless they are here: (its manifest, the folder of its files).

    Each file's SHA-256 is checked when it is fetched; a file appears under its name only when it is right. Two tasks
    that start at once wait for each other instead of fetching twice.

    Args:
        name: The bundle.
        manifest_sha256: The manifest that the plan was frozen with.
        roles: Which files are needed.
        blobs: Where the bundle is.
        cache: Folder that the node's tasks share.

    Raises:
        PermanentError: When the bundle was changed since the plan was frozen.
        TransientError: When a file's bytes do not fit its checksum.
    """
    manifest = ReferenceManifest.model_validate_json(blobs.read(naming.manifest_blob(name)))
    if manifest.sha256 != manifest_sha256:
        raise PermanentError(
            f"Reference bundle '{name}' was replaced after the analysis was planned. Upload the order again to analyse "
            "against the new bundle; give bundles a version in their name so that they never change."
        )
    folder = cache / f"{name}-{manifest_sha256[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = set(roles)
    for file in manifest.files:
        if file.role in wanted and not _is_here(folder, file):
            _fetch(name, file, blobs, folder)
    return manifest, folder


def _is_here(folder: Path, file: BundleFile) -> bool:
    """Whether a file was fetched whole: a node that lost its power may have kept the name but not the bytes."""
    path = folder / file.path
    return path.exists() and path.stat().st_size == file.size


def _fetch(name: str, file: BundleFile, blobs: BlobStore, folder: Path) -> None:
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_here(folder, file):
            return
        partial = target.with_name(f".{target.name}.partial")
        sha256 = hashlib.sha256()
        with blobs.open(naming.bundle_blob(name, file.path)) as source, partial.open("wb") as out:
            while data := source.read(BLOCK_BYTES):
                sha256.update(data)
                out.write(data)
        if sha256.hexdigest() != file.sha256:
            found = partial.stat().st_size
            partial.unlink()
            raise TransientError(
                f"reference/{name}/{file.path} has {found:,} bytes with SHA-256 {sha256.hexdigest()}; its manifest "
                f"says {file.size:,} bytes with {file.sha256}. Install the bundle again if this persists."
            )
        shutil.move(partial, target)
