"""Whether a predicted protein name (HGVS p.) says the same as the amino-acid change of bcftools csq.

Both are turned into the protein that results; two programs that went separate ways must have come to one protein.
"""

import re
from dataclasses import dataclass
from typing import Final

_ONE: Final = {
    "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G", "His": "H",
    "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Ser": "S", "Thr": "T", "Trp": "W",
    "Tyr": "Y", "Val": "V", "Ter": "*", "Sec": "U", "Xaa": "X",
}  # fmt: skip

_CODONS: Final = {
    first + second + third: amino_acid
    for (first, second, third), amino_acid in zip(
        ((a, b, c) for a in "TCAG" for b in "TCAG" for c in "TCAG"),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
}
"""NCBI translation table 1, in its own order of codons."""

_CHANGE = re.compile(r"(?P<pos>\d+)(?P<ref>[A-Z*]*)(?:>\d+(?P<alt>[A-Z*]*))?")
_FRAMESHIFT = re.compile(r"(?P<ref>[A-Z][a-z]{2})(?P<pos>\d+)(?P<alt>[A-Z][a-z]{2})fs(?:Ter(?P<stop>\d+|\?))?")
_EXTENSION = re.compile(r"Ter(?P<pos>\d+)(?P<alt>[A-Z][a-z]{2})extTer(?:\d+|\?)")
_EDIT = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(?P<start>\d+)(?:_(?P<last>[A-Z][a-z]{2})(?P<end>\d+))?"
    r"(?P<what>del|dup|ins|delins|=|)(?P<new>(?:[A-Z][a-z]{2})*)"
)


@dataclass(frozen=True, slots=True)
class ProteinChange:
    """An amino-acid change of bcftools csq applied to its protein.

    Attributes:
        reference: The reference protein, with ``*`` for the stop.
        result: The protein that results, up to its first stop.
        is_start_lost: Whether the start codon is lost, so that the protein is unknown.
    """

    reference: str
    result: str
    is_start_lost: bool


def translate(coding: str) -> str:
    """The protein of a coding sequence by the standard code, ``*`` for a stop, ``X`` for a codon with other bases."""
    return "".join(_CODONS.get(coding[at : at + 3], "X") for at in range(0, len(coding) - 2, 3))


def apply_change(reference: str, amino_acids: str, words: tuple[str, ...]) -> ProteinChange | None:
    """The protein after a change such as ``5S>5T`` or ``5S``; None when it does not fit the reference protein."""
    match = _CHANGE.fullmatch(amino_acids)
    if match is None:
        return None
    start = int(match["pos"]) - 1
    end = start + len(match["ref"])
    if reference[start:end] != match["ref"]:
        return None
    result = reference if match["alt"] is None else reference[:start] + match["alt"] + reference[end:]
    return ProteinChange(reference, _until_stop(result), "start_lost" in words)


def agrees(name: str, change: ProteinChange) -> bool:
    """Whether a predicted protein name such as ``p.(Ser5Thr)`` describes the change."""
    if not (name.startswith("p.(") and name.endswith(")")):
        return False
    text = name[3:-1]
    if change.is_start_lost or text == "Met1?":
        return change.is_start_lost and text == "Met1?"
    if match := _FRAMESHIFT.fullmatch(text):
        at = int(match["pos"]) - 1
        return (
            change.reference[at : at + 1] == _ONE.get(match["ref"])
            and change.result[: at + 1] == change.reference[:at] + _ONE.get(match["alt"], "?")
            and _stops_as_named(match["stop"], at, change.result)
        )
    if match := _EXTENSION.fullmatch(text):
        at = int(match["pos"]) - 1
        return change.reference[at : at + 1] == "*" and change.result[at : at + 1] == _ONE.get(match["alt"])
    return _edited(text, change.reference) == change.result


def _stops_as_named(stop: str | None, at: int, result: str) -> bool:
    """Whether a new frame that starts at residue `at` (from 0) meets its stop as ``fsTer5`` or ``fsTer?`` says.

    bcftools csq stops translating at the end of the coding sequence; a stop named behind it cannot be denied.
    """
    found = result.find("*")
    if stop is None or stop == "?":
        return stop == "?" and found < 0
    named = at + int(stop) - 1
    return named == found or (found < 0 and named >= len(result))


def _edited(text: str, reference: str) -> str | None:
    """The protein that a substitution, deletion, duplication or insertion leaves, up to its first stop."""
    match = _EDIT.fullmatch(text)
    if match is None:
        return None
    start = int(match["start"]) - 1
    end = int(match["end"] or match["start"])
    if reference[start : start + 1] != _ONE.get(match["first"]):
        return None
    if match["last"] and reference[end - 1 : end] != _ONE.get(match["last"]):
        return None
    new = "".join(_ONE.get(code, "?") for code in re.findall(r"[A-Z][a-z]{2}", match["new"]))
    what = match["what"]
    if what == "=":
        return _until_stop(reference)
    if what == "dup":
        return _until_stop(reference[:end] + reference[start:])
    if what == "ins":
        return _until_stop(reference[: start + 1] + new + reference[start + 1 :]) if end == start + 2 else None
    if bool(new) == (what == "del"):
        return None
    return _until_stop(reference[:start] + new + reference[end:])


def _until_stop(protein: str) -> str:
    head, stop, _ = protein.partition("*")
    return head + stop
