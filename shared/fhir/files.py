"""Data files as DocumentReference (profile genomic-data-file)."""

from typing import Any, Final

from fhir.resources.R4B.documentreference import DocumentReference

from shared.domain.report_case import DataFile, FileRole
from shared.fhir.codes import System, profile
from shared.fhir.elements import Element, concept, concept_of, instant, reference
from shared.fhir.links import Links, id_of

DESCRIPTION: Final = {
    FileRole.READS: "Reads as they came from the sequencer",
    FileRole.ALIGNMENTS: "Reads aligned to the reference",
    FileRole.VARIANTS: "All variants that were called, with annotation",
    FileRole.VARIANTS_INDEX: "Index of the file of variants",
    FileRole.ALL_SITES: "Variants and blocks of reference sites with their depth",
    FileRole.STUDIED_REGIONS: "Regions that were studied",
    FileRole.CALLED_REGIONS: "Regions that could be called",
    FileRole.UNCALLED_REGIONS: "Regions that could not be called",
    FileRole.QUALITY: "Quality figures with the limits that they were judged by",
}

_FORMATS: Final = (
    (".bam", "bam", "BAM"),
    (".cram", "cram", "CRAM"),
    (".vcf", "vcf", "VCF"),
    (".bed", "bed", "BED"),
)
"""Formats that the guide has codes for, by file name."""


def format_concept(file: DataFile) -> Element:
    """A file's format; the guide's code where it has one, else in words."""
    name = file.title.lower().removesuffix(".gz")
    for suffix, code, display in _FORMATS:
        if name.endswith(suffix):
            return concept(System.DATA_FORMAT, code, display)
    words = {
        FileRole.READS: "FASTQ",
        FileRole.VARIANTS_INDEX: "Index (tabix)",
        FileRole.QUALITY: "Quality figures (JSON)",
    }
    return concept_of([], words.get(file.role, file.content_type))


def data_file(links: Links, file: DataFile) -> DocumentReference:
    """A data file with its address, size and SHA-1; an index refers to the file that it belongs to."""
    attachment: dict[str, Any] = {
        "contentType": file.content_type,
        "url": file.url,
        "title": file.title,
        "size": file.size,
    }
    target = links.file(file)
    content: dict[str, Any] = {
        "id": id_of(target),
        "meta": {"profile": [profile("genomic-data-file")]},
        "identifier": [links.identifier(f"{file.role}/{file.title}")],
        "status": "current",
        "type": format_concept(file),
        "subject": links.subject,
        "author": [reference(links.device)],
        "custodian": links.performer,
        "description": DESCRIPTION[file.role],
        "content": [{"attachment": attachment}],
    }
    if file.sha1:
        attachment["hash"] = file.sha1
    if file.created:
        attachment["creation"] = instant(file.created)
        content["date"] = instant(file.created)
    if file.role is FileRole.READS:
        del content["author"]  # the sequencer wrote them, not the pipeline
    if file.role is FileRole.VARIANTS_INDEX and (indexed := links.case.files_of(FileRole.VARIANTS)):
        content["relatesTo"] = [{"code": "appends", "target": reference(links.file(indexed[0]))}]
    return DocumentReference.model_validate(content)
