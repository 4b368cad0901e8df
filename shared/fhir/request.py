"""What was asked for and of what: the order and the specimen."""

from datetime import datetime
from typing import Any, Final

from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.specimen import Specimen

from shared.domain.report_case import ReportCase, Standing
from shared.fhir.codes import SPECIMEN_TYPES, System
from shared.fhir.elements import concept, identifier, moment, reference
from shared.fhir.links import Links, id_of

_STATUS: Final = {Standing.FINAL: "completed", Standing.HELD: "active", Standing.REJECTED: "revoked"}


def effective_time(case: ReportCase) -> datetime:
    """When the results were true: when the specimen was collected, else received, else the reads came in."""
    specimen = case.plan.order.specimen
    return specimen.collected or specimen.received or case.plan.received


def specimen(links: Links) -> Specimen:
    """The specimen."""
    ordered = links.case.plan.order.specimen
    accession = identifier(links.case.laboratory.system, links.accession)
    content: dict[str, Any] = {
        "id": id_of(links.specimen),
        "identifier": [accession],
        "accessionIdentifier": accession,
        "status": "available",
        "type": concept(System.SPECIMEN_TYPE, ordered.type, SPECIMEN_TYPES.get(ordered.type, "")),
        "subject": links.subject,
    }
    if ordered.received:
        content["receivedTime"] = moment(ordered.received)
    if ordered.collected:
        content["collection"] = {"collectedDateTime": moment(ordered.collected)}
    return Specimen.model_validate(content)


def service_request(links: Links) -> ServiceRequest | None:
    """The laboratory's order; None when the EHR has its own, see `Links.based_on`."""
    order = links.case.plan.order
    if order.requisition:
        return None
    return ServiceRequest.model_validate(
        {
            "id": id_of(links.service_request),
            "identifier": [links.identifier("order")],
            "status": _STATUS[links.case.standing],
            "intent": "order",
            "code": concept(order.test.system or links.case.laboratory.system, order.test.code, order.test.display),
            "subject": links.subject,
            "performer": [links.performer],
            "specimen": [reference(links.specimen)],
        }
    )
