"""The transaction bundle of one report, its parts when it is large, and the count that the ledger compares."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.resource import Resource

from shared.domain.ids import canonical_json
from shared.domain.report_case import ReportCase
from shared.errors import PermanentError
from shared.fhir import files, implication, parties, request, study
from shared.fhir.codes import System, profile
from shared.fhir.diagnostic_report import diagnostic_report, provenance
from shared.fhir.links import Links
from shared.fhir.variant import VARIANT_CODE, variant

MAX_ENTRIES: Final = 500
"""Entries that the FHIR service of Azure Health Data Services takes in one transaction."""

_LAST_TYPES: Final = ("DiagnosticReport", "Provenance")


def build_bundle(case: ReportCase, page: str) -> bytes:
    """The report as a FHIR R4 transaction, the same bytes for the same case and page.

    Pipeline-owned resources, the laboratory among them, are put under ids made from what they are, so that posting
    twice changes nothing. The patient is created only if no resource has the identifier; a patient that the order
    names by reference is only referred to.

    Entries stand in the order in which they refer to each other (except the report's own), as `split_bundle` needs.

    Args:
        page: The clinician's page as HTML; it becomes the report's presentedForm.
    """
    links = Links(case)
    observations = [variant(links, finding) for finding in case.findings]
    for finding in case.findings:
        observations.append(implication.diagnostic_implication(links, finding))
        observations.extend(implication.molecular_consequences(links, finding))
    observations.extend(implication.phases(links))
    results = [f"Observation/{observation.id}" for observation in observations]
    owned: list[Resource | None] = [
        parties.organization(links),
        parties.device(links),
        request.specimen(links),
        request.service_request(links),
        *(files.data_file(links, file) for file in case.files),
        study.study_analysis(links),
        study.study(links),
        *observations,
        diagnostic_report(links, results, page.encode()),
        provenance(links),
    ]
    patient = parties.patient(links)
    entries = [_shared_entry(links.patient, patient)] if patient is not None else []
    entries += [_owned_entry(case.fhir_base.rstrip("/"), resource) for resource in owned if resource is not None]
    bundle = Bundle.model_validate({"type": "transaction", "entry": entries})
    return canonical_json(json.loads(bundle.model_dump_json()))


def _owned_entry(base: str, resource: Resource) -> dict[str, Any]:
    target = f"{resource.get_resource_type()}/{resource.id}"
    return {
        "fullUrl": f"{base}/{target}",
        "resource": resource,
        "request": {"method": "PUT", "url": target},
    }


def _shared_entry(full_url: str, resource: Any) -> dict[str, Any]:
    known = resource.identifier[0]
    condition = quote(f"{_escape(known.system)}|{_escape(known.value)}", safe="")
    return {
        "fullUrl": full_url,
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource.get_resource_type(),
            "ifNoneExist": f"identifier={condition}",
        },
    }


def _escape(value: str) -> str:
    """A value as a search parameter holds it (R4 3.1.1.4.0.1): an unescaped comma would match other people."""
    return re.sub(r"([\\$,|])", r"\\\1", value)


def split_bundle(bundle: bytes, max_entries: int = MAX_ENTRIES) -> tuple[bytes, ...]:
    """A bundle as transactions of at most `max_entries` entries, to be posted in order.

    One that fits stays as it is. Otherwise files, studies and observations come first and the DiagnosticReport
    with its Provenance last, so that whoever sees the report sees all of it. Shared resources stand in every part,
    because a `urn:uuid:` means something within one transaction only.

    Raises:
        PermanentError: When not even one entry beside the shared ones fits.
    """
    content = json.loads(bundle)
    entries = content["entry"]
    if len(entries) <= max_entries:
        return (bundle,)
    shared = [entry for entry in entries if entry["request"]["method"] == "POST"]
    owned = [entry for entry in entries if entry["request"]["method"] != "POST"]
    first = [entry for entry in owned if entry["resource"]["resourceType"] not in _LAST_TYPES]
    last = [entry for entry in owned if entry["resource"]["resourceType"] in _LAST_TYPES]
    room = max_entries - len(shared)
    if room < len(last):
        raise PermanentError(
            f"A transaction of {max_entries} entries has no room for the report ({len(last)} entries) beside the "
            f"{len(shared)} shared ones. Raise the limit."
        )
    parts = [first[begin : begin + room] for begin in range(0, len(first), room)]
    if len(parts[-1]) + len(last) <= room:
        parts[-1] += last
    else:
        parts.append(last)
    return tuple(canonical_json({**content, "entry": shared + part}) for part in parts)


def count_findings(bundle: bytes) -> int:
    """How many variants the bundle reports as present, read back from its bytes.

    It knows nothing of how the bundle was made, so that the ledger compares two independent counts. An id that
    stands in several entries is counted once, as a server would store it.
    """
    variants = {resource["id"] for resource in _resources(json.loads(bundle)["entry"]) if _is_present_variant(resource)}
    return len(variants)


def _resources(entries: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return (entry["resource"] for entry in entries if "resource" in entry)


def _is_present_variant(resource: dict[str, Any]) -> bool:
    def codes(element: dict[str, Any]) -> set[tuple[str, str]]:
        return {(coding.get("system", ""), coding.get("code", "")) for coding in element.get("coding", ())}

    return (
        resource.get("resourceType") == "Observation"
        and profile("variant") in resource.get("meta", {}).get("profile", ())
        and (System.LOINC, VARIANT_CODE) in codes(resource.get("code", {}))
        and (System.LOINC, "LA9633-4") in codes(resource.get("valueCodeableConcept", {}))
    )
