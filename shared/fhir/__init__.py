"""The report as FHIR R4: codes, resources and the transaction bundle of HL7 Genomics Reporting 3.0.0.

Its modules import `fhir.resources`, which takes a third of a second: import them where they are used.
"""
