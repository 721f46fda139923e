"""Quick fixes: what stands at a diagnostic is denoised again, and offered if it parses and differs.

A quick fix must be known before it is offered, so it is looked for when an editor asks for the actions at a diagnostic,
once for each place of a version of the document. Those who ask wait a moment; what takes longer is there the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import tree_sitter

from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.holes import Span, lines_around, trimmed
from midfill.lsp_server.text.syntax import syntax_tree

WAIT_S = 1.0
"""How long the menu of an editor may be kept waiting."""
STRENGTH = 0.6
NUM_OFFERED = 3
MAX_LINES = 8
"""A longer statement is no small repair."""

_BLOCKS = frozenset({"module", "block", "program", "source_file", "statement_block", "compound_statement", "chunk"})

Look = Callable[[], Awaitable[tuple[FilledHole, ...]]]


class Repairs:
    """What was found, or is being looked for, in the documents as they are now. Use it on one event loop."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Span, asyncio.Task[tuple[FilledHole, ...]]]] = {}

    async def found(self, uri: str, span: Span, look: Look) -> tuple[FilledHole, ...]:
        """The repairs of the code at `span`, looked for if nobody has; nothing while they are not known yet."""
        of_document = self._found.setdefault(uri, {})
        if span not in of_document:
            of_document[span] = asyncio.ensure_future(look())
        task = of_document[span]
        await asyncio.wait([task], timeout=WAIT_S)
        return task.result() if task.done() and not task.cancelled() and task.exception() is None else ()

    def forget(self, uri: str) -> None:
        """The document is another one now."""
        for task in self._found.pop(uri, {}).values():
            task.cancel()

    def close(self) -> None:
        for uri in list(self._found):
            self.forget(uri)


def regions_around(text: str, span: Span, language: str | None) -> tuple[Span, ...]:
    """What to write again for a diagnostic, smallest first: the smallest expression around it that is more than one
    word, then its statement; where the code does not parse there, or has no grammar, its lines."""
    tree = syntax_tree(text, language)
    lines = trimmed(text, lines_around(text, span))
    if tree is None:
        return _usable(text, [lines])
    first, last = (len(text[:offset].encode("utf-8", "replace")) for offset in (span.start, max(span.end, span.start)))
    node = tree.root.descendant_for_byte_range(first, max(last - 1, first))
    nodes: list[tree_sitter.Node] = []
    while node is not None and node.type not in _BLOCKS:
        if node.is_error or node.has_error:
            return _usable(text, [lines])
        nodes.append(node)
        node = node.parent
    expressions = [node for node in nodes if node.is_named and node.child_count > 1 and node.type not in _BLOCKS]
    found = [tree.span_of(one) for one in (*expressions[:1], *expressions[-1:])]
    body = next((child for child in nodes[-1].children if child.type in _BLOCKS), None) if nodes else None
    if body is not None and found:  # of a statement with a body, what stands in front of it
        found[-1] = trimmed(text, Span(found[-1].start, tree.offset_of(body.start_byte)))
    return _usable(text, found or [lines])


def title_of(text: str, repair: FilledHole) -> str:
    return f"Replace {_shown(text[repair.span.start : repair.span.end])} with {_shown(repair.fill)}"


def _shown(code: str) -> str:
    first, _, more = code.strip().partition("\n")
    first = first.rstrip()
    return f"`{first[:40]}…`" if more or len(first) > 40 else f"`{first}`"


def _usable(text: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(
        span
        for span in dict.fromkeys(spans)
        if text[span.start : span.end].strip() and text.count("\n", span.start, span.end) < MAX_LINES
    )
