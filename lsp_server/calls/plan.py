"""What has to change in a file where a function's header was changed: edits, with holes where a value is not known.

Text in, offsets (code points) out. Knows no model: `opened` makes the text whose holes are to be filled, `filled` takes
the fills.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from midfill.lsp_server.calls.argument_text import HOLE, written
from midfill.lsp_server.calls.call_sites import Call, Use, find_uses
from midfill.lsp_server.calls.rebinding import NewArgument, fits, rebound
from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.finishing.finish import minimal_edit
from midfill.lsp_server.text.holes import Place, Span
from midfill.lsp_server.text.signatures import Signature
from midfill.lsp_server.text.syntax import syntax_tree
from midfill.lsp_server.workspace.header_edits import ChangedHeader


@dataclass(frozen=True)
class Edit:
    """text: what comes in place of the span, with `HOLE` for what the model has to find."""

    span: Span
    text: str


@dataclass(frozen=True)
class CallUpdates:
    """Of one function, in document order. name: as it was. uses: what is changed, also within another edit."""

    name: str
    edits: tuple[Edit, ...]
    uses: tuple[Use, ...]

    @property
    def num_holes(self) -> int:
        return sum(edit.text.count(HOLE) for edit in self.edits)

    @property
    def title(self) -> str:
        what = "call" if all(use.call for use in self.uses) else "use"
        counted = f"{len(self.uses)} {what}s" if len(self.uses) > 1 else what
        return f"Update the {counted} of {self.name} in this file"


@lru_cache(maxsize=8)
def plan_updates(text: str, header: ChangedHeader) -> CallUpdates | None:
    """None where there is nothing to change. Calls that fit as they are, and those of which it cannot be told what they
    mean, are left alone."""
    names = {*(before.signature.name for before in header.befores), header.now.name}
    if HOLE in text or ("__init__" in names and len(names) > 1):
        return None
    uses = {use for name in names for use in find_uses(text, header.span.start, name)}
    rewriting = _Rewriting(text, header, sorted(uses, key=lambda use: (use.span.start, -use.span.end)))
    edits = rewriting.edits()
    if not edits:
        return None
    changed = tuple(sorted(rewriting.changed, key=lambda use: use.span))
    name = text[changed[0].name.start : changed[0].name.end]
    return CallUpdates(name, edits, changed)


def opened(text: str, updates: CallUpdates) -> tuple[str, list[Place]]:
    """The text with all edits made, and the holes that they leave in it."""
    pieces: list[str] = []
    places: list[Place] = []
    length = end = 0
    for edit in updates.edits:
        before, *behind = edit.text.split(HOLE)
        pieces += [text[end : edit.span.start], before]
        length += edit.span.start - end + len(before)
        for piece in behind:
            places.append(Place(Span(length, length), needs_code=True))
            pieces.append(piece)
            length += len(piece)
        end = edit.span.end
    return "".join([*pieces, text[end:]]), places


def filled(text: str, updates: CallUpdates, fills: Sequence[FilledHole | None]) -> tuple[FilledHole, ...]:
    """The edits with a fill in each hole, in document order; without those whose holes got no argument."""
    rest = iter(fills)
    holes: list[FilledHole] = []
    for edit in updates.edits:
        before, *behind = edit.text.split(HOLE)
        found = [next(rest) for _ in behind]
        arguments = [_one_argument(fill.fill) if fill else None for fill in found]
        if None in arguments:
            continue
        new = before + "".join(f"{argument}{piece}" for argument, piece in zip(arguments, behind, strict=True))
        start, end, replacement = minimal_edit(text[edit.span.start : edit.span.end], new)
        confidence = min((fill.confidence for fill in found if fill), default=1.0)
        span = Span(edit.span.start + start, edit.span.start + end)
        holes.append(FilledHole(span, str(len(holes) + 1), replacement, confidence))
    return tuple(holes)


class _Rewriting:
    """Uses of a function within one text, written as the new header wants them. changed: those that came out different.

    A call may stand in an argument of another: the outer one is written with the inner one in its new form."""

    def __init__(self, text: str, header: ChangedHeader, uses: Sequence[Use]) -> None:
        self.changed: set[Use] = set()
        self._text = text
        self._header = header
        self._uses = uses
        self._starts = [use.span.start for use in uses]

    def edits(self) -> tuple[Edit, ...]:
        edits = [Edit(use.span, self._rewritten(use)) for use in self._outermost(Span(0, len(self._text)))]
        return tuple(edit for edit in edits if edit.text != self._text[edit.span.start : edit.span.end])

    def _outermost(self, span: Span) -> list[Use]:
        found: list[Use] = []
        for use in self._uses[bisect_left(self._starts, span.start) :]:
            if use.span.end > span.end:
                break
            if not found or use.span.start >= found[-1].span.end:
                found.append(use)
        return found

    def _text_in(self, span: Span) -> str:
        pieces: list[str] = []
        end = span.start
        for use in self._outermost(span):
            pieces += [self._text[end : use.span.start], self._rewritten(use)]
            end = use.span.end
        return "".join([*pieces, self._text[end : span.end]])

    def _rewritten(self, use: Use) -> str:
        old_name = self._text[use.name.start : use.name.end]
        is_called_so = any(before.signature.name == old_name for before in self._header.befores)
        name = self._header.now.name if is_called_so else old_name
        if use.call is None:
            if name != old_name:
                self.changed.add(use)
            return name
        same = self._text_in(use.call.arguments_span)
        arguments = _new_arguments(use, use.call, self._header, old_name)
        inside = None if arguments is None else written(self._text, use.call, arguments, self._text_in)
        if name != old_name or inside not in (None, same):
            self.changed.add(use)
        between = self._text[use.name.end : use.call.arguments_span.start]
        return f"{name}{between}{same if inside is None else inside})"


def _new_arguments(use: Use, call: Call, header: ChangedHeader, name: str) -> tuple[NewArgument, ...] | None:
    """None where they stay as they are. A call is read by the oldest signature since which nobody has edited it; what
    was written later was meant for the newest, and is touched only if it does not fit."""
    befores = [before for before in header.befores if before.signature.name in (name, "__init__")]
    untouched = [before for before in befores if not before.was_touched_since(use.span)]
    now = _as_called(header.now, call)
    if not untouched and fits(call.arguments, now):
        return None
    found = (rebound(call.arguments, _as_called(one.signature, call), now) for one in untouched or befores[::-1])
    return next((arguments for arguments in found if arguments is not None), None)


def _as_called(signature: Signature, call: Call) -> Signature:
    return signature.without_first() if call.skips_first else signature


def _one_argument(fill: str) -> str | None:
    """The first argument that a fill is; None where it is none by itself."""
    tree = syntax_tree(f"f({fill})", "python")
    assert tree is not None
    statement = tree.root.named_children[0] if len(tree.root.named_children) == 1 else None
    call = statement.named_children[0] if statement is not None and len(statement.named_children) == 1 else None
    listed = call.child_by_field_name("arguments") if call is not None and call.type == "call" else None
    if tree.root.has_error or listed is None or listed.type != "argument_list" or not listed.named_children:
        return None
    first = listed.named_children[0]
    if first.type == "keyword_argument":
        value = first.child_by_field_name("value")
        return tree.text_of(value) if value else None
    return None if first.type in ("list_splat", "dictionary_splat", "comment") else tree.text_of(first)
