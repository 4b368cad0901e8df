"""The small elements that FHIR resources are built of, as plain JSON values.

Resources are validated as a whole by their `fhir.resources` class; nothing empty is ever built here.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.fhir.codes import ANSWERS, System, profile

Element = dict[str, Any]
"""A FHIR element as its JSON."""


def coding(system: str, code: str, display: str = "") -> Element:
    """A code of a code system."""
    element: Element = {"system": str(system), "code": code}
    if display:
        element["display"] = display
    return element


def concept(system: str, code: str, display: str = "", text: str = "") -> Element:
    """A CodeableConcept with one coding."""
    return concept_of([coding(system, code, display)], text)


def concept_of(codings: Sequence[Element], text: str = "") -> Element:
    """A CodeableConcept of any codings; with none its text alone says what is meant."""
    assert codings or text, "a concept needs a code or a text"
    element: Element = {}
    if codings:
        element["coding"] = list(codings)
    if text:
        element["text"] = text
    return element


def answer(code: str) -> Element:
    """A LOINC answer as a CodeableConcept."""
    return concept(System.LOINC, code, ANSWERS[code])


def loinc(code: str, display: str) -> Element:
    """A LOINC code as a CodeableConcept."""
    return concept(System.LOINC, code, display)


def to_be_determined(code: str, display: str) -> Element:
    """A code that LOINC does not have yet, from the guide's own system, as a CodeableConcept."""
    return concept(System.TBD, code, display)


def identifier(system: str, value: str) -> Element:
    """A business identifier."""
    return {"system": system, "value": value}


def reference(target: str, display: str = "") -> Element:
    """A literal reference: `Type/id`, or the `urn:uuid:` of an entry that is posted."""
    element: Element = {"reference": target}
    if display:
        element["display"] = display
    return element


def quantity(value: Decimal | int, unit: str, code: str) -> Element:
    """A quantity in UCUM."""
    return {"value": value, "unit": unit, "system": str(System.UCUM), "code": code}


def fraction(value: float) -> Decimal:
    """A fraction to four decimals, the same number on every machine."""
    return Decimal(str(value)).quantize(Decimal("0.0001")).normalize() + Decimal(0)


def component(code: Element, **value: Any) -> Element:
    """A component of an Observation; the value by its FHIR name, such as ``valueString="A"``."""
    return {"code": code, **value}


def extension(name: str, **value: Any) -> Element:
    """An extension of the guide by its short name; the value by its FHIR name."""
    return {"url": profile(name), **value}


def part(url: str, **value: Any) -> Element:
    """A part of a complex extension."""
    return {"url": url, **value}


def instant(time: datetime) -> str:
    """A time with a zone, to the millisecond when it is not a whole second."""
    assert time.tzinfo is not None, time
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")


def moment(time: datetime) -> str:
    """A FHIR dateTime: a time without a zone is told to the day only, for its zone must not be guessed."""
    return time.date().isoformat() if time.tzinfo is None else instant(time)
