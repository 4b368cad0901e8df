"""What was done: the genomic study and its analysis (profiles of Procedure)."""

from typing import Any, Final

from fhir.resources.R4B.procedure import Procedure

from shared.domain.report_case import DataFile, FileRole, ReportCase, Standing
from shared.domain.wording import (
    depth_sentence,
    methodology,
    purity_sentences,
    studied_regions,
    test_name,
    uncalled_regions,
)
from shared.fhir.codes import ASSEMBLY_ANSWER, System, profile
from shared.fhir.elements import (
    Element,
    answer,
    concept,
    concept_of,
    extension,
    fraction,
    moment,
    part,
    quantity,
    reference,
)
from shared.fhir.files import format_concept
from shared.fhir.links import Links, id_of
from shared.fhir.request import effective_time

LABORATORY_CATEGORY: Final = concept(System.OBSERVATION_CATEGORY, "laboratory", "Laboratory")

CHANGE_TYPES: Final = (
    ("SO:0001483", "SNV"),
    ("SO:0000667", "insertion"),
    ("SO:0000159", "deletion"),
)

_STATUS: Final = {Standing.FINAL: "completed", Standing.HELD: "on-hold", Standing.REJECTED: "stopped"}
_OUTPUTS: Final = (FileRole.VARIANTS, FileRole.ALL_SITES, FileRole.ALIGNMENTS)
_REGIONS: Final = (
    ("studied", FileRole.STUDIED_REGIONS),
    ("called", FileRole.CALLED_REGIONS),
    ("uncalled", FileRole.UNCALLED_REGIONS),
)


def study(links: Links) -> Procedure:
    """The genomic study: why, and which analysis."""
    order = links.case.plan.order
    return Procedure.model_validate(
        {
            "id": id_of(links.study),
            "meta": {"profile": [profile("genomic-study")]},
            "extension": [extension("genomic-study-analysis-ext", valueReference=reference(links.analysis))],
            "identifier": [links.identifier("study")],
            "basedOn": [links.based_on],
            "status": _STATUS[links.case.standing],
            "category": LABORATORY_CATEGORY,
            "code": concept(order.test.system or links.case.laboratory.system, order.test.code, order.test.display),
            "subject": links.subject,
            "performedDateTime": moment(effective_time(links.case)),
            "performer": [{"actor": links.performer}],
        }
    )


def study_analysis(links: Links) -> Procedure:
    """The analysis: of which specimen and reads, against what, with what, how deep, and what it left."""
    case = links.case
    extensions = [
        extension("genomic-study-analysis-title", valueString=test_name(case.plan.order)),
        extension(
            "genomic-study-analysis-method-type",
            valueCodeableConcept=concept(
                System.METHOD_TYPE, "ngs-mps", text="Next generation sequencing, massively parallel"
            ),
        ),
        *(
            extension(
                "genomic-study-analysis-change-type",
                valueCodeableConcept=concept(System.SEQUENCE_ONTOLOGY, code, display),
            )
            for code, display in CHANGE_TYPES
        ),
        extension("genomic-study-analysis-genomic-source-class", valueCodeableConcept=answer("LA6683-2")),
        extension("genomic-study-analysis-specimen", valueReference=reference(links.specimen)),
        extension("genomic-study-analysis-metrics", extension=_metrics(case)),
        extension("genomic-study-analysis-regions", extension=_regions(links)),
        extension(
            "genomic-study-analysis-device",
            extension=[
                part("device", valueReference=reference(links.device)),
                part("function", valueCodeableConcept=concept_of([], "Alignment, variant calling and annotation")),
            ],
        ),
        *(_file_extension(links, "genomic-study-analysis-input", file) for file in case.files_of(FileRole.READS)),
        *(
            _file_extension(links, "genomic-study-analysis-output", file)
            for role in _OUTPUTS
            for file in case.files_of(role)
        ),
    ]
    if build := ASSEMBLY_ANSWER.get(case.plan.reference.assembly):
        extensions.append(extension("genomic-study-analysis-genome-build", valueCodeableConcept=answer(build)))
    return Procedure.model_validate(
        {
            "id": id_of(links.analysis),
            "meta": {"profile": [profile("genomic-study-analysis")]},
            "extension": extensions,
            "identifier": [links.identifier("analysis")],
            "status": "completed",
            "category": LABORATORY_CATEGORY,
            "subject": links.subject,
            "performedDateTime": moment(case.issued),
            "performer": [{"actor": links.performer}],
            "note": [{"text": methodology(case)}],
        }
    )


def _metrics(case: ReportCase) -> list[Element]:
    quality = case.quality
    parts: list[dict[str, Any]] = []
    if quality.mean_depth is not None:
        depth = quantity(round(fraction(quality.mean_depth), 2), "reads per base", "1")
        parts.append(part("read-depth", valueQuantity=depth))
    if quality.fraction_20x is not None:
        covered = quantity(fraction(quality.fraction_20x), "fraction of bases with at least 20 reads", "1")
        parts.append(part("sequencing-coverage", valueQuantity=covered))
    sentences = [depth_sentence(case)]
    if quality.aligned_fraction is not None:
        sentences.append(f"{quality.aligned_fraction:.1%} of the reads are aligned.")
    if quality.duplicate_fraction is not None:
        sentences.append(f"{quality.duplicate_fraction:.1%} of the reads are duplicates.")
    sentences += purity_sentences(case)
    parts.append(part("metrics-description", valueString=" ".join(sentences)))
    return parts


def _regions(links: Links) -> list[Element]:
    """What was studied and what could not be called: this is what makes a negative report a statement."""
    description = f"Studied: {studied_regions(links.case)}. {uncalled_regions(links.case)}"
    return [
        part("description", valueString=description),
        *(
            part(name, valueReference=reference(links.file(file)))
            for name, role in _REGIONS
            for file in links.case.files_of(role)
        ),
    ]


def _file_extension(links: Links, name: str, file: DataFile) -> Element:
    return extension(
        name,
        extension=[
            part("file", valueReference=reference(links.file(file), file.title)),
            part("type", valueCodeableConcept=format_concept(file)),
        ],
    )
