"""Quality figures of a sample, from the counts of its chunks and shards. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

DEPTHS = (1, 10, 20, 30)
"""Depths (reads) for which the covered part of the reference is told."""


@dataclass(frozen=True, slots=True)
class QcMetric:
    """A figure with its UCUM unit; `1` for a count or a fraction."""

    value: float
    unit: str = "1"


FIGURES = (
    "bases", "callable_bases", "contamination", "contamination_sites", "duplicate_fraction", "duplicate_reads",
    "fraction_10x", "fraction_1x", "fraction_20x", "fraction_30x", "gc_fraction", "het_hom_ratio",
    "identity_concordance", "identity_sites", "indels", "insert_size_mad", "insert_size_median", "mapped_fraction",
    "mapped_reads", "mean_depth", "median_depth", "on_target_fraction", "properly_paired_fraction", "q30_fraction",
    "read_pairs", "sex_concordance", "single_reads", "snvs", "transition_transversion_ratio", "variants",
    "variants_pass",
)  # fmt: skip
"""Names of the figures that a sample can have; docs/qc.md defines each."""

LONGEST_INSERT_BP = 2_000
"""The last bin of an insert-size histogram; it holds longer ones too."""

DEEPEST = 500
"""The last bin of a depth histogram; it holds deeper positions too."""


def summarise_reads(
    pairs: int, chunks: Mapping[str, int], duplicates: int, insert_sizes: Sequence[int], *, single_reads: int = 0
) -> dict[str, QcMetric]:
    """The figures of a read group's reads, or of all of a sample.

    Args:
        pairs: Read pairs.
        chunks: Summed metrics of the aligned markers.
        duplicates: Duplicate reads.
        insert_sizes: Summed histogram of the aligned markers.
        single_reads: Single-end reads.
    """
    reads, bases, mapped = 2 * pairs + single_reads, chunks.get("bases", 0), chunks.get("primary_mapped", 0)
    figures: dict[str, QcMetric] = {
        "read_pairs": QcMetric(pairs),
        "bases": QcMetric(bases, "{base}"),
        "mapped_reads": QcMetric(mapped),
        "duplicate_reads": QcMetric(duplicates),
    }
    if single_reads:
        figures["single_reads"] = QcMetric(single_reads)
    if insert_sizes:
        median = _median(enumerate(insert_sizes))
        # In the open last bin the median is only known to be long.
        if median is not None and median < LONGEST_INSERT_BP:
            figures["insert_size_median"] = QcMetric(median, "{base}")
            spread = _median((abs(bp - median), count) for bp, count in enumerate(insert_sizes))
            assert spread is not None, "what has a median has a spread"
            figures["insert_size_mad"] = QcMetric(spread, "{base}")
    return figures | _ratios(
        {
            "q30_fraction": (chunks.get("q30_bases", 0), bases),
            "gc_fraction": (chunks.get("gc_bases", 0), bases - chunks.get("n_bases", 0)),
            "mapped_fraction": (mapped, reads),
            "properly_paired_fraction": (chunks.get("properly_paired", 0), 2 * pairs),
            "duplicate_fraction": (duplicates, mapped),
        }
    )


def summarise(
    pairs: int,
    chunks: Mapping[str, int],
    shards: Mapping[str, int],
    variants: int,
    insert_sizes: Sequence[int] = (),
    *,
    sex_agrees: bool | None = None,
    single_reads: int = 0,
) -> dict[str, QcMetric]:
    """The figures of a sample; a figure that would divide by nothing is left out.

    Args:
        pairs: Read pairs.
        chunks: Summed metrics of the aligned markers.
        shards: Summed metrics of the called markers; `depth_{n}` is the number of positions with n reads over them, the
            highest n standing for that many and more.
        variants: Records of the gathered VCF.
        insert_sizes: Summed histogram of the aligned markers.
        sex_agrees: Whether the sex that the order gives is the one that the reads show; None when either is unknown.
        single_reads: Single-end reads.
    """
    duplicates = shards.get("duplicates", 0)
    figures = summarise_reads(pairs, chunks, duplicates, insert_sizes, single_reads=single_reads) | {
        "callable_bases": QcMetric(shards.get("callable_bp", 0), "{base}"),
        "variants": QcMetric(variants),
        "variants_pass": QcMetric(shards.get("variants_pass", 0)),
        "snvs": QcMetric(shards.get("snvs", 0)),
        "indels": QcMetric(shards.get("indels", 0)),
    }
    ratios = {
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
    median = _median(bins.items())
    if median is not None and median < DEEPEST:
        figures["median_depth"] = QcMetric(median)
    return dict(sorted((figures | _ratios(ratios)).items()))


def add_histograms(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """The sum bin by bin of histograms that may end early."""
    return tuple(sum(bins) for bins in zip_longest(*histograms, fillvalue=0))


def _ratios(parts: Mapping[str, tuple[int, int]]) -> dict[str, QcMetric]:
    """Part by whole; without those that have no whole."""
    return {name: QcMetric(round(part / whole, 6)) for name, (part, whole) in parts.items() if whole}


def _median(bins: Iterable[tuple[float, int]]) -> float | None:
    """The median of values with their counts; the mean of the middle two of an even number; None of nothing."""
    ordered = sorted((value, count) for value, count in bins if count)
    total = sum(count for _, count in ordered)
    if not total:
        return None
    middle: list[float] = []
    passed = 0
    for value, count in ordered:
        passed += count
        if not middle and passed > (total - 1) // 2:
            middle.append(value)
        if passed > total // 2:
            return (middle[0] + value) / 2
    raise AssertionError("the last bin reaches the total")
