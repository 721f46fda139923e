"""Pairs for `rename`: a local variable under a name that says nothing."""

from __future__ import annotations

import ast
import builtins
import keyword
import random
from collections.abc import Iterator

from midfill.model.training.verbs.source import MAX_CHARS, Function, Source, VerbPair, make_pair, parsed_in_block

POOR_NAMES = ("x", "tmp", "a", "data1", "val", "n", "foo", "obj", "v", "t", "aux", "var1", "temp", "b", "thing", "res")
_RESERVED = {*dir(builtins), *keyword.kwlist}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def rename(source: Source, function: Function, rng: random.Random) -> VerbPair | None:
    """One variable of the function, all of whose places stand in one short run of statements."""
    places: dict[str, list[ast.Name]] = {}
    taken: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            places.setdefault(node.id, []).append(node)
        elif isinstance(node, ast.ClassDef):
            return None  # its names are attributes too
        else:
            taken.update(_names_without_a_place(node))
    bound = set(_bound_here(function.body)) - taken
    candidates = [
        name
        for name in sorted(bound)
        if len(name) > 3 and name not in POOR_NAMES and name not in _RESERVED and len(places[name]) > 1
    ]
    rng.shuffle(candidates)
    free = [name for name in POOR_NAMES if name not in places and name not in taken]
    for name in candidates if free else ():
        pair = _renamed(source, function, name, places[name], rng.choice(free))
        if pair is not None:
            return pair
    return None


def _renamed(source: Source, function: Function, name: str, places: list[ast.Name], poor: str) -> VerbPair | None:
    starts = sorted(source.start(place) for place in places)
    if starts[-1] - starts[0] > MAX_CHARS or any(source.text[at : at + len(name)] != name for at in starts):
        return None  # inside an f-string older Pythons do not say where a name stands
    region = _statements(source, function.body, starts[0], starts[-1])
    if region is None:
        return None
    start, end = region
    draft, at = "", start
    for place in starts:
        draft, at = draft + source.text[at:place] + poor, place + len(name)
    draft += source.text[at:end]
    pair = make_pair(source, "rename", start, end, draft)
    return pair if pair is not None and _is_renaming(source, pair, name, poor) else None


def _is_renaming(source: Source, pair: VerbPair, name: str, poor: str) -> bool:
    indentation = source.indentation(pair.start) or ""
    draft = parsed_in_block(indentation, pair.draft)
    original = parsed_in_block(indentation, source.text[pair.start : pair.end])
    if draft is None or original is None:
        return False
    for node in ast.walk(draft):
        if isinstance(node, ast.Name) and node.id == poor:
            node.id = name
    return ast.dump(draft) == ast.dump(original)


def _statements(source: Source, block: list[ast.stmt], first: int, last: int) -> tuple[int, int] | None:
    """The shortest run of statements of one block that has the offsets `first` to `last` in it, as (start, end)."""
    spans = [(source.start(statement), source.end(statement)) for statement in block]
    inside = [index for index, (start, end) in enumerate(spans) if end > first and start <= last]
    if not inside or spans[inside[0]][0] > first:
        return None
    if len(inside) == 1:
        for deeper in blocks_of(block[inside[0]]):
            found = _statements(source, deeper, first, last)
            if found is not None and found[1] > last:
                return found
    return spans[inside[0]][0], spans[inside[-1]][1]


def blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks right under a node; those of its `except` and `case` clauses are theirs."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _bound_here(body: list[ast.stmt]) -> Iterator[str]:
    """The names assigned to in a function's own scope."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if not isinstance(node, _SCOPES):
            todo += ast.iter_child_nodes(node)


def _names_without_a_place(node: ast.AST) -> Iterator[str]:
    """Names bound or declared by a node whose place the syntax tree does not give."""
    if isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name or ""
    elif isinstance(node, ast.MatchMapping):
        yield node.rest or ""
