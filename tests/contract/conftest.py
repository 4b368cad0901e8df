"""Fixtures of the contract suite."""

from tests.contract.node_fixtures import azurite, fhir_server

__all__ = ["azurite", "fhir_server"]
