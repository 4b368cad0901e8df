"""What an analysis is based on besides its reads: reference bundle, test definition, targets, known genotypes."""

from dataclasses import dataclass

from pydantic import ValidationError

from shared import naming
from shared.domain.intake import Request, Waiting
from shared.domain.order import Order
from shared.domain.reference import ReferenceManifest, Role
from shared.domain.test_definition import TestDefinition
from shared.errors import PermanentError
from shared.naming import Container
from shared.ports import BlobFacts, BlobStore
from shared.steps.known_fingerprint import named_fingerprint
from shared.steps.targets import FrozenTargets, find_targets, read_definition


@dataclass(frozen=True, slots=True)
class Basis:
    """What an order asks for besides reads.

    Attributes:
        manifest: Of the reference bundle.
        definition: Of the ordered test; None when the catalogue has none.
        targets: None for the whole genome.
        fingerprint: The VCF that the order names; None when it names none.
    """

    manifest: ReferenceManifest
    definition: TestDefinition | None
    targets: FrozenTargets | None
    fingerprint: BlobFacts | None


def find_basis(request: Request, blobs: BlobStore, *, freeze: bool) -> Basis | Waiting:
    """Find what an order names.

    Args:
        request: The order in its landing folder.
        blobs: The data account.
        freeze: Write down which definition of the test holds.

    Raises:
        PermanentError: For what is wrong or never can be found.
    """
    order = request.order
    fingerprint = named_fingerprint(request, blobs)
    if isinstance(fingerprint, Waiting):
        return fingerprint
    manifest = read_manifest(order.reference, blobs)
    _check_caller(order, manifest)
    definition = read_definition(request, blobs, freeze=freeze)
    targets = find_targets(request, definition, tuple(entry.to_contig() for entry in manifest.contigs), blobs)
    if isinstance(targets, Waiting):
        return targets
    return Basis(manifest, definition, targets, fingerprint)


def read_manifest(name: str, blobs: BlobStore) -> ReferenceManifest:
    """The manifest of an installed reference bundle.

    Raises:
        PermanentError: When it is not installed, naming those that are, or cannot be read.
    """
    data = blobs.find(naming.manifest_blob(name))
    if data is None:
        folders = (folder.rstrip("/") for folder in blobs.folders(Container.REFERENCE, ""))
        installed = ", ".join(folder for folder in folders if folder != naming.TESTS_FOLDER)
        raise PermanentError(
            f"Reference bundle '{name}' is not installed (installed: {installed or 'none'}). Correct `reference` in "
            "the order, or install the bundle with `./run reference install` and upload the order again."
        )
    try:
        return ReferenceManifest.model_validate_json(data)
    except ValidationError as error:
        raise PermanentError(
            f"{naming.manifest_blob(name)} is no valid manifest ({error.error_count()} faults). "
            "Install the bundle again with `./run reference install`."
        ) from error


def _check_caller(order: Order, manifest: ReferenceManifest) -> None:
    """Refuse an order whose caller needs what its reference bundle lacks."""
    if order.options.recalibrates and not manifest.of(Role.KNOWN_SITES):
        raise PermanentError(
            f"The order asks for `caller: gatk` with base quality recalibration, but reference bundle "
            f"'{order.reference}' has no known sites. Make a bundle with `./run reference make --known-sites` and name "
            "it in `reference`, or set `recalibrate` to false in the order's options; then upload the order again."
        )
