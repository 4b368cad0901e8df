"""Bicep files as declarations and values, for the tests; a grammar (tree-sitter), not the Bicep compiler.

It finds what does not parse, names that nobody declares, module parameters that do not fit, and it evaluates the few
expressions that decide names of containers and queues. Resource types and their properties are not checked.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))

# Functions of the sys and az namespaces that the files use; a name outside this list must be declared.
KNOWN_FUNCTIONS = frozenset(
    {
        *("allowed", "batchSize", "description", "maxLength", "maxValue", "minLength", "minValue"),  # decorators
        *("concat", "contains", "empty", "format", "map", "mapValues", "reduce", "string", "toLower", "union"),
        *("guid", "int", "loadJsonContent", "readEnvironmentVariable", "uniqueString"),
        *("environment", "resourceId", "subscription", "subscriptionResourceId", "tenant"),
    }
)


@dataclass(frozen=True)
class Expression:
    """A value that is not a literal, as it stands in the file."""

    text: str


@dataclass(frozen=True)
class Declaration:
    """A resource or a module.

    Attributes:
        target: Resource type without version, or the module's path.
        version: API version; empty for a module.
        body: The object, with literals as Python values and everything else as `Expression`.
        text: The declaration as it stands in the file, comments included.
        loop_over: What a loop runs over; None without a loop.
    """

    name: str
    target: str
    version: str
    existing: bool
    body: dict[str, Any]
    text: str
    loop_over: str | None


@dataclass
class BicepFile:
    """One file, parsed."""

    path: Path
    syntax_errors: list[str] = field(default_factory=list)
    params: dict[str, bool] = field(default_factory=dict)
    """Parameter name to whether a value is required."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """Values of variables and defaults of parameters, unevaluated."""
    variables: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    resources: list[Declaration] = field(default_factory=list)
    modules: list[Declaration] = field(default_factory=list)
    root: Node | None = None

    def resource(self, name: str) -> Declaration:
        """The resource of that symbolic name."""
        return next(found for found in self.resources if found.name == name)

    def module(self, name: str) -> Declaration:
        """The module of that symbolic name."""
        return next(found for found in self.modules if found.name == name)

    def value(self, name: str, **known: object) -> Any:
        """A variable's value; `known` stands in for parameters."""
        return evaluate(self.nodes[name], self._scope(known), self.path.parent)

    def evaluate(self, expression: str, **known: object) -> Any:
        """The value of an expression in this file's scope."""
        root = _PARSER.parse(f"var it = {expression}\n".encode()).root_node
        assert not root.has_error, expression
        return evaluate(_named(root.named_children[0])[-1], self._scope(known), self.path.parent)

    def undeclared(self) -> set[str]:
        """Names that are used but declared nowhere, and functions not known to exist."""
        assert self.root is not None
        declared = {*self.params, *self.variables, *(d.name for d in (*self.resources, *self.modules))}
        return {name for name in _used_names(self.root) if name not in declared and name not in KNOWN_FUNCTIONS}

    def unused(self) -> set[str]:
        """Parameters and variables that nothing reads."""
        assert self.root is not None
        return {*self.params, *self.variables} - set(_used_names(self.root))

    def module_outputs_used(self) -> set[tuple[str, str]]:
        """(module, output) for every `module.outputs.output` in the file."""
        return set(re.findall(r"\b(\w+)\.outputs\.(\w+)", _code(self.path.read_text())))

    def _scope(self, known: Mapping[str, object]) -> dict[str, Any]:
        return {**self.nodes, **known}


def read_bicep(path: Path) -> BicepFile:
    """Parse a `.bicep` or `.bicepparam` file."""
    source = path.read_text()
    if path.suffix == ".bicepparam":  # the grammar knows no `using` and no untyped `param x = ...`
        source = re.sub(r"^using .*$", "", source, flags=re.MULTILINE)
        source = re.sub(r"^param (\w+) =", r"var \1 =", source, flags=re.MULTILINE)
    found = BicepFile(path)
    root = _PARSER.parse(source.encode()).root_node
    found.root = root
    found.syntax_errors = [
        f"{path.name}:{node.start_point.row + 1}: {node.text!r}"
        for node in _walk(root)
        if node.type == "ERROR" or node.is_missing
    ]
    for node in root.named_children:
        parts = _named(node)
        match node.type:
            case "parameter_declaration":
                found.params[_text(parts[0])] = len(parts) < 3
                if len(parts) > 2:
                    found.nodes[_text(parts[0])] = parts[2]
            case "variable_declaration":
                found.variables.add(_text(parts[0]))
                found.nodes[_text(parts[0])] = parts[1]
            case "output_declaration":
                found.outputs.add(_text(parts[0]))
            case "resource_declaration":
                found.resources.append(_declaration(node))
            case "module_declaration":
                found.modules.append(_declaration(node))
            case _:
                pass
    return found


def evaluate(node: Node, scope: Mapping[str, Any], folder: Path) -> Any:
    """The value of an expression.

    Args:
        node: The expression.
        scope: Values, or nodes still to be evaluated, by name.
        folder: Where `loadJsonContent` looks.

    Raises:
        NotImplementedError: For anything that only a deployment knows.
    """

    def now(part: Node) -> Any:
        return evaluate(part, scope, folder)

    parts = _named(node)
    match node.type:
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
        case "string":
            return "".join(
                _text(part) if part.type == "string_content" else str(now(part.named_children[0])) for part in parts
            )
        case "array":
            return [now(part) for part in parts]
        case "object":
            return {str(_key(prop)): now(_named(prop)[1]) for prop in parts}
        case "identifier":
            value = scope[_text(node)]
            return now(value) if isinstance(value, Node) else value
        case "parenthesized_expression":
            return now(parts[0])
        case "ternary_expression":
            return now(parts[1]) if now(parts[0]) else now(parts[2])
        case "subscript_expression":
            return now(parts[0])[now(parts[1])]
        case "member_expression" if parts[0].type == "lambda_expression":
            # The grammar binds `x => x.name` as `(x => x).name`.
            function, member = now(parts[0]), _text(parts[1])
            return lambda *given: function(*given)[member]
        case "member_expression":
            return now(parts[0])[_text(parts[1])]
        case "lambda_expression":
            head, body = parts
            names = [_text(n) for n in (head.named_children or [head])]
            return lambda *given: evaluate(body, {**scope, **dict(zip(names, given, strict=True))}, folder)
        case "for_statement":
            name, items, body = parts
            return [evaluate(body, {**scope, _text(name): item}, folder) for item in now(items)]
        case "call_expression":
            given = [now(part) for part in parts[1].named_children]
            return _call(_text(parts[0]), given, folder)
        case _:
            raise NotImplementedError(f"{node.type}: {_text(node)}")


def _call(name: str, given: list[Any], folder: Path) -> Any:
    functions: dict[str, Callable[..., Any]] = {
        "concat": lambda *lists: [item for each in lists for item in each],
        "contains": lambda items, item: item in items,
        "empty": lambda value: not value,
        "loadJsonContent": lambda file: json.loads((folder / file).read_text()),
        "map": lambda items, function: [function(item) for item in items],
        "mapValues": lambda items, function: {key: function(value) for key, value in items.items()},
        "reduce": _reduce,
        "union": lambda *lists: list(dict.fromkeys(item for each in lists for item in each)),
    }
    if name not in functions:
        raise NotImplementedError(name)
    return functions[name](*given)


def _reduce(items: list[Any], start: Any, function: Callable[[Any, Any], Any]) -> Any:
    for item in items:
        start = function(start, item)
    return start


def _declaration(node: Node) -> Declaration:
    name, target, *rest = _named(node)
    body, loop_over = rest[-1], None
    while body.type in {"if_statement", "for_statement"}:
        inner = _named(body)
        if body.type == "for_statement":
            loop_over = _text(inner[-2])
        body = inner[-1]
    kind, _, version = str(_literal(target)).partition("@")
    assert node.text is not None
    return Declaration(
        name=_text(name),
        target=kind,
        version=version,
        existing=any(child.type == "existing" for child in node.children),
        body=_literal(body),
        text=_text(node),
        loop_over=loop_over,
    )


def _literal(node: Node) -> Any:
    parts = _named(node)
    match node.type:
        case "object":
            return {str(_key(prop)): _literal(_named(prop)[1]) for prop in parts}
        case "array":
            return [_literal(part) for part in parts]
        case "string" if all(part.type == "string_content" for part in parts):
            return "".join(_text(part) for part in parts)
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
        case _:
            return Expression(_text(node))


def _key(prop: Node) -> str | Expression:
    first = _named(prop)[0]
    key = _text(first) if first.type == "identifier" else _literal(first)
    return key.text if isinstance(key, Expression) else str(key)


def _used_names(root: Node) -> Iterator[str]:
    yield from _names(root, frozenset())


def _names(node: Node, bound: frozenset[str]) -> Iterator[str]:
    """Names that an expression reads; those that a loop or a lambda binds are left out."""
    parts = _named(node)
    match node.type:
        case "identifier":
            if _text(node) not in bound:
                yield _text(node)
            return
        case "parameter_declaration" | "variable_declaration" | "output_declaration":
            parts = [part for part in parts[1:] if part.type != "type"]
        case "resource_declaration" | "module_declaration":
            parts = parts[1:]
        case "object_property" if parts[0].type == "identifier":
            parts = parts[1:]
        case "lambda_expression":
            head = parts[0]
            bound |= {_text(n) for n in (head.named_children or [head])}
            parts = parts[1:]
        case "for_statement":
            head = parts[0]
            names = {_text(n) for n in (head.named_children or [head])}
            yield from _names(parts[1], bound)
            bound |= names
            parts = parts[2:]
        case _:
            pass
    for part in parts:
        yield from _names(part, bound)


def _named(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def _code(source: str) -> str:
    return re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE)
