"""The rewriting verbs that a small model may have learnt: what they are called, where one could apply, and to what of a
selection. Text and syntax in, offsets (code points) out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter

from midfill.lsp_server.holes import Span, lines_around
from midfill.lsp_server.syntax import syntax_tree


@dataclass(frozen=True)
class Verb:
    """title: for a menu. applies: is found in code that the verb could change; it decides what a menu offers, not what
    a person may ask for. on_header: the verb changes the header of a function only."""

    title: str
    applies: re.Pattern[str]
    on_header: bool = False


VERBS = {
    "type_hints": Verb("Add type hints", re.compile(r"\bdef \w+\([^)]*\)\s*:"), on_header=True),
    "docstring": Verb("Write a docstring", re.compile(r"\bdef [^\n]*:[ \t]*\r?\n\s*(?![\"'\s])"), on_header=True),
    "f_string": Verb("Use an f-string", re.compile(r"[\"']\s*%|\.format\(|[\"']\s*\+|\+\s*[\"']")),
    "comprehension": Verb("Use a comprehension", re.compile(r"\bfor [^\n]*:\s[^\0]*(?:\.append\(|\.add\(|\] = )")),
    "rename": Verb("Give the names more meaning", re.compile(r"\bdef |^\s*\w+ = ", re.MULTILINE)),
    "guard_clause": Verb("Use a guard clause", re.compile(r"\bif [^\n]*:[ \t]*\r?\n")),
    "early_return": Verb("Return early", re.compile(r"\breturn\b[^\0]*\belse\b|\belse\b[^\0]*\breturn\b")),
    "with": Verb("Use a with statement", re.compile(r"= open\(|\.close\(\)|\.acquire\(\)")),
}


def title_of(verb: str) -> str:
    """A verb of a newer model is called by its name."""
    return VERBS[verb].title if verb in VERBS else verb.replace("_", " ").capitalize()


def may_apply(verb: str, code: str) -> bool:
    return verb not in VERBS or VERBS[verb].applies.search(code) is not None


def region_for(text: str, selection: Span, verb: str | None, language: str | None) -> Span:
    """What is written again for a selection: for a cursor, its line; for a verb of headers, the header of the first
    function that is selected or, for a cursor, stands around it."""
    is_cursor = selection.start == selection.end
    if verb in VERBS and VERBS[verb].on_header:
        headers = list(_headers(text, language))
        inside = [header for header, _ in headers if selection.start <= header.start < selection.end]
        around = [header for header, function in headers if function.start <= selection.start <= function.end]
        if inside or around:
            return inside[0] if inside else around[-1]
    return lines_around(text, selection) if is_cursor else selection


def _headers(text: str, language: str | None) -> Iterator[tuple[Span, Span]]:
    """The header, up to its colon, and the whole, of each Python function, in document order."""
    tree = syntax_tree(text, language) if language == "python" else None
    nodes: list[tree_sitter.Node] = [] if tree is None else [tree.root]
    while nodes:
        node = nodes.pop()
        nodes.extend(reversed(node.children))
        if node.type == "function_definition" and tree is not None:
            colon = next((child for child in node.children if child.type == ":"), None)
            if colon is not None:
                whole = tree.span_of(node)
                yield Span(whole.start, tree.offset_of(colon.end_byte)), whole
