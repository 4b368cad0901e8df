"""Who refers to whom: the references between the resources of one report."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from shared.domain.ids import digest
from shared.domain.report_case import DataFile, ReportCase
from shared.domain.variant import Allele
from shared.fhir.elements import Element, identifier, reference
from shared.fhir.ids import resource_id

PIPELINE_NAME = "fastq2fhir"


@dataclass(frozen=True)
class Links:
    """References to the resources of a report, made from the case alone.

    Pipeline-owned resources are put under an id of their own and referred to by `Type/id`. Shared ones (a patient
    known by an identifier, the laboratory) are created on condition and referred to by their entry's `urn:uuid:`.
    """

    case: ReportCase

    def own(self, resource_type: str, key: str) -> str:
        """`Type/id` of a resource of this analysis."""
        return f"{resource_type}/{resource_id(self.case.plan.analysis, resource_type, key)}"

    def _shared(self, resource_type: str, key: str) -> str:
        return f"urn:uuid:{resource_id(self.case.laboratory.system, resource_type, key)}"

    @cached_property
    def patient(self) -> str:
        """The patient: the EHR's own resource when the order names it, else the entry that finds or creates it."""
        patient = self.case.plan.order.patient
        if patient.reference:
            return patient.reference
        assert patient.identifier is not None, "an order has a reference or an identifier"
        return self._shared("Patient", f"{patient.identifier.system}|{patient.identifier.value}")

    @property
    def subject(self) -> Element:
        """The reference to the patient."""
        return reference(self.patient)

    @cached_property
    def organization(self) -> str:
        """The laboratory: one resource of our own for all analyses.

        Put under an id of its own and not created on condition: two first deliveries at once could then both create
        it, and every later one would be refused for finding two.
        """
        system = self.case.laboratory.system
        return f"Organization/{resource_id(system, 'Organization', system)}"

    @property
    def performer(self) -> Element:
        """The reference to the laboratory."""
        return reference(self.organization, self.case.laboratory.name)

    @cached_property
    def device(self) -> str:
        """The pipeline with its versions: the same Device for all analyses that the same versions made."""
        key = digest([PIPELINE_NAME, sorted(self.case.tools.items())])
        return f"Device/{resource_id(self.case.laboratory.system, 'Device', key)}"

    @cached_property
    def accession(self) -> str:
        """The specimen's accession number."""
        return self.case.plan.order.specimen.accession or self.case.plan.sample

    @cached_property
    def specimen(self) -> str:
        """The specimen: the same for all analyses of it."""
        patient = self.case.plan.order.patient.model_dump(mode="json")
        key = digest([patient, self.accession])
        return f"Specimen/{resource_id(self.case.laboratory.system, 'Specimen', key)}"

    @cached_property
    def service_request(self) -> str:
        """The order, when the EHR has none of its own."""
        return self.own("ServiceRequest", "order")

    @cached_property
    def based_on(self) -> Element:
        """The order: the EHR's by its requisition number, else the one that the report brings along.

        The EHR owns an order that it placed, so a logical reference leaves it alone: creating one beside it would
        show the clinician two orders for one test. Without a number there is nothing to refer to, and the
        laboratory's order is the only record of what was asked for.
        """
        requisition = self.case.plan.order.requisition
        if requisition:
            return {"type": "ServiceRequest", "identifier": identifier(requisition.system, requisition.value)}
        return reference(self.service_request)

    @cached_property
    def study(self) -> str:
        """The genomic study."""
        return self.own("Procedure", "study")

    @cached_property
    def analysis(self) -> str:
        """The study's analysis."""
        return self.own("Procedure", "analysis")

    @cached_property
    def report(self) -> str:
        """The DiagnosticReport."""
        return self.own("DiagnosticReport", "report")

    @cached_property
    def provenance(self) -> str:
        """The report's Provenance."""
        return self.own("Provenance", "report")

    def file(self, file: DataFile) -> str:
        """A data file's DocumentReference."""
        return self.own("DocumentReference", f"{file.role}/{file.title}")

    def variant(self, allele: Allele) -> str:
        """A finding's variant Observation."""
        return self.own("Observation", f"variant/{allele}")

    def implication(self, allele: Allele) -> str:
        """A finding's diagnostic implication."""
        return self.own("Observation", f"diagnostic-implication/{allele}")

    def consequence(self, allele: Allele, gene: str, transcript: str) -> str:
        """What a finding does to one transcript."""
        return self.own("Observation", f"molecular-consequence/{allele}/{gene}/{transcript}")

    def phase(self, first: Allele, second: Allele) -> str:
        """How two findings lie to each other."""
        return self.own("Observation", f"phase/{first}/{second}")

    def identifier(self, target: str) -> Element:
        """The business identifier of a resource of this analysis, under the laboratory's system."""
        return identifier(self.case.laboratory.system, f"{self.case.plan.analysis}/{target}")


def id_of(target: str) -> str:
    """The id in a `Type/id` reference."""
    return target.rpartition("/")[2]


def accession_of(seed: str) -> str:
    """A laboratory's own accession, with version, for a sequence that no public collection holds.

    HGVS names need a versioned accession. `ZZ_` is no prefix of RefSeq or INSDC (ISO keeps ZZ for private use), so
    the accession cannot be taken for a public one; its number is made from the sequence's MD5, so that the same
    sequence always has the same accession.
    """
    number = int(hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest()[:10], 16)
    return f"ZZ_{number:013d}.1"
