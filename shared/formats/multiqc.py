"""A sample's own figures in the form that MultiQC adds to its table (custom content, `*_mqc.json`)."""

from collections.abc import Mapping

from shared.domain.ids import canonical_json
from shared.domain.qc import QcMetric

_COLUMNS: Mapping[str, tuple[str, str]] = {
    "mean_depth": ("Depth", "Mean depth over known bases, duplicates left out, reads"),
    "fraction_20x": (">= 20x", "Part of the known bases with 20 reads or more"),
    "duplicate_fraction": ("Duplicates", "Part of the mapped reads marked as duplicates"),
    "insert_size_median": ("Insert", "Median fragment length of properly paired pairs, bp"),
    "contamination": ("Contamination", "Part of the reads that is another person's"),
    "identity_concordance": ("Identity", "Part of the shared common sites with the genotype known of this person"),
    "sex_concordance": ("Sex", "1 when the reads show the sex that the order gives"),
    "on_target_fraction": ("On target", "Part of the aligned bases that lie in targets"),
}


def multiqc_table(sample: str, figures: Mapping[str, QcMetric]) -> bytes:
    """The figures that MultiQC cannot know from other tools' files, as a row of its general statistics."""
    shown = [name for name in _COLUMNS if name in figures]
    document = {
        "id": "fastq2fhir",
        "plot_type": "generalstats",
        "pconfig": [{name: {"title": _COLUMNS[name][0], "description": _COLUMNS[name][1]}} for name in shown],
        "data": {sample: {name: figures[name].value for name in shown}},
    }
    return canonical_json(document)
