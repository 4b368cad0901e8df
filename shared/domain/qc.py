"""Quality figures of a sample, from the counts of its chunks and shards. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

DEPTHS = (1, 10, 20, 30)
"""Depths (reads) for which the covered part of the reference is told."""


@dataclass(frozen=True, slots=True)
class QcMetric:
    """A figure with its UCUM unit; `1` for a count or a fraction."""

    value: float
    unit: str = "1"


FIGURES = (
    "bases", "callable_bases", "contamination", "duplicate_fraction", "duplicate_reads", "fraction_10x", "fraction_1x",
    "fraction_20x", "fraction_30x", "gc_fraction", "het_hom_ratio", "identity_concordance", "indels",
    "insert_size_median", "mapped_fraction", "mapped_reads", "mean_depth", "on_target_fraction",
    "properly_paired_fraction", "q30_fraction", "read_pairs", "sex_concordance", "snvs",
    "transition_transversion_ratio", "variants", "variants_pass",
)  # fmt: skip
"""Names of the figures that a sample can have."""


def summarise(
    pairs: int,
    chunks: Mapping[str, int],
    shards: Mapping[str, int],
    variants: int,
    *,
    sex_agrees: bool | None = None,
) -> dict[str, QcMetric]:
    """The figures of a sample; a figure that would divide by nothing is left out.

    Args:
        pairs: Read pairs.
        chunks: Summed metrics of the aligned markers.
        shards: Summed metrics of the called markers; `depth_{n}` is the number of positions with n reads over them, the
            highest n standing for that many and more.
        variants: Records of the gathered VCF.
        sex_agrees: Whether the sex that the order gives is the one that the reads show; None when either is unknown.
    """
    reads = 2 * pairs
    figures: dict[str, QcMetric] = {
        "read_pairs": QcMetric(pairs),
        "bases": QcMetric(chunks.get("bases", 0), "{base}"),
        "mapped_reads": QcMetric(shards.get("primary_mapped", 0)),
        "duplicate_reads": QcMetric(shards.get("duplicates", 0)),
        "callable_bases": QcMetric(shards.get("callable_bp", 0), "{base}"),
        "variants": QcMetric(variants),
        "variants_pass": QcMetric(shards.get("variants_pass", 0)),
        "snvs": QcMetric(shards.get("snvs", 0)),
        "indels": QcMetric(shards.get("indels", 0)),
    }
    ratios = {
        "q30_fraction": (chunks.get("q30_bases", 0), chunks.get("bases", 0)),
        "mapped_fraction": (shards.get("primary_mapped", 0), reads),
        "duplicate_fraction": (shards.get("duplicates", 0), shards.get("primary_mapped", 0)),
        "mean_depth": (shards.get("depth_sum", 0), shards.get("callable_bp", 0)),
        "transition_transversion_ratio": (shards.get("transitions", 0), shards.get("transversions", 0)),
        "het_hom_ratio": (shards.get("heterozygous", 0), shards.get("homozygous", 0)),
    }
    if "on_target" in shards:
        ratios["on_target_fraction"] = (shards["on_target"], shards.get("primary_mapped", 0))
    if sex_agrees is not None:
        figures["sex_concordance"] = QcMetric(int(sex_agrees))
    bins = {
        int(name.removeprefix("depth_")): count
        for name, count in shards.items()
        if name.startswith("depth_") and name.removeprefix("depth_").isdigit()
    }
    for depth in DEPTHS:
        covered = sum(count for at, count in bins.items() if at >= depth)
        ratios[f"fraction_{depth}x"] = (covered, shards.get("callable_bp", 0))
    for name, (part, whole) in ratios.items():
        if whole:
            figures[name] = QcMetric(round(part / whole, 6))
    return dict(sorted(figures.items()))
