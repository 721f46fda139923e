"""Which spans of a source file become holes: what people will ask for, in the shares of `KIND_SHARES`.

Knows text and offsets in code points only. Spans may begin and end inside a token: so do cursors.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import tree_sitter

from midfill.model.measuring.languages import LANGUAGES, parse

MAX_HOLE_CHARS = 320
KIND_SHARES = {
    "line": 0.12,
    "rest_of_line": 0.20,
    "node": 0.20,
    "block": 0.10,
    "new_line": 0.10,
    "random": 0.07,
    "several": 0.21,
}
NEAR_CHARS = 400
"""How far from the place that is drawn a hole begins, at most."""
LINES_BELOW = 10
"""How many lines below a definition are searched for a use of its name."""
TELLING_WEIGHT = 2.0
"""How much more often than others a line is drawn whose content depends on what follows it."""


@dataclass(frozen=True, slots=True, order=True)
class CharSpan:
    """Code points [start, end)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HoleSyntax:
    """What differs between languages.

    nodes: types of tree-sitter nodes that are holes themselves; inner: types of which the hole is what stands between
    the brackets, or the statements of a body, if there are two or more. definition: a line that gives names a meaning,
    with the names in group 1; header: the first line of a block whose content follows.
    """

    nodes: frozenset[str]
    inner: frozenset[str]
    definition: re.Pattern[str]
    header: re.Pattern[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PYTHON = HoleSyntax(
    nodes=_words(
        "assert_statement assignment attribute augmented_assignment await binary_operator boolean_operator call"
        " class_definition comparison_operator concatenated_string conditional_expression decorated_definition"
        " delete_statement dictionary dictionary_comprehension expression_statement float for_statement"
        " function_definition generator_expression if_statement integer keyword_argument lambda list list_comprehension"
        " match_statement named_expression not_operator raise_statement return_statement set set_comprehension string"
        " subscript try_statement tuple unary_operator while_statement with_statement yield"
    ),
    inner=_words("argument_list block parameters"),
    definition=re.compile(
        r"(?:async\s+)?(?:def|class)\s+(\w+)|(?:async\s+)?for\s+(.+?)\s+in\b|(?:from\s+\S+\s+)?import\s+(.+)"
        r"|(?:async\s+)?with\s.*\bas\s+(.+):|([\w.]+(?:\s*,\s*[\w.]+)*)\s*(?::[^=]+)?=(?!=)"
    ),
    header=re.compile(r"(?:async\s+)?(?:if|elif|for|while|with|def|class|match|case|except)\b.*:\s*(?:#.*)?$"),
)
_JAVASCRIPT = HoleSyntax(
    nodes=_words(
        "array arrow_function assignment_expression augmented_assignment_expression await_expression"
        " binary_expression call_expression class_declaration expression_statement for_in_statement for_statement"
        " function_declaration function_expression if_statement jsx_attribute jsx_element jsx_expression"
        " jsx_self_closing_element lexical_declaration member_expression method_definition new_expression number object"
        " pair parenthesized_expression regex return_statement string subscript_expression switch_case"
        " switch_statement template_string ternary_expression throw_statement try_statement unary_expression"
        " update_expression variable_declaration variable_declarator while_statement yield_expression"
    ),
    inner=_words("arguments class_body formal_parameters statement_block"),
    definition=re.compile(
        r"(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:function\*?|class)\s+(\w+)"
        r"|(?:export\s+)?(?:const|let|var)\s+([^=]+?)\s*(?::[^=]+)?=(?!=)|import\s+(?:type\s+)?(.+?)\s+from\b"
        r"|for\s+(?:await\s+)?\((?:const|let|var)\s+(.+?)\s+(?:of|in|=)\s|([\w.$#]+)\s*=(?![=>])"
    ),
    header=re.compile(r".*(?:\)|=>|\belse|\btry|\b(?:class|interface|enum|namespace)\s.*)\s*(?::.*)?\{\s*(?://.*)?$"),
)
_TYPESCRIPT = HoleSyntax(
    nodes=_JAVASCRIPT.nodes
    | _words(
        "abstract_class_declaration as_expression enum_assignment enum_declaration function_signature generic_type"
        " interface_declaration intersection_type method_signature non_null_expression object_type optional_parameter"
        " property_signature public_field_definition required_parameter satisfies_expression type_alias_declaration"
        " type_annotation union_type"
    ),
    inner=_JAVASCRIPT.inner | _words("enum_body interface_body type_arguments type_parameters"),
    definition=re.compile(rf"(?:export\s+)?(?:interface|type|enum|namespace)\s+(\w+)|{_JAVASCRIPT.definition.pattern}"),
    header=_JAVASCRIPT.header,
)
HOLE_SYNTAX = {"python": _PYTHON, "javascript": _JAVASCRIPT, "typescript": _TYPESCRIPT}
"""By the family of a language."""

_LINE = re.compile(r"^[ \t]*(\S.*?)[ \t]*$", re.M)
_OWNERS = re.compile(r"[\w$#]+\.")
_WORD = re.compile(r"\w")
_NAME = re.compile(r"[^\W\d]\w+")


class SourceFile:
    """A file from which holes are drawn. `language` names a grammar of `languages.LANGUAGES`."""

    def __init__(self, text: str, language: str = "python") -> None:
        self.text = text
        self.language = language
        self.syntax = HOLE_SYNTAX[LANGUAGES[language].family]

    @cached_property
    def lines(self) -> list[CharSpan]:
        """The span of each line that is not blank, without its indentation and line end."""
        return [CharSpan(match.start(1), match.end(1)) for match in _LINE.finditer(self.text)]

    @cached_property
    def nodes(self) -> list[CharSpan]:
        """The spans, by their start, of the expressions, statements, argument lists and bodies that are no longer than
        a hole may be. A bare name is one token: it is not worth asking for."""
        spans = {(start, end) for start, end in self._node_bytes() if start < end <= start + 4 * MAX_HOLE_CHARS}
        offsets = self._char_offsets
        chars = {(start, end) if offsets is None else (int(offsets[start]), int(offsets[end])) for start, end in spans}
        return [CharSpan(start, end) for start, end in sorted(chars) if end - start <= MAX_HOLE_CHARS]

    def _node_bytes(self) -> Iterator[tuple[int, int]]:
        """[start, end) of each node that may be a hole, in bytes of UTF-8."""
        nodes, inner = self.syntax.nodes, self.syntax.inner
        pending: list[tree_sitter.Node] = [parse(self.text, self.language).root_node]
        while pending:
            node = pending.pop()
            children = node.named_children
            if node.type in nodes:
                yield node.start_byte, node.end_byte
            elif node.type in inner and len(children) > 1:
                yield children[0].start_byte, children[-1].end_byte
            pending += children

    @cached_property
    def _char_offsets(self) -> np.ndarray | None:
        """The offset in code points of each byte; None where they are the same."""
        if self.text.isascii():
            return None
        content = np.frombuffer(self.text.encode(), np.uint8)
        return np.concatenate(([0], np.cumsum((content & 0xC0) != 0x80)))

    @cached_property
    def weights(self) -> list[float]:
        """How often each of `lines` is drawn, beside 1 for an ordinary line: more where what follows tells its content,
        because it defines a name that is used below or heads the block below."""
        contents = [self.text[line.start : line.end] for line in self.lines]
        names = [_NAME.findall(content) for content in contents]
        weights = []
        for index, content in enumerate(contents):
            defined = self._defined_names(content)
            is_used = any(not defined.isdisjoint(below) for below in names[index + 1 : index + 1 + LINES_BELOW])
            is_telling = is_used or self.syntax.header.match(content)
            weights.append(TELLING_WEIGHT if is_telling else 1.0)
        return weights

    def _defined_names(self, content: str) -> set[str]:
        """The names that a line gives a meaning; of `self.name`, `name`."""
        match = self.syntax.definition.match(content)
        targets = next(filter(None, match.groups()), "") if match else ""
        return set(_NAME.findall(_OWNERS.sub("", targets)))

    @cached_property
    def new_lines(self) -> list[tuple[CharSpan, int]]:
        """What can follow when a line is new: the next line or the next block, with its indentation, and the length of
        that. A block is the lines below a header that are indented more than it is; where it is longer than a hole may
        be, its first line. No blank line stands before; lines of brackets alone, which editors write, are left out."""
        found = []
        for first, second in pairwise(self.lines):
            line_start = self.text.rfind("\n", 0, second.start) + 1
            is_blank_before = self.text.count("\n", first.end, second.start) > 1
            if is_blank_before or not _WORD.search(self.text, second.start, second.end):
                continue
            indentation = second.start - line_start
            is_header = self.text[first.end - 1] in ":{" and indentation > self._indentation(first)
            end = self._block_end(second, indentation) if is_header else second.end
            whole = end if end - line_start <= MAX_HOLE_CHARS else second.end
            found.append((CharSpan(line_start, whole), indentation))
        return [(span, indentation) for span, indentation in found if span.end - span.start <= MAX_HOLE_CHARS]

    def _indentation(self, line: CharSpan) -> int:
        return line.start - self.text.rfind("\n", 0, line.start) - 1

    def _block_end(self, first: CharSpan, indentation: int) -> int:
        """The end of the last line from `first` on before one that is indented less."""
        end = first.end
        for index in range(bisect_left(self.lines, first) + 1, len(self.lines)):
            line = self.lines[index]
            if self._indentation(line) < indentation or end - first.start > MAX_HOLE_CHARS:
                break
            end = line.end
        return end


def draw_holes(source: SourceFile, near: int, rng: random.Random) -> tuple[CharSpan, ...]:
    """One to three holes, in document order and not touching, around the offset `near`; empty if nothing fits there."""
    kind = rng.choices(list(KIND_SHARES), list(KIND_SHARES.values()))[0]
    if kind != "several":
        span = _draw(source, kind, near, rng)
        return (span,) if span else ()
    wanted, holes = rng.randint(2, 3), list[CharSpan]()
    for _ in range(3 * wanted):
        one_kind = rng.choice(["line", "rest_of_line", "node"])
        span = _draw(source, one_kind, near + rng.randint(0, 700), rng)
        if span and span.start < span.end and all(span.end < hole.start or hole.end < span.start for hole in holes):
            holes.append(span)
        if len(holes) == wanted:
            break
    return tuple(sorted(holes))


def _draw(source: SourceFile, kind: str, near: int, rng: random.Random) -> CharSpan | None:
    if kind == "random":
        start = min(max(0, near + rng.randint(-100, 100)), len(source.text))
        length = 0 if rng.random() < 0.1 else rng.randint(1, 160)
        return CharSpan(start, min(start + length, len(source.text)))
    if kind == "node":
        close = _near(source.nodes, near)
        close = [span for span in close if span.end - span.start > 3] or close
        return rng.choice(close) if close else None
    if kind == "new_line":
        spans = [span for span, _ in source.new_lines]
        low, high = _range_near(spans, near)
        if low == high:
            return None
        span, indentation = source.new_lines[rng.randrange(low, high)]
        return span if rng.random() < 0.5 else CharSpan(span.start + indentation, span.end)
    low, high = _range_near(source.lines, near)
    if low == high:
        return None
    if kind == "block":
        index = rng.randrange(low, high)
        last = min(index + rng.randint(1, 7), high - 1)
        return _limited(CharSpan(source.lines[index].start, source.lines[last].end))
    index = rng.choices(range(low, high), source.weights[low:high])[0]
    if kind == "line":
        return _limited(source.lines[index])
    return _limited(_rest_of_line(source.text, source.lines[index], rng))


def _range_near(spans: Sequence[CharSpan], near: int) -> tuple[int, int]:
    """The range of indices of the spans, which are sorted, that begin close to `near`."""
    low = bisect_right(spans, near - NEAR_CHARS, key=lambda span: span.start)
    return low, bisect_left(spans, near + NEAR_CHARS, lo=low, key=lambda span: span.start)


def _near(spans: Sequence[CharSpan], near: int) -> Sequence[CharSpan]:
    low, high = _range_near(spans, near)
    return spans[low:high]


def _rest_of_line(text: str, line: CharSpan, rng: random.Random) -> CharSpan:
    """From a cursor inside the line to its end, or to the brackets that an editor has closed behind the cursor."""
    cursor = rng.randint(line.start, line.end)
    closers = re.search(r"[)\]}'\":,;]+$", text[cursor : line.end])
    end = cursor + closers.start() if closers and rng.random() < 0.4 else line.end
    return CharSpan(cursor, end)


def _limited(span: CharSpan) -> CharSpan | None:
    return span if span.end - span.start <= MAX_HOLE_CHARS else None
