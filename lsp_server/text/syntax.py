"""What tree-sitter knows: whether text parses, whether a fill parses where it stands, what a cursor stands in.

Text in, offsets (code points) out. Grammars are imported when first needed and their parsers kept. Only the top-level
block around a place is parsed, so a file of 50,000 lines costs what its function costs. Python's own parser is asked
too, because tree-sitter forgives wrong indentation.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import PurePath
from typing import Literal

import tree_sitter

from midfill.lsp_server.text.blocks import enclosing_block, opens_empty_body, opens_empty_brackets
from midfill.lsp_server.text.brackets import has_open_quote
from midfill.lsp_server.text.holes import DEFAULT_MARKER, Span

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "lua": ("tree_sitter_lua", "language"),
}
_LANGUAGE_IDS = {"javascriptreact": "javascript", "typescriptreact": "tsx", "c++": "cpp", "py": "python"}
_SUFFIXES = {
    **dict.fromkeys((".py", ".pyi", ".pyw"), "python"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), "javascript"),
    **dict.fromkeys((".ts", ".mts", ".cts"), "typescript"),
    ".tsx": "tsx",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), "cpp"),
    ".lua": "lua",
}


_SHORT_FILE, _LONG_FILE = 15_000, 60_000
"""Characters that tree-sitter parses in a few milliseconds, and in some tens of them."""


def language_of(language_id: str, path: str | None) -> str | None:
    """The grammar for an editor's language id, or else for the file's suffix; None when there is none."""
    language = _LANGUAGE_IDS.get(language_id, language_id)
    if language in _GRAMMARS:
        return language
    return _SUFFIXES.get(PurePath(path).suffix.lower()) if path and language in ("", "plaintext", "text") else None


def num_errors(text: str, language: str | None) -> int | None:
    """Number of places where tree-sitter found an error or missed a token; None without a grammar."""
    parser = _parser(language)
    return None if parser is None else len(_error_places(parser, text))


def parses(text: str, language: str | None) -> bool | None:
    """Whether the whole text parses; None without a grammar."""
    num = num_errors(text, language)
    if num is None:
        return None
    if language != "python":
        return num == 0
    verdict = _python_parses(_normalised(text))
    return verdict if verdict is not None else num == 0


def syntax_tree(text: str, language: str | None) -> SyntaxTree | None:
    """The text parsed, mistakes and all; None without a grammar."""
    parser = _parser(language)
    if parser is None:
        return None
    data = _encoded(re.sub(r"\r(\n?)", lambda end: " \n" if end[1] else "\n", text) if "\r" in text else text)
    return SyntaxTree(parser.parse(data).root_node, data)


@dataclass(frozen=True)
class SyntaxTree:
    """A parse of a text. The nodes count bytes of `data`, which has the text's code points, with `\\n` line ends."""

    root: tree_sitter.Node
    data: bytes

    @cached_property
    def _is_ascii(self) -> bool:
        return self.data.isascii()

    def span_of(self, node: tree_sitter.Node) -> Span:
        return Span(self.offset_of(node.start_byte), self.offset_of(node.end_byte))

    def offset_of(self, byte: int) -> int:
        """Code points in front of a byte that begins a character."""
        return byte if self._is_ascii else len(self.data[:byte].decode("utf-8", "replace"))

    def text_of(self, node: tree_sitter.Node) -> str:
        return self.data[node.start_byte : node.end_byte].decode("utf-8", "replace")


def parses_in_place(
    text: str, start: int, end: int, fill: str, language: str | None, marker: str = DEFAULT_MARKER
) -> bool | None:
    """Whether `fill` parses in place of `text[start:end]`; None without a grammar.

    Judged in the top-level block around it. Errors that are there whatever fills the hole, and other unfilled markers,
    do not count against it."""
    parser = _parser(language)
    if parser is None or language is None:
        return None
    fill = _normalised(fill)
    bounds = enclosing_block(text, start, end, language)
    before, after = _surroundings(text, (bounds[0], start), (end, bounds[1]), marker, language)
    if _parses_between(before, fill, after, language):
        return True
    if len(text) > _LONG_FILE:
        return False
    misled = _fewest_errors(before, after, language) > 0  # the bounds were a guess
    before, after = _surroundings(text, (0, start), (end, len(text)), marker, language)
    if misled and _fewest_errors(before, after, language) == 0:
        return _parses_between(before, fill, after, language)
    return len(text) <= _SHORT_FILE and parses(before + fill + after, language)


def _surroundings(
    text: str, before: tuple[int, int], after: tuple[int, int], marker: str, language: str
) -> tuple[str, str]:
    first = _without_markers(_normalised(text[slice(*before)]), marker, language)
    return first, _without_markers(_normalised(text[slice(*after)]), marker, language)


def _parses_between(before: str, fill: str, after: str, language: str) -> bool:
    parser = _parser(language)
    assert parser is not None
    filled = before + fill + after
    errors = _error_places(parser, filled)
    if language == "python":
        verdict = _python_parses(filled)
        if verdict:
            return True
        if verdict is False and not errors:  # tree-sitter forgives it: the fill's fault, if something else would parse
            return not _python_could_parse(before, after)
    if not errors:
        return True
    first, last = _lines_of(len(before), len(before) + len(fill), filled)
    if any(first <= place <= last for place in errors):
        return False
    return len(errors) <= _fewest_errors(before, after, language)


@dataclass(frozen=True, slots=True)
class CursorPlace:
    """What a cursor stands in, and what fits there: a block in an empty body or an empty list of arguments that is
    spread over lines, else the rest of a line."""

    kind: Literal["code", "string", "comment"]
    shape: Literal["line", "block"]


@lru_cache(maxsize=4)
def cursor_place(text: str, offset: int, language: str | None) -> CursorPlace:
    """Without a grammar all is code, and a line fits."""
    parser = _parser(language)
    if parser is None or language is None:
        return CursorPlace("code", "line")
    short = len(text) <= _SHORT_FILE  # parsed whole: text at the margin of a docstring would mislead
    block_start, block_end = (0, len(text)) if short else enclosing_block(text, offset, offset, language)
    block, at = text[block_start:block_end], offset - block_start
    kind = _string_or_comment(parser, block, at)
    if kind is not None:
        return CursorPlace(kind, "line")
    is_empty = opens_empty_body(block, at, language) or opens_empty_brackets(block, at)
    return CursorPlace("code", "block" if is_empty else "line")


@cache
def _parser(language: str | None) -> tree_sitter.Parser | None:
    if language not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[language]
    return tree_sitter.Parser(tree_sitter.Language(getattr(importlib.import_module(module), function)()))


def _normalised(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _error_places(parser: tree_sitter.Parser, text: str) -> list[int]:
    """Byte offsets where errors begin."""
    root = parser.parse(_encoded(text)).root_node
    return [node.start_byte for node in _error_nodes(root)] if root.has_error else []


def _error_nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            yield node
        nodes.extend(child for child in node.children if child.has_error)


def _lines_of(start: int, end: int, text: str) -> tuple[int, int]:
    """Byte offsets of the lines that hold code points [start, end)."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last
    num_before = len(_encoded(text[:first]))
    return num_before, num_before + len(_encoded(text[first:last]))


_PYTHON_BLANKS = ("x", "pass", "\n", " x:", "if x:", "x(", "x[", "{")
_OTHER_BLANKS = ("x", "x;", "{}")


@lru_cache(maxsize=64)
def _fewest_errors(before: str, after: str, language: str) -> int:
    """Errors that stay whatever of a few blanks stands in the hole."""
    parser = _parser(language)
    assert parser is not None
    blanks = _PYTHON_BLANKS if language == "python" else _OTHER_BLANKS
    fewest = len(_error_places(parser, before + after))
    for blank in blanks:
        if fewest == 0:
            break
        fewest = min(fewest, len(_error_places(parser, before + blank + after)))
    return fewest


@lru_cache(maxsize=64)
def _python_could_parse(before: str, after: str) -> bool:
    return any(_python_parses(before + blank + after) for blank in ("", *_PYTHON_BLANKS))


def _python_parses(text: str) -> bool | None:
    """Python's own verdict; None when it could not judge (too deep a nesting)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError):
            return False
        except (RecursionError, MemoryError):
            return None
    return True


def _without_markers(text: str, marker: str, language: str) -> str:
    """Markers as something harmless: a name, or nothing where one stands alone on its line."""
    if marker not in text:
        return text
    if language != "python":
        text = re.sub(rf"(?m)^([ \t]*){re.escape(marker)}[ \t]*$", r"\1", text)
    return text.replace(marker, "x")


_STRINGS = frozenset(
    {
        *("string", "string_literal", "raw_string_literal", "interpreted_string_literal", "template_string"),
        *("multiline_string_literal", "system_lib_string", "regex"),
        *("char_literal", "character_literal", "rune_literal"),
    }
)
_INTERPOLATED = ("interpolation", "template_substitution")


def _string_or_comment(parser: tree_sitter.Parser, text: str, offset: int) -> Literal["string", "comment"] | None:
    before = _encoded(text[:offset])
    at = len(before)
    root = parser.parse(before + _encoded(text[offset:])).root_node
    # the character before the cursor decides: a comment goes on at its end, a string is left behind its quote
    node = root.descendant_for_byte_range(max(at - 1, 0), at)
    while node is not None:
        if node.type in _INTERPOLATED and node.start_byte < at < node.end_byte:
            return None
        if "comment" in node.type and node.start_byte < at:
            closed = node.end_byte == at and before.endswith((b"*/", b"]]"))
            return None if closed or before.endswith(b"\n") else "comment"
        if node.type in _STRINGS and node.start_byte < at and (at < node.end_byte or node.has_error):
            return "string"
        node = node.parent
    is_unclosed = root.has_error and has_open_quote(text[text.rfind("\n", 0, offset) + 1 : offset])
    return "string" if is_unclosed else None
