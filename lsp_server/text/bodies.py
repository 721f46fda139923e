"""Holes that syntax implies: Python bodies of which nothing is written yet, and the function around a place.

A body is empty when it holds only (a docstring and) `...`, `pass`, `raise NotImplementedError` or a TODO comment.
Text in, offsets (code points) out. A file of many thousand lines is parsed only around what looks like an empty body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import tree_sitter

from midfill.lsp_server.text.blocks import enclosing_block
from midfill.lsp_server.text.finishing.finish import line_ending_of
from midfill.lsp_server.text.holes import DEFAULT_MARKER, Place, Span, lines_around
from midfill.lsp_server.text.syntax import SyntaxTree, syntax_tree

_PARSED_WHOLE = 60_000
"""Characters: a longer file is parsed block by block."""


@dataclass(frozen=True, order=True)
class EmptyBody:
    """`place` is where its code goes; `owner` is the statement it belongs to, from its first line to the body's end."""

    place: Place
    owner: Span


@lru_cache(maxsize=4)
def empty_bodies(text: str, language: str | None, marker: str = DEFAULT_MARKER) -> tuple[EmptyBody, ...]:
    """In document order. Left out is what is meant to stay empty: abstract methods, overloads, protocols."""
    if language != "python":
        return ()
    text = _without_markers(text, marker)
    bodies: list[EmptyBody] = []
    for block in _promising_blocks(text, language):
        tree = syntax_tree(text[block.start : block.end], language)
        assert tree is not None
        source = _Source(text, block.start, tree)
        found = (_empty_body(source, *pair) for pair in _statements_with_bodies(tree.root))
        bodies += [body for body in found if body is not None]
    return tuple(sorted(set(bodies)))


def enclosing_function(text: str, offset: int, language: str | None, marker: str = DEFAULT_MARKER) -> Span | None:
    """The innermost function whose lines hold `offset`, with its decorators; None outside of all functions."""
    if language is None:
        return None
    text = _without_markers(text, marker)
    is_short = len(text) <= _PARSED_WHOLE
    block = Span(*((0, len(text)) if is_short else enclosing_block(text, offset, offset, language)))
    tree = syntax_tree(text[block.start : block.end], language)
    if tree is None:
        return None
    source = _Source(text, block.start, tree)
    spans = [source.owner_of(node) for node in _nodes(tree.root) if node.type in _FUNCTIONS]
    around = [span for span in spans if span.start <= offset <= span.end]
    return min(around, key=lambda span: span.end - span.start, default=None)


@dataclass(frozen=True)
class _Source:
    """A block of a text and its tree; places are given in the whole text."""

    text: str
    start: int
    tree: SyntaxTree

    @cached_property
    def line_ending(self) -> str:
        return line_ending_of(self.text)

    @cached_property
    def step(self) -> str:
        """One level of indentation."""
        return "\t" if re.search(r"^\t", self.text, re.MULTILINE) else "    "

    def span_of(self, node: tree_sitter.Node) -> Span:
        span = self.tree.span_of(node)
        return Span(span.start + self.start, span.end + self.start)

    def owner_of(self, node: tree_sitter.Node) -> Span:
        """A statement from the first of its lines to the last, with what is indented below it: comments at the end of
        a body are not in its node."""
        if node.parent is not None and node.parent.type == "decorated_definition":
            node = node.parent
        span = lines_around(self.text, self.span_of(node))
        return Span(span.start, self.end_of_indented(span.end, span.start))

    def end_of_indented(self, line_end: int, header: int) -> int:
        """The end of the last line that is indented deeper than the header's, of those that follow a line's end."""
        width, end = len(self.indentation_at(header)), line_end
        for line in _LINE.finditer(self.text, line_end):
            if line[0].strip() and len(_indentation(line[0])) <= width:
                break
            end = line.end() if line[0].strip() else end
        return end

    def indentation_at(self, offset: int) -> str:
        line = lines_around(self.text, Span(offset, offset))
        return _indentation(self.text[line.start : line.end])


_LINE = re.compile(r"(?:\r\n|\r|\n)[^\r\n]*")
_LINE_END = re.compile(r"[\r\n]")
_TODO = re.compile(r"#[ \t]*(?:TODO|FIXME|XXX)\b[^\r\n]*")
_PROMISING = re.compile(
    r"(?:^|[\r\n:])[ \t]*(?:\.\.\.|pass\b|raise[ \t]+NotImplementedError\b|#[ \t]*(?:TODO|FIXME|XXX)\b)"
)
_FUNCTIONS = frozenset(
    {
        *("function_definition", "function_declaration", "method_definition", "method_declaration", "function_item"),
        *("function_expression", "arrow_function", "constructor_declaration", "func_literal", "generator_function"),
    }
)


def _promising_blocks(text: str, language: str) -> list[Span]:
    """What has to be parsed to find all empty bodies."""
    if len(text) <= _PARSED_WHOLE:
        return [Span(0, len(text))] if _PROMISING.search(text) else []
    blocks: list[Span] = []
    for match in _PROMISING.finditer(text):
        if blocks and match.end() <= blocks[-1].end:
            continue
        block = Span(*enclosing_block(text, match.end(), match.end(), language))
        if blocks and block.start <= blocks[-1].end:  # parsed together: one parse of many blocks costs less
            block = Span(blocks.pop().start, block.end)
        blocks.append(block)
    return blocks


def _nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    nodes = [root]
    while nodes:
        node = nodes.pop()
        yield node
        nodes.extend(node.children)


def _statements_with_bodies(root: tree_sitter.Node) -> Iterator[tuple[tree_sitter.Node, tree_sitter.Node]]:
    """Every statement and clause that has a body of its own, with that body; classes do not count."""
    for node in _nodes(root):
        if node.type == "block" and node.parent is not None and node.parent.type != "class_definition":
            yield node.parent, node


def _empty_body(source: _Source, statement: tree_sitter.Node, block: tree_sitter.Node) -> EmptyBody | None:
    """The statement's body if it is empty."""
    is_function = statement.type == "function_definition"
    colon = next((child for child in reversed(statement.children) if child.type == ":"), None)
    if colon is None or (is_function and _stays_empty(source.tree, statement)):
        return None
    header_end, body_end = source.span_of(colon).end, source.span_of(block).end
    line = lines_around(source.text, Span(body_end, body_end))
    children = [child for child in block.named_children if child.type != "comment"]
    code = _without_docstring(children) if is_function else children
    todo_end = source.end_of_indented(line.end, source.span_of(statement).start)
    todos = list(_TODO.finditer(source.text, header_end, todo_end))
    if not code and todos:
        return EmptyBody(_below(source, todos[-1]), source.owner_of(statement))
    if len(code) == 1 and _is_placeholder(source.tree, code[0], is_function, bool(todos)):
        return EmptyBody(_instead_of(source, code[0], header_end), source.owner_of(statement))
    return None


def _without_docstring(statements: Sequence[tree_sitter.Node]) -> Sequence[tree_sitter.Node]:
    first = statements[0] if statements else None
    is_docstring = first is not None and [child.type for child in first.named_children] == ["string"]
    return statements[1:] if is_docstring else statements


def _is_placeholder(tree: SyntaxTree, statement: tree_sitter.Node, is_function: bool, has_todo: bool) -> bool:
    """Elsewhere than in a function, `pass` and raising are often meant as they stand."""
    match statement.type:
        case "expression_statement":
            return [child.type for child in statement.named_children] == ["ellipsis"]
        case "pass_statement":
            return is_function or has_todo
        case "raise_statement":
            return is_function and re.match(r"raise\s+NotImplementedError\b", tree.text_of(statement)) is not None
    return False


def _below(source: _Source, comment: re.Match[str]) -> Place:
    """On a line of its own below a comment, which stays: it says what is to be done."""
    end = comment.start() + len(comment[0].rstrip())
    return Place(Span(end, end), source.line_ending + source.indentation_at(comment.start()), needs_code=True)


def _instead_of(source: _Source, statement: tree_sitter.Node, header_end: int) -> Place:
    """In place of a statement, on a line of its own: what stands behind `def f():` moves below it, and a comment
    behind the statement above it."""
    span, eol = source.span_of(statement), source.line_ending
    indentation = source.indentation_at(span.start)
    start, lead = span.start, ""
    if not _LINE_END.search(source.text, header_end, span.start):
        indentation += source.step
        start, lead = header_end, eol + indentation
    comment = re.compile(r"[ \t]*(#[^\r\n]*)").match(source.text, span.end)
    if comment is None:
        return Place(Span(start, span.end), lead, needs_code=True)
    lead = f"{lead}{comment[1].rstrip()}{eol}{indentation}"
    return Place(Span(start, comment.end()), lead, needs_code=True)


def _stays_empty(tree: SyntaxTree, function: tree_sitter.Node) -> bool:
    """Whether a function only declares: it is abstract, an overload, or a method of a protocol."""
    around = function.parent
    if around is not None and around.type == "decorated_definition":
        decorators = [tree.text_of(child) for child in around.children if child.type == "decorator"]
        if any(re.search(r"\b(?:abstract\w*|overload)\b", decorator) for decorator in decorators):
            return True
        around = around.parent
    owner = around.parent if around is not None and around.type == "block" else None
    if owner is None or owner.type != "class_definition":
        return False
    bases = owner.child_by_field_name("superclasses")
    return bases is not None and re.search(r"\bProtocol\b", tree.text_of(bases)) is not None


def _without_markers(text: str, marker: str) -> str:
    """The same places in a text that parses: markers are names."""
    return text.replace(marker, "x" * len(marker))


def _indentation(line: str) -> str:
    line = line.lstrip("\r\n")
    return line[: len(line) - len(line.lstrip(" \t"))]
