"""Find the genotypes that are known of a sample's person, and freeze them with its plan."""

import hashlib
import tempfile
from pathlib import Path

from shared import naming
from shared.domain.intake import Request, Waiting
from shared.domain.plan import Fingerprint, Plan
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.formats.fingerprint_vcf import read_genotypes
from shared.naming import BlobRef, Container, Result
from shared.ports import BlobFacts, BlobStore

MAX_BYTES = 64 * 1024**2
"""A VCF of an array of two million sites has a third of this, compressed."""


def named_fingerprint(request: Request, blobs: BlobStore) -> BlobFacts | Waiting | None:
    """The VCF that the order names; None when it names none.

    Raises:
        PermanentError: When it is far too large.
    """
    if request.order.fingerprint is None:
        return None
    ref = naming.landing_blob(f"{request.folder}/{request.order.fingerprint}")
    found = blobs.facts(ref)
    if found is None:
        return Waiting((ref.name,), f"The fingerprint {ref} that the order names is not there.")
    if found.size > MAX_BYTES:
        raise PermanentError(
            f"{ref} has {found.size:,} bytes; a fingerprint has at most {MAX_BYTES:,}. Upload the genotypes of common "
            "sites only."
        )
    return found


def with_fingerprint(plan: Plan, named: BlobFacts | None, blobs: BlobStore) -> Plan:
    """The plan with the genotypes to compare with, copied so that they stay as they are.

    Args:
        plan: Not yet written.
        named: What the order names; else the newest delivered analysis of the same sample name is taken.
        blobs: The data account.

    Raises:
        PermanentError: When the VCF that the order names is none, or was replaced meanwhile.
    """
    if named is not None:
        with blobs.open(named.ref, named.content) as stream:
            data = stream.read()
        with tempfile.TemporaryDirectory(prefix="fingerprint-") as folder:
            path = Path(folder) / named.ref.name.rpartition("/")[2]
            path.write_bytes(data)
            if not read_genotypes(path, plan.sample, plan.contigs):
                raise PermanentError(
                    f"{named.ref} has no genotype of a single-base allele on a contig of reference bundle "
                    f"{plan.reference.name}. Is it of another genome build, or empty?"
                )
        return _frozen(plan, named.ref, data, blobs)
    earlier = _newest_result(plan, blobs)
    return plan if earlier is None else _frozen(plan, earlier, blobs.read(earlier), blobs)


def _frozen(plan: Plan, source: BlobRef, data: bytes, blobs: BlobStore) -> Plan:
    fingerprint = Fingerprint(source=str(source), sha256=hashlib.sha256(data).hexdigest())
    blobs.create(naming.known_fingerprint_data(plan.analysis, fingerprint.sha256), data)
    return plan.model_copy(update={"fingerprint": fingerprint})


def _newest_result(plan: Plan, blobs: BlobStore) -> BlobRef | None:
    """The fingerprint of the sample's analysis that was delivered last."""
    listing = {facts.ref: facts for facts in blobs.list(Container.RESULTS, naming.sample_folder(plan.sample))}
    found = []
    for ref, facts in listing.items():
        marker = naming.parse_marker(ref.container, ref.name)
        if marker is None or marker.stage is not Stage.DELIVERED or marker.analysis == plan.analysis:
            continue
        result = naming.result_blob(plan.sample, marker.analysis, Result.FINGERPRINT)
        if result in listing:
            found.append((facts.modified, result.name, result))
    return max(found)[2] if found else None
