"""Text of other open documents that helps to fill a hole: what they define that the hole's surroundings name, the
modules that its file imports, then what resembles it most, in regions of whole lines.

The model keeps what it has read of a snippet, so the same hole must get the same texts from key to key: `RelatedTexts`
ranks anew only when the hole is in another definition than before, or when the cursor has come to rest.
Knows documents and offsets; which documents may be sent is the caller's to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import PurePath

from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.text.blocks import enclosing_block
from midfill.lsp_server.text.finishing.finish import normalise_line_endings
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.syntax import language_of, syntax_tree
from midfill.model.wire.api import Snippet

REGION_CHARS = 1500
"""About how long the regions are that a document is ranked by."""
READ_CHARS = 200_000
"""Of each document, from its start: the rest of a very long file is not looked at."""
NEAR_CHARS = 2000
"""To either side of a hole: its surroundings."""


@dataclass(frozen=True)
class RelatedText:
    """A snippet, and the document that it came from."""

    uri: str
    snippet: Snippet


@dataclass(frozen=True)
class Region:
    """Some lines of a document: `[start, end)`, and the names in them and that they define."""

    document: DocumentSnapshot
    start: int
    end: int
    names: frozenset[str]
    defined: frozenset[str]


class RelatedTexts:
    """What was last found for each document that is being edited, and the regions of those it was found in."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, tuple[RelatedText, ...]]] = {}
        self._regions: dict[str, tuple[DocumentSnapshot, tuple[Region, ...]]] = {}

    def found(self, snapshot: DocumentSnapshot, offset: int) -> tuple[RelatedText, ...] | None:
        """What was found when the hole was last in the definition it is in now; None if it was in another."""
        definition, texts = self._found.get(snapshot.uri, (None, ()))
        return texts if definition == _definition_at(snapshot, offset) else None

    def find(
        self, snapshot: DocumentSnapshot, offset: int, others: Sequence[DocumentSnapshot], num_chars: int
    ) -> tuple[RelatedText, ...]:
        """Rank `others` for a hole and remember the outcome."""
        regions = [region for document in others for region in self._regions_of(document)]
        texts = related_texts(snapshot.text, offset, regions, num_chars)
        self._found[snapshot.uri] = _definition_at(snapshot, offset), texts
        return texts

    def forget(self, uri: str) -> None:
        self._found.pop(uri, None)
        self._regions.pop(uri, None)

    def _regions_of(self, document: DocumentSnapshot) -> tuple[Region, ...]:
        known, regions = self._regions.get(document.uri, (None, ()))
        if known is not document:
            regions = regions_of(document)
            self._regions[document.uri] = document, regions
        return regions


def related_texts(text: str, offset: int, regions: Sequence[Region], num_chars: int) -> tuple[RelatedText, ...]:
    """The regions that help a hole at `offset`, together at most `num_chars`: the document with the best one first,
    neighbouring regions as one snippet."""
    near = frozenset(_NAME.findall(text[max(offset - NEAR_CHARS, 0) : offset + NEAR_CHARS]))
    modules = frozenset(_imported_modules(text[:READ_CHARS]))
    named = near - {name for names in _OWN.findall(text[:READ_CHARS]) for name in names}
    num_regions_with = Counter(name for region in regions for name in region.names & near)

    def rank(region: Region) -> tuple[bool, bool, float]:
        shared = sum(1 / num_regions_with[name] for name in region.names & near)
        return bool(region.defined & named), _is_module(region.document, modules), shared

    chosen: list[Region] = []
    left = num_chars
    for region in sorted(regions, key=rank, reverse=True):
        if region.end - region.start <= left and any(rank(region)):
            chosen.append(region)
            left -= region.end - region.start
    order = {region.document.uri: place for place, region in reversed(list(enumerate(chosen)))}
    chosen.sort(key=lambda region: (order[region.document.uri], region.start))
    return tuple(text for _, group in groupby(chosen, lambda one: one.document.uri) for text in _joined(list(group)))


def regions_of(document: DocumentSnapshot) -> tuple[Region, ...]:
    """The document in regions of about REGION_CHARS that begin where something at the margin does, where possible."""
    text = document.text[:READ_CHARS]
    cuts = [0]
    for begin, following in pairwise([0, *(match.start() for match in _BLOCK_START.finditer(text)), len(text)]):
        if following - cuts[-1] > REGION_CHARS and begin > cuts[-1]:
            cuts.append(begin)
        while following - cuts[-1] > 2 * REGION_CHARS:  # one long definition
            newline = text.find("\n", cuts[-1] + REGION_CHARS, following)
            if newline < 0 or newline + 1 >= following:
                break
            cuts.append(newline + 1)
    bounds = [(start, end) for start, end in pairwise([*cuts, len(text)]) if text[start:end].strip()]
    defined = _definitions(text, language_of(document.language_id, document.path))
    return tuple(
        Region(
            document,
            start,
            end,
            frozenset(_NAME.findall(text[start:end])),
            frozenset(name for at, name in defined if start <= at < end),
        )
        for start, end in bounds
    )


def _joined(regions: list[Region]) -> list[RelatedText]:
    """Regions of one document, in order, as snippets: those next to each other are one."""
    spans: list[Span] = []
    for region in regions:
        if spans and spans[-1].end == region.start:
            spans[-1] = Span(spans[-1].start, region.end)
        else:
            spans.append(Span(region.start, region.end))
    document = regions[0].document
    path = document.path or document.uri
    texts = (normalise_line_endings(document.text[span.start : span.end]) for span in spans)
    return [RelatedText(document.uri, Snippet(path, text)) for text in texts]


def _definition_at(snapshot: DocumentSnapshot, offset: int) -> int:
    """Where the top-level block around a hole begins: typing in the block does not move it."""
    language = language_of(snapshot.language_id, snapshot.path)
    return enclosing_block(snapshot.text, offset, offset, language or "")[0]


_NAME = re.compile(r"[^\W\d]\w{2,}")
_BLOCK_START = re.compile(r"^(?=[^\W\d]|@|/)", re.MULTILINE)
_OWN = re.compile(r"\b(?:def|class|function|func|fn)[ \t]+(\w+)|\b(\w+)[ \t]*(?::[^=\n]{0,80})?=(?!=)")
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+([\w, \t(]+)|import[ \t]+([\w., \t]+))", re.MULTILINE
)


def _definitions(text: str, language: str | None) -> list[tuple[int, str]]:
    """(offset, name) of the functions, classes and top-level variables of a text."""
    tree = syntax_tree(text, language)
    if tree is None:
        return []
    found: list[tuple[int, str]] = []
    nodes = [(tree.root, 0)]
    while nodes:
        node, depth = nodes.pop()
        is_variable = node.type == "assignment" and depth <= 2
        name = node.child_by_field_name("left" if is_variable else "name")
        if name is not None and name.type.endswith("identifier") and (is_variable or node.type.endswith(_DEFINING)):
            found.append((tree.offset_of(node.start_byte), tree.text_of(name)))
        if depth < _DEEPEST:
            nodes += [(child, depth + 1) for child in node.named_children]
    return found


_DEFINING = ("_definition", "_declaration", "_item", "_specifier", "_declarator", "_spec")
_DEEPEST = 5
"""Levels of the tree that are looked at: a method of a class, with decorators, is five below the module."""


def _imported_modules(text: str) -> Iterable[str]:
    """The last parts of the names of modules that Python code may import: of `from a.b import c`, `b` and `c`."""
    for match in _IMPORT.finditer(text):
        module, names, modules = match.groups()
        parts = [module or "", *re.split(r"[,\s(]+", names or ""), *re.split(r"[,\s]+", modules or "")]
        yield from (part.rpartition(".")[2] for part in parts if part)


def _is_module(document: DocumentSnapshot, modules: frozenset[str]) -> bool:
    path = PurePath(document.path or "")
    return path.stem in modules or (path.stem == "__init__" and path.parent.name in modules)
