"""Versions of the programs that decide results, for markers and reports."""

from importlib.metadata import version

from shared.formats.bcftools import htslib_versions

RELEASE = "0.1.0"
"""Version of this software."""


def engine_versions() -> dict[str, str]:
    """Aligner, caller and ourselves."""
    return {"fastq2fhir": RELEASE, "bwa-mem3": version("bwa-mem3"), **htslib_versions()}


def annotation_versions() -> dict[str, str]:
    """What annotates and ourselves."""
    return {"fastq2fhir": RELEASE, **htslib_versions()}


def index_versions() -> dict[str, str]:
    """What builds the aligner's index."""
    return {"aligner-index": f"bwa-mem2 format, suffix array by pydivsufsort {version('pydivsufsort')}"}
