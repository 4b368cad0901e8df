"""Contamination, fingerprint and identity of a sample, from the tables of common sites that its shards left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared import naming
from shared.domain.contamination import estimate_contamination
from shared.domain.fingerprint import MIN_SHARED_SITES, compare, genotype
from shared.domain.plan import Plan
from shared.domain.qc import QcMetric
from shared.formats.fingerprint_vcf import read_genotypes, write_fingerprint
from shared.formats.site_table import read_site_table
from shared.naming import Result
from shared.ports import BlobStore


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """What the common sites gave: figures, and files among the results."""

    figures: dict[str, QcMetric]
    files: dict[Result, Path]


def site_figures(plan: Plan, tables: Sequence[Path], blobs: BlobStore, scratch: Path) -> SiteFigures:
    """Join the shards' tables; nothing comes of none, when the bundle has no common sites.

    Args:
        plan: The analysis; it says which genotypes are known.
        tables: One per shard, in shard order.
        blobs: Where the known genotypes are.
        scratch: For the fingerprint.
    """
    if not tables:
        return SiteFigures({}, {})
    counts = [one for table in tables for one in read_site_table(table)]
    figures: dict[str, QcMetric] = {}
    estimate = estimate_contamination(counts)
    if estimate is not None:
        figures["contamination"] = QcMetric(estimate.fraction)
        figures["contamination_sites"] = QcMetric(estimate.sites)
    genotypes = [genotype(one) for one in counts]
    out = scratch / "fingerprint.vcf.gz"
    index = write_fingerprint(genotypes, plan.sample, plan.contigs, out)
    if plan.fingerprint is not None:
        ref = naming.known_fingerprint_data(plan.analysis, plan.fingerprint.sha256)
        known = scratch / "known.vcf"
        known.write_bytes(blobs.read(ref))
        agreement = compare(genotypes, read_genotypes(known, plan.sample, plan.contigs))
        figures["identity_sites"] = QcMetric(agreement.shared)
        if agreement.shared >= MIN_SHARED_SITES:
            figures["identity_concordance"] = QcMetric(round(agreement.agreeing / agreement.shared, 6))
    return SiteFigures(figures, {Result.FINGERPRINT: out, Result.FINGERPRINT_INDEX: index})
