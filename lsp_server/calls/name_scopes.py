"""Which scope of a Python file a name belongs to, as far as its syntax tells. Knows tree-sitter's nodes only.

It is the innermost scope around the name that binds it: by a parameter, an assignment, an import, a `def` or a `class`.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import tree_sitter

_FUNCTIONS = ("function_definition", "lambda")
_COMPREHENSIONS = ("list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression")
_PATTERNS = (
    *("pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern", "dictionary_splat_pattern"),
    *("parenthesized_expression", "tuple", "list", "as_pattern_target", "dotted_name"),
)
_PARAMETER_PARTS = ("typed_parameter", "default_parameter", "typed_default_parameter")
_BINDING_FIELDS = {
    "assignment": "left",
    "augmented_assignment": "left",
    "for_statement": "left",
    "for_in_clause": "left",
    "named_expression": "name",
    "as_pattern": "alias",
    "aliased_import": "alias",
    "import_statement": "name",
    "import_from_statement": "name",
    "case_pattern": None,
}


def scopes_around(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The scopes that a name at a node is looked up in, innermost first. A class's is not seen by its functions."""
    in_function = False
    child, around = node, node.parent
    while around is not None:
        if around.type in _FUNCTIONS and _is_field(around, "body", child):
            in_function = True
            yield around
        elif around.type == "class_definition" and _is_field(around, "body", child):
            if not in_function:
                yield around
        elif around.type in _COMPREHENSIONS or around.type == "module":
            yield around
        child, around = around, around.parent


def home_of(identifier: tree_sitter.Node, binding: Container[tree_sitter.Node]) -> tree_sitter.Node | None:
    """The scope that a name belongs to, of the scopes that bind it."""
    return next((scope for scope in scopes_around(identifier) if scope in binding), None)


def bound_in(identifier: tree_sitter.Node) -> tree_sitter.Node | None:
    """The scope that an identifier binds its name in; None where it only uses it."""
    parent = identifier.parent
    assert parent is not None
    if parent.type in ("function_definition", "class_definition"):
        return next(scopes_around(parent), None) if _is_field(parent, "name", identifier) else None
    if owner := _owner_as_parameter(identifier):
        return owner
    if parent.type == "dotted_name" and identifier != parent.named_children[0]:
        return None
    node = identifier
    while parent is not None and parent.type in _PATTERNS:
        node, parent = parent, parent.parent
    if parent is None or parent.type not in _BINDING_FIELDS:
        return None
    field = _BINDING_FIELDS[parent.type]
    if field is not None and node not in parent.children_by_field_name(field):
        return None
    if parent.type == "for_in_clause":
        return parent.parent
    scopes = (scope for scope in scopes_around(parent) if scope.type not in _COMPREHENSIONS)
    return next(scopes, None)


def function_around(node: tree_sitter.Node) -> tree_sitter.Node | None:
    return next((scope for scope in scopes_around(node) if scope.type in _FUNCTIONS), None)


def class_of(function: tree_sitter.Node) -> tree_sitter.Node | None:
    """The class whose method a function is."""
    scope = next(scopes_around(function), None)
    return scope if scope is not None and scope.type == "class_definition" else None


def _owner_as_parameter(identifier: tree_sitter.Node) -> tree_sitter.Node | None:
    """The function whose parameter an identifier names."""
    node, parent = identifier, identifier.parent
    while parent is not None and parent.type in (*_PARAMETER_PARTS, "list_splat_pattern", "dictionary_splat_pattern"):
        named = parent.child_by_field_name("name") or parent.named_children[0]
        if named != node:
            return None
        node, parent = parent, parent.parent
    return parent.parent if parent is not None and parent.type in ("parameters", "lambda_parameters") else None


def _is_field(parent: tree_sitter.Node, field: str, child: tree_sitter.Node) -> bool:
    return parent.child_by_field_name(field) == child
