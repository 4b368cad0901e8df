"""The report itself (profile genomic-report) and where it comes from (Provenance)."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.provenance import Provenance

from shared.domain.report_case import FileRole, Standing
from shared.domain.wording import conclude, disclaimer, methodology, test_name
from shared.fhir.codes import INTERPRETATION_ANSWER, System, profile
from shared.fhir.elements import Element, answer, concept, extension, identifier, instant, loinc, moment, reference
from shared.fhir.links import Links, id_of
from shared.fhir.request import effective_time

REPORT_CODE: Final = "51969-4"
"""LOINC: genetic analysis report."""

STATUS: Final = {Standing.FINAL: "final", Standing.HELD: "registered", Standing.REJECTED: "cancelled"}
"""R4's words for it. A held report is `registered` ("nothing yet available") and not `preliminary`, which promises
verified early results, nor `partial`, which promises some; a rejected one is `cancelled` ("unavailable because the
measurement was not completed"), which an EHR shows as an end without result."""


def diagnostic_report(links: Links, results: Sequence[str], page: bytes) -> DiagnosticReport:
    """The report: conclusion, all results, and the page that a person reads.

    Args:
        results: References of all Observations.
        page: The clinician's page, HTML in UTF-8.
    """
    case = links.case
    conclusion = conclude(case)
    content = {
        "id": id_of(links.report),
        "meta": {"profile": [profile("genomic-report")]},
        "extension": [
            extension("genomic-study-reference", valueReference=reference(links.study)),
            _note("test-methodology", "Test Methodology", methodology(case)),
            _note("test-disclaimer", "Test Disclaimer", disclaimer(case)),
        ],
        "identifier": [links.identifier("report")],
        "basedOn": [links.based_on],
        "status": STATUS[case.standing],
        "category": [concept(System.DIAGNOSTIC_SERVICE, "GE", "Genetics")],
        "code": {**loinc(REPORT_CODE, "Genetic analysis report"), "text": test_name(case.plan.order)},
        "subject": links.subject,
        "effectiveDateTime": moment(effective_time(case)),
        "issued": instant(case.issued),
        "performer": [links.performer],
        "resultsInterpreter": [links.performer],
        "specimen": [reference(links.specimen)],
        "conclusion": conclusion.text,
        "presentedForm": [
            {
                "contentType": "text/html; charset=utf-8",
                "language": "en",
                "data": base64.b64encode(page).decode(),
                "title": f"{case.plan.order.test.display}: report",
                "size": len(page),
                # R4 defines this hash as SHA-1; it finds a damaged copy and guards nothing.
                "hash": base64.b64encode(hashlib.sha1(page, usedforsecurity=False).digest()).decode(),
                "creation": instant(case.issued),
            }
        ],
    }
    if conclusion.interpretation:
        content["conclusionCode"] = [answer(INTERPRETATION_ANSWER[conclusion.interpretation])]
    if results:
        content["result"] = [reference(result) for result in results]
    return DiagnosticReport.model_validate(content)


def _note(code: str, display: str, text: str) -> Element:
    annotation = {
        "extension": [extension("annotation-code", valueCodeableConcept=concept(System.NOTE_TYPE, code, display))],
        "text": text,
    }
    return extension("genomic-report-note", valueAnnotation=annotation)


def provenance(links: Links) -> Provenance:
    """Who made the report, with what, from which file; who decided, when its sample missed its quality limits."""
    sources = links.case.files_of(FileRole.VARIANTS)
    agents: list[Element] = [
        {"type": concept(System.PARTICIPANT, "assembler", "Assembler"), "who": reference(links.device)},
        {"type": concept(System.PARTICIPANT, "author", "Author"), "who": links.performer},
    ]
    if decision := links.case.decision:
        decider = identifier(f"{links.case.laboratory.system}/staff", decision.by)
        verifier = concept(System.PARTICIPANT, "verifier", "Verifier")
        agents.append({"type": verifier, "who": {"identifier": decider, "display": decision.by}})
    content = {
        "id": id_of(links.provenance),
        "target": [reference(links.report)],
        "recorded": instant(links.case.issued),
        "agent": agents,
    }
    if sources:
        content["entity"] = [{"role": "source", "what": reference(links.file(file))} for file in sources]
    return Provenance.model_validate(content)
