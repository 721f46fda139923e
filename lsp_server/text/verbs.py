"""The rewriting verbs that a small model may have learnt: what they are called, where one could apply, and to what of a
selection. Text and syntax in, offsets (code points) out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tree_sitter

from midfill.lsp_server.text.holes import Span, lines_around
from midfill.lsp_server.text.syntax import syntax_tree


@dataclass(frozen=True)
class Verb:
    """title: for a menu. applies: patterns that are found, one behind the other, in code that the verb could change; a
    menu offers the verb where one of the groups is found. It does not limit what a person may ask for. on_header: the
    verb changes the header of a function only."""

    title: str
    applies: tuple[tuple[re.Pattern[str], ...], ...]
    on_header: bool = False


def _found(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)


VERBS = {
    "type_hints": Verb("Add type hints", (_found(r"\bdef \w+\([^)]{0,2000}\)\s*:"),), on_header=True),
    "docstring": Verb(
        "Write a docstring", (_found(r"\bdef [^\n]{0,300}:[ \t]{0,80}\r?\n\s*(?![\"'\s])"),), on_header=True
    ),
    "f_string": Verb("Use an f-string", (_found(r"[\"']\s*%|\.format\(|[\"']\s*\+|\+\s*[\"']"),)),
    "comprehension": Verb("Use a comprehension", (_found(r"\bfor [^\n]{0,300}:\s", r"\.append\(|\.add\(|\] = "),)),
    "rename": Verb("Give the names more meaning", (_found(r"\bdef |^[ \t]*\w+ = "),)),
    "guard_clause": Verb("Use a guard clause", (_found(r"\bif [^\n]{0,300}:[ \t]{0,80}\r?\n"),)),
    "early_return": Verb("Return early", (_found(r"\breturn\b", r"\belse\b"), _found(r"\belse\b", r"\breturn\b"))),
    "with": Verb("Use a with statement", (_found(r"= open\(|\.close\(\)|\.acquire\(\)"),)),
}
"""What may repeat before something that can be missing has a bound, so that a search takes time linear in the code."""


def title_of(verb: str) -> str:
    """A verb of a newer model is called by its name."""
    return VERBS[verb].title if verb in VERBS else verb.replace("_", " ").capitalize()


def may_apply(verb: str, code: str) -> bool:
    return verb not in VERBS or any(_are_in_order(patterns, code) for patterns in VERBS[verb].applies)


def _are_in_order(patterns: Sequence[re.Pattern[str]], code: str) -> bool:
    end = 0
    for pattern in patterns:
        match = pattern.search(code, end)
        if match is None:
            return False
        end = match.end()
    return True


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
