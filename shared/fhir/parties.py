"""Who is involved: the patient, the laboratory, and the pipeline as a Device."""

from fhir.resources.R4B.device import Device
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.patient import Patient

from shared.fhir.codes import System
from shared.fhir.elements import identifier, reference
from shared.fhir.links import PIPELINE_NAME, Links, id_of


def patient(links: Links) -> Patient | None:
    """The patient to find or create by identifier; None when the order names the EHR's own resource.

    It holds the identifier alone: demographics are the EHR's.
    """
    known = links.case.plan.order.patient.identifier
    if known is None:
        return None
    return Patient.model_validate({"identifier": [identifier(known.system, known.value)]})


def organization(links: Links) -> Organization:
    """The laboratory, identified by the URI under which it issues identifiers."""
    laboratory = links.case.laboratory
    return Organization.model_validate(
        {
            "id": id_of(links.organization),
            "identifier": [identifier(System.URI, laboratory.system)],
            "active": True,
            "name": laboratory.name,
        }
    )


def device(links: Links) -> Device:
    """The pipeline, with one version per program."""
    target = id_of(links.device)
    content = {
        "id": target,
        "identifier": [identifier(links.case.laboratory.system, f"{PIPELINE_NAME}/{target}")],
        "status": "active",
        "deviceName": [{"name": PIPELINE_NAME, "type": "user-friendly-name"}],
        "type": {"text": "Germline sequencing analysis software"},
        "owner": reference(links.organization, links.case.laboratory.name),
    }
    versions = [{"type": {"text": tool}, "value": version} for tool, version in sorted(links.case.tools.items())]
    if versions:
        content["version"] = versions
    return Device.model_validate(content)
