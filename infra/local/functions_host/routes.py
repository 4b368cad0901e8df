"""ASP.NET route templates, as HTTP triggers write them; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from shared.errors import PermanentError

_PARAMETER = re.compile(
    r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"(?P<constraints>(?::[A-Za-z]+(?:\([^)]*\))?)*)(?P<optional>\?)?(?:=(?P<default>[^}]*))?\}"
)
_CONSTRAINTS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?i:true|false)",
    "guid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "required": r".+",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled template.

    Attributes:
        template: As written, with the route prefix.
        pattern: Matches a percent-encoded path without its first slash.
        order: Sorts the more specific route first.
        defaults: Values of parameters that the path leaves out.
    """

    template: str
    pattern: re.Pattern[str]
    order: tuple[int, ...]
    defaults: tuple[tuple[str, str], ...] = ()

    def match(self, path: str) -> Mapping[str, str] | None:
        """The parameters (not percent-encoded) of a percent-encoded path; None when it does not fit."""
        found = self.pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        values = dict(self.defaults)
        values.update({name: unquote(value) for name, value in found.groupdict().items() if value is not None})
        return values


def compile_route(template: str, prefix: str = "") -> Route:
    """Compile a template such as ``orders/{id}`` or ``files/{*rest}``.

    Literals are case-insensitive; a literal segment goes before a constrained parameter, that before a free
    one, and that before a catch-all.

    Raises:
        PermanentError: The template is malformed or uses a constraint that is not known here.
    """
    whole = "/".join(part for part in (prefix.strip("/"), template.strip("/")) if part)
    pattern, order, defaults = "", [], []
    for number, segment in enumerate(whole.split("/") if whole else ()):
        slash = "/" if number else ""
        match = _PARAMETER.fullmatch(segment)
        if match is None:
            text, rank = _mixed_segment(segment, whole)
            pattern += slash + text
            order.append(rank)
            continue
        name, free = match["name"], "[^/]+"
        if match["default"] is not None:
            defaults.append((name, match["default"]))
        if match["all"]:
            # the slash before a catch-all may be missing together with its value
            pattern += f"(?:{slash}(?P<{name}>.*))?"
            order.append(4)
        elif match["optional"] or match["default"] is not None:
            pattern += f"(?:{slash}(?P<{name}>{_constrained(match['constraints'], whole) or free}))?"
            order.append(3)
        else:
            constrained = _constrained(match["constraints"], whole)
            pattern += f"{slash}(?P<{name}>{constrained or free})"
            order.append(1 if constrained else 2)
    try:
        return Route(whole, re.compile(pattern, re.IGNORECASE), tuple(order), tuple(defaults))
    except re.error as error:
        raise PermanentError(f"The route {whole!r} is malformed: {error}") from error


def _mixed_segment(segment: str, whole: str) -> tuple[str, int]:
    """A literal segment, or one that mixes text and parameters, such as `{sample}.json`."""
    text, position, rank = "", 0, 0
    for match in _PARAMETER.finditer(segment):
        if match["all"] or match["optional"] or match["default"] is not None:
            raise PermanentError(f"The route {whole!r}: {match[0]} must be a whole segment.")
        text += _literal(segment[position : match.start()], whole)
        text += f"(?P<{match['name']}>{_constrained(match['constraints'], whole) or '[^/]+'})"
        position, rank = match.end(), 1
    return text + _literal(segment[position:], whole), rank


def _literal(text: str, whole: str) -> str:
    if "{" in text or "}" in text or "?" in text:
        raise PermanentError(f"The route {whole!r} is malformed near {text!r}.")
    return re.escape(text)


def _constrained(constraints: str, whole: str) -> str:
    if not constraints:
        return ""
    parts = constraints.strip(":").split(":")
    unknown = [part for part in parts if part.casefold() not in _CONSTRAINTS]
    if unknown:
        raise PermanentError(
            f"The route {whole!r} uses the constraint {unknown[0]!r}; this host knows {sorted(_CONSTRAINTS)}."
        )
    *ahead, last = (_CONSTRAINTS[part.casefold()] for part in parts)
    return "".join(f"(?={part}(?:/|$))" for part in ahead) + last
