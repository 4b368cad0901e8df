"""Ids of resources: UUIDv5 of what they are, so that making a bundle again makes the same resources."""

import uuid

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://fastq2fhir/fhir-resource")
"""The project's own namespace; changing it would make every delivered resource again under a new id."""


def resource_id(owner: str, resource_type: str, key: str) -> str:
    """The id of a resource.

    Args:
        owner: What the resource belongs to: the analysis id, or the laboratory's system for what outlives one.
        resource_type: FHIR resource type.
        key: What it is among its kind there, such as the allele; stable over runs.
    """
    return str(uuid.uuid5(NAMESPACE, f"{owner}\n{resource_type}\n{key}"))
