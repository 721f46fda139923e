"""The headers of Python functions: where they stand in a text, and what they say a call must bring.

Text in, offsets (code points) out. Found by their lines and brackets, so that it costs little at every key; only the
few characters of one header are parsed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import tree_sitter

from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.syntax import SyntaxTree, syntax_tree

MAX_HEADER_CHARS = 4_000

_DEF = re.compile(r"(?:^|(?<=\r))[ \t]*(?:async[ \t]+)?(def)\b", re.MULTILINE)
_TOKEN = re.compile(
    r'#[^\r\n]*|"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\''
    r'|"(?:[^"\\\r\n]|\\[\s\S])*"|\'(?:[^\'\\\r\n]|\\[\s\S])*\'|\\(?:\r\n|[\s\S])|[()\[\]{}:\r\n]'
)
_KIND = inspect.Parameter


@dataclass(frozen=True)
class Signature:
    """A function's name and parameters. Annotations and default values are source text."""

    name: str
    parameters: inspect.Signature

    @property
    def shape(self) -> tuple[object, ...]:
        """What calls depend on: neither an annotation nor which default value it is."""
        parameters = self.parameters.parameters.values()
        return self.name, *((one.name, one.kind, one.default is _KIND.empty) for one in parameters)

    def without_first(self) -> Signature:
        """As a bound method is called: the object before the dot has filled the first parameter."""
        parameters = [*self.parameters.parameters.values()]
        if not parameters or parameters[0].kind not in (_KIND.POSITIONAL_ONLY, _KIND.POSITIONAL_OR_KEYWORD):
            return self
        return Signature(self.name, self.parameters.replace(parameters=parameters[1:]))


def headers_touching(text: str, span: Span) -> list[Span]:
    """The headers, from `def` to the colon, that a span touches or that begin in it."""
    first = max(text.rfind("\n", 0, span.start), text.rfind("\r", 0, span.start)) + 1
    headers = [_header_at(text, start) for start in _defs_in(text, first, span.end)]
    above = _last_def_above(text, first)
    if above is not None:
        headers.insert(0, _header_at(text, above))
    return [header for header in headers if header.start <= span.end and header.end >= span.start]


def header_at(text: str, start: int) -> Span | None:
    """The header whose `def` begins at an offset."""
    line = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    found = _DEF.match(text, line)
    return _header_at(text, start) if found is not None and found.start(1) == start else None


@lru_cache(maxsize=64)
def read_signature(header: str) -> Signature | None:
    """The signature that a header says; None while it is not well formed."""
    tree = syntax_tree(f"{header} pass", "python")
    assert tree is not None
    functions = [node for node in tree.root.named_children if node.type == "function_definition"]
    if tree.root.has_error or len(functions) != 1 or not header.endswith(":"):
        return None
    name, parameters = (functions[0].child_by_field_name(field) for field in ("name", "parameters"))
    assert name is not None
    assert parameters is not None
    read = [_read_parameter(tree, node) for node in parameters.named_children if node.type not in _MARKS]
    try:
        return Signature(
            tree.text_of(name),
            inspect.Signature(
                [
                    _KIND(
                        one.name, kind if one.kind is None else one.kind, default=one.default, annotation=one.annotation
                    )
                    for one, kind in zip(read, _kinds(parameters), strict=True)
                ]
            ),
        )
    except ValueError:  # two of a name, or in an order that Python forbids
        return None


@dataclass(frozen=True)
class _Parameter:
    """kind: None where it depends on the parameter's place between `/` and `*`."""

    name: str
    kind: inspect._ParameterKind | None
    default: object
    annotation: object


_MARKS = ("positional_separator", "keyword_separator", "comment")
_STARS = {"list_splat_pattern": _KIND.VAR_POSITIONAL, "dictionary_splat_pattern": _KIND.VAR_KEYWORD}


def _read_parameter(tree: SyntaxTree, node: tree_sitter.Node) -> _Parameter:
    name, default, annotation = (node.child_by_field_name(field) for field in ("name", "value", "type"))
    named = name or (node.named_children[0] if node.type == "typed_parameter" else node)
    return _Parameter(
        tree.text_of(named).lstrip("* \t"),
        _STARS.get(named.type),
        tree.text_of(default) if default else _KIND.empty,
        tree.text_of(annotation) if annotation else _KIND.empty,
    )


def _kinds(parameters: tree_sitter.Node) -> list[inspect._ParameterKind]:
    """What each parameter is by its place; those with stars say it themselves."""
    kinds: list[inspect._ParameterKind] = []
    kind: inspect._ParameterKind = _KIND.POSITIONAL_OR_KEYWORD
    for node in parameters.named_children:
        if node.type == "positional_separator":
            kinds = [_KIND.POSITIONAL_ONLY] * len(kinds)
        elif node.type == "keyword_separator" or "list_splat_pattern" in (node.type, *_types(node)):
            kind = _KIND.KEYWORD_ONLY
        if node.type not in _MARKS:
            kinds.append(kind)
    return kinds


def _types(node: tree_sitter.Node) -> list[str]:
    return [child.type for child in node.named_children] if node.type == "typed_parameter" else []


def _header_at(text: str, start: int) -> Span:
    """From `def` to the colon that ends the header; where it has none, to the end of its line."""
    depth = 0
    for token in _TOKEN.finditer(text, start, start + MAX_HEADER_CHARS):
        match token[0]:
            case "(" | "[" | "{":
                depth += 1
            case ")" | "]" | "}":
                depth -= 1
            case ":" if depth <= 0:
                return Span(start, token.end())
            case "\n" | "\r" if depth <= 0:
                return Span(start, token.start())
    line_end = re.compile(r"[\r\n]|\Z").search(text, start)
    assert line_end is not None
    return Span(start, line_end.start())


def _defs_in(text: str, start: int, end: int) -> Iterator[int]:
    """Offsets of the `def`s of the lines that begin in [start, end]."""
    line_end = re.compile(r"[\r\n]|\Z").search(text, end)
    assert line_end is not None
    yield from (found.start(1) for found in _DEF.finditer(text, start, line_end.start()))


def _last_def_above(text: str, line: int) -> int | None:
    """The nearest `def` above a line whose header may reach it."""
    at, lowest = line, max(line - MAX_HEADER_CHARS, 0)
    while (at := text.rfind("def", lowest, at)) >= 0:
        start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
        found = _DEF.match(text, start)
        if found is not None and found.start(1) == at:
            return at
    return None
