"""Where a function of a Python file is used in that file: its calls, and what else names it.

Text in, offsets (code points) out. Found by name and scope, with tree-sitter. What cannot be told from one file is left
out: names that are bound twice, methods that another class or a built-in type has too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import tree_sitter

from midfill.lsp_server.calls.name_scopes import bound_in, class_of, function_around, home_of, scopes_around
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.syntax import SyntaxTree, syntax_tree


@dataclass(frozen=True)
class Argument:
    """span: all of it. value: without `keyword=`. star: `*` or `**` where it is unpacked. unbracketed: where the value
    needs no brackets of its own: a generator only alone, `a := 1` only by position."""

    span: Span
    value: Span
    keyword: str | None = None
    star: str = ""
    unbracketed: Literal["anywhere", "alone", "by position"] = "anywhere"


@dataclass(frozen=True)
class Call:
    """arguments_span: what is between the brackets. skips_first: the object before the dot is the first argument."""

    arguments_span: Span
    arguments: tuple[Argument, ...]
    skips_first: bool = False


@dataclass(frozen=True)
class Use:
    """name: the function's name there, or its class's. call: None where it is only mentioned."""

    name: Span
    call: Call | None = None

    @property
    def span(self) -> Span:
        return Span(self.name.start, self.call.arguments_span.end + 1) if self.call else self.name


def find_uses(text: str, start: int, name: str) -> tuple[Use, ...]:
    """What uses the function whose `def` begins at `start`, under a name that it has or had; in document order. None
    of a property, and none where the name means something else as well."""
    parsed = _parse(text)
    definition = parsed.node_at(Span(start, start + len("def"))).parent
    if definition is None or definition.type != "function_definition":
        return ()
    if _decorators(parsed, definition) & {"property", "cached_property", "overload", "setter", "deleter"}:
        return ()
    owner = class_of(definition)
    if owner is None:
        return tuple(_names_in_scope(parsed, definition, name))
    site = _Method(parsed, definition, owner)
    uses = [*_methods(site, name), *(_constructions(site) if name == "__init__" else ())]
    return tuple(sorted(uses, key=lambda use: use.name))


def function_at(text: str, start: int) -> Span | None:
    """The function whose `def` begins at `start`, from there to its end."""
    parsed = _parse(text)
    function = parsed.node_at(Span(start, start + len("def"))).parent
    is_function = function is not None and function.type == "function_definition"
    return Span(start, parsed.span_of(function).end) if function is not None and is_function else None


class _Parsed:
    """A text with its tree and the places of its names."""

    def __init__(self, text: str) -> None:
        tree = syntax_tree(text, "python")
        assert tree is not None
        self.text = text
        self.tree: SyntaxTree = tree
        self._is_ascii = tree.data.isascii()

    def node_at(self, span: Span) -> tree_sitter.Node:
        start, end = (self._byte_at(offset) for offset in (span.start, span.end))
        node = self.tree.root.descendant_for_byte_range(start, end)
        return node if node is not None else self.tree.root

    def identifiers(self, name: str) -> Iterator[tree_sitter.Node]:
        for found in re.finditer(rf"\b{re.escape(name)}\b", self.text):
            node = self.node_at(Span(*found.span()))
            if node.type == "identifier" and node.parent is not None and self.span_of(node) == Span(*found.span()):
                yield node

    def span_of(self, node: tree_sitter.Node) -> Span:
        return self.tree.span_of(node)

    def text_of(self, node: tree_sitter.Node) -> str:
        return self.tree.text_of(node)

    def _byte_at(self, offset: int) -> int:
        return offset if self._is_ascii else len(self.text[:offset].encode("utf-8", "replace"))


@lru_cache(maxsize=2)
def _parse(text: str) -> _Parsed:
    return _Parsed(text)


@dataclass(frozen=True)
class _Method:
    """A method as the file has it now, with the class that it is of."""

    parsed: _Parsed
    node: tree_sitter.Node
    owner: tree_sitter.Node

    @cached_property
    def owner_name(self) -> str:
        name = self.owner.child_by_field_name("name")
        return self.parsed.text_of(name) if name else ""

    @cached_property
    def is_of_class(self) -> bool:
        return "classmethod" in _decorators(self.parsed, self.node)

    @cached_property
    def is_static(self) -> bool:
        return "staticmethod" in _decorators(self.parsed, self.node)


def _decorators(parsed: _Parsed, function: tree_sitter.Node) -> frozenset[str]:
    """The last names of a function's decorators: `setter` of `@size.setter`."""
    around = function.parent
    if around is None or around.type != "decorated_definition":
        return frozenset()
    texts = [parsed.text_of(child) for child in around.children if child.type == "decorator"]
    return frozenset(re.sub(r"\(.*", "", text, flags=re.DOTALL).rpartition(".")[2].strip("@ \t\r\n") for text in texts)


def _names_in_scope(parsed: _Parsed, definition: tree_sitter.Node, name: str) -> Iterator[Use]:
    """Uses of a name that only `definition` binds in its scope (or bound, before it had another name)."""
    scope = next(scopes_around(definition), parsed.tree.root)
    identifiers = [*parsed.identifiers(name)]
    declared = {function_around(one) for one in identifiers if _parent_type(one) == "global_statement"}
    binding = {scope}
    for one in identifiers:
        bound = bound_in(one)
        if bound is None or one.parent == definition or _is_overload(parsed, one):
            continue
        bound = parsed.tree.root if bound in declared else bound
        if bound == scope:
            return
        binding.add(bound)
    for one in identifiers:
        if _is_use(one) and home_of(one, binding) == scope:
            yield _use(parsed, one, one, skips_first=False)


def _is_overload(parsed: _Parsed, identifier: tree_sitter.Node) -> bool:
    function = identifier.parent
    return function is not None and "overload" in _decorators(parsed, function)


def _is_use(identifier: tree_sitter.Node) -> bool:
    parent = identifier.parent
    assert parent is not None
    if parent.type == "attribute":
        return parent.child_by_field_name("object") == identifier
    if parent.type == "keyword_argument":
        return parent.child_by_field_name("value") == identifier
    is_import = parent.type in ("dotted_name", "aliased_import", "global_statement", "nonlocal_statement")
    return not is_import and bound_in(identifier) is None


def _use(parsed: _Parsed, name: tree_sitter.Node, callee: tree_sitter.Node, *, skips_first: bool) -> Use:
    called = callee.parent
    if called is None or called.type != "call" or called.child_by_field_name("function") != callee:
        return Use(parsed.span_of(name))
    listed = called.child_by_field_name("arguments")
    if listed is None or listed.has_error or not parsed.text_of(listed).endswith(")"):
        return Use(parsed.span_of(name))
    outer = parsed.span_of(listed)
    inner = Span(outer.start + 1, outer.end - 1)
    if listed.type == "generator_expression":
        return Use(parsed.span_of(name), Call(inner, (Argument(inner, inner, unbracketed="alone"),), skips_first))
    nodes = [node for node in listed.named_children if node.type != "comment"]
    return Use(parsed.span_of(name), Call(inner, tuple(_argument(parsed, node) for node in nodes), skips_first))


_STARS = {"list_splat": "*", "dictionary_splat": "**"}


def _argument(parsed: _Parsed, node: tree_sitter.Node) -> Argument:
    span = parsed.span_of(node)
    if node.type != "keyword_argument":
        unbracketed: Literal["anywhere", "by position"] = (
            "by position" if node.type == "named_expression" else "anywhere"
        )
        return Argument(span, span, star=_STARS.get(node.type, ""), unbracketed=unbracketed)
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    assert name is not None
    assert value is not None
    return Argument(span, parsed.span_of(value), parsed.text_of(name))


def _methods(site: _Method, name: str) -> Iterator[Use]:
    """`object.name` where the object can be told to be of the method's class, or nothing else has such a method."""
    parsed = site.parsed
    others = [one.parent for one in parsed.identifiers(name) if _names_another(site, one)]
    classes = [class_of(other) for other in others if other is not None]
    if site.owner in classes:
        return
    is_distinctive = name not in _BUILT_IN and not any(classes)
    for one in parsed.identifiers(name):
        attribute = one.parent
        assert attribute is not None
        if attribute.type != "attribute" or attribute.child_by_field_name("attribute") != one:
            continue
        receiver = attribute.child_by_field_name("object")
        assert receiver is not None
        kind = _receiver(site, receiver, inherits=name != "__init__")
        if kind == "instance" or (kind == "unknown" and is_distinctive):
            yield _use(parsed, one, attribute, skips_first=not site.is_static)
        elif kind == "class":
            yield _use(parsed, one, attribute, skips_first=site.is_of_class)


def _names_another(site: _Method, identifier: tree_sitter.Node) -> bool:
    function = identifier.parent
    is_function = function is not None and function.type == "function_definition" and bound_in(identifier) is not None
    return is_function and function != site.node and not _is_overload(site.parsed, identifier)


def _constructions(site: _Method) -> Iterator[Use]:
    """The calls of the class, and of `cls` in its class methods."""
    parsed = site.parsed
    for use in _names_in_scope(parsed, site.owner, site.owner_name):
        if use.call is not None:
            yield replace(use, call=replace(use.call, skips_first=True))
    for one in parsed.identifiers("cls"):
        method = _method_around(one)
        if method is not None and class_of(method) == site.owner and "classmethod" in _decorators(parsed, method):
            use = _use(parsed, one, one, skips_first=True)
            if use.call is not None:
                yield use


_Kind = Literal["instance", "class", "other", "unknown"]
_BUILT_IN = frozenset(
    name for type_ in (str, bytes, bytearray, list, tuple, dict, set, int, float) for name in dir(type_)
) | {"read", "readline", "readlines", "write", "writelines", "close", "flush", "seek", "send", "throw"}


def _receiver(site: _Method, receiver: tree_sitter.Node, *, inherits: bool) -> _Kind:
    """What stands before the dot, for a method of `site`'s class."""
    parsed, text = site.parsed, site.parsed.text_of(receiver)
    if receiver.type == "call":
        called = receiver.child_by_field_name("function")
        name = parsed.text_of(called) if called else ""
        if name == "super":
            method = _method_around(receiver)
            return "instance" if method is not None and _has_base(site, class_of(method)) else "other"
        return "instance" if name == site.owner_name else "unknown"
    if receiver.type not in ("identifier", "attribute", "subscript", "await", "parenthesized_expression"):
        return "other"
    method = _method_around(receiver)
    if method is not None and text == _first_parameter(parsed, method):
        owner = class_of(method)
        if owner != site.owner and not (inherits and _has_base(site, owner)):
            return "other"
        return "class" if "classmethod" in _decorators(parsed, method) else "instance"
    if text == site.owner_name:
        return "class"
    if receiver.type == "identifier" and any(map(_is_imported, parsed.identifiers(text))):
        return "other"
    return _evidence(parsed.text, text, site.owner_name)


def _evidence(text: str, receiver: str, owner: str) -> _Kind:
    """What assignments and annotations anywhere in the file say of a variable."""
    variable, owner = rf"(?<![\w.]){re.escape(receiver)}", re.escape(owner)
    if re.search(rf"{variable}\s*(?::[^=,()\r\n]{{0,200}}\b{owner}\b|=\s*{owner}\()", text):
        return "instance"
    return "other" if re.search(rf"{variable}\s*=\s*(?:\w+\.)*[A-Z]\w*\(", text) else "unknown"


def _method_around(node: tree_sitter.Node) -> tree_sitter.Node | None:
    """The innermost method around a node, also from within its own functions."""
    function = function_around(node)
    while function is not None and class_of(function) is None:
        function = function_around(function)
    return function


def _first_parameter(parsed: _Parsed, method: tree_sitter.Node) -> str | None:
    parameters = method.child_by_field_name("parameters")
    if parameters is None or not parameters.named_children or "staticmethod" in _decorators(parsed, method):
        return None
    return parsed.text_of(parameters.named_children[0])


def _has_base(site: _Method, subclass: tree_sitter.Node | None) -> bool:
    bases = subclass.child_by_field_name("superclasses") if subclass is not None else None
    return bases is not None and site.owner_name in map(site.parsed.text_of, bases.named_children)


def _is_imported(identifier: tree_sitter.Node) -> bool:
    return _parent_type(identifier) in ("dotted_name", "aliased_import") and bound_in(identifier) is not None


def _parent_type(node: tree_sitter.Node) -> str:
    return node.parent.type if node.parent is not None else ""
