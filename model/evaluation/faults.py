"""Faults of one token put into real code, each in the smallest expression or statement that has more than that token.

Knows syntax and text, no model.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

from midfill.model.evaluation.regions import Region
from midfill.model.measuring.split import SplitFile
from midfill.model.training.verbs.source import Source

MAX_CHARS = 160
"""The longest region: a quick fix that writes more anew is no quick fix."""

_SWAPS = {
    **{"==": ("!=",), "!=": ("==",), "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<=")},
    **{"is": ("is not",), "is not": ("is",), "in": ("not in",), "not in": ("in",), "and": ("or",), "or": ("and",)},
    **{"+": ("-",), "-": ("+",), "*": ("/", "+"), "/": ("*",), "//": ("/",), "+=": ("-=",), "-=": ("+=",)},
}
_CONSTANTS = {"True": ("False",), "False": ("True",), "None": ("True", "False")}
Edit = tuple[int, int, str]
"""text[start:end] is to become the string; code points."""


class Sites:
    """Where in a file a fault of each kind can be put."""

    def __init__(self, text: str) -> None:
        self.source = Source(text)
        self.nodes: list[tuple[ast.AST, ast.AST]] = []  # each with the expression or statement right around it
        todo: list[tuple[ast.AST, ast.AST]] = [(node, self.source.tree) for node in self.source.tree.body]
        while todo:
            node, outer = todo.pop()
            self.nodes.append((node, outer))
            around = node if isinstance(node, (ast.expr, ast.stmt)) else outer
            if not isinstance(node, ast.JoinedStr):  # older Pythons do not say where its fields stand
                todo += [(child, around) for child in ast.iter_child_nodes(node)]
        self.names = sorted({node.id for node, _ in self.nodes if isinstance(node, ast.Name)})


def draw_faults(files: Sequence[SplitFile], num_per_kind: int, seed: int = 0) -> Iterator[Region]:
    """`num_per_kind` faults of each of KINDS, spread over the files, the same for the same seed. files: in Python."""
    sites: dict[int, Sites | None] = {}
    for kind in KINDS:
        rng = random.Random(f"{seed} {kind}")
        found = 0
        for index in rng.choices(range(len(files)), k=20 * num_per_kind):
            if index not in sites:
                sites[index] = _sites(files[index].text)
            region = fault_in(sites[index], kind, rng)
            if region is not None:
                found += 1
                yield replace(region, path=files[index].path)
            if found == num_per_kind:
                break


def fault_in(sites: Sites | None, kind: str, rng: random.Random) -> Region | None:
    """One fault somewhere in the file, or None if there is no place for it."""
    if sites is None:
        return None
    source, places = sites.source, _KINDS[kind](sites, rng)
    for around, edits in rng.sample(places, min(8, len(places))):
        start, end = source.start(around), source.end(around)
        begun = [(first, last) for first, last, _ in edits]
        if end - start > MAX_CHARS or any(last <= start or first >= end for first, last in begun):
            continue
        draft, at = "", start
        for first, last, wrong in sorted(edits):
            draft, at = draft + source.text[at:first] + wrong, last
        draft += source.text[at:end]
        if draft != source.text[start:end]:
            grown = len(draft) - (end - start)
            diagnosed = (min(begun)[0], max(last for _, last in begun) + grown)
            return Region(kind, source.text, start, end, draft, diagnosed=diagnosed)
    return None


Places = list[tuple[ast.expr | ast.stmt, list[Edit]]]


def _operators(sites: Sites, rng: random.Random) -> Places:
    places: Places = []
    source = sites.source
    for node, _ in sites.nodes:
        pair: tuple[ast.expr, ast.expr] | None = None
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            pair = node.left, node.comparators[0]
        elif isinstance(node, ast.BinOp):
            pair = node.left, node.right
        elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
            pair = node.values[0], node.values[1]
        elif isinstance(node, ast.AugAssign):
            pair = node.target, node.value
        if pair is not None and isinstance(node, (ast.expr, ast.stmt)):
            start, end = source.end(pair[0]), source.start(pair[1])
            gap = source.text[start:end]
            operator = gap.strip()
            if operator in _SWAPS:
                at = start + gap.index(operator)
                places.append((node, [(at, at + len(operator), rng.choice(_SWAPS[operator]))]))
    return places


def _names(sites: Sites, rng: random.Random) -> Places:
    return [
        (outer, [_replaced(sites, node, rng.choice(sites.names))])
        for node, outer in sites.nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and _is_simple(outer)
    ]


def _numbers(sites: Sites, rng: random.Random) -> Places:
    return [
        (outer, [_replaced(sites, node, str(abs(node.value + rng.choice((-1, 1)))))])
        for node, outer in sites.nodes
        if isinstance(node, ast.Constant) and type(node.value) is int and _is_simple(outer)
    ]


def _negations(sites: Sites, rng: random.Random) -> Places:
    return [
        (node, [(sites.source.start(node), sites.source.start(node.operand), "")])
        for node, _ in sites.nodes
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and _is_plain(sites, node)
    ]


def _constants(sites: Sites, rng: random.Random) -> Places:
    return [
        (outer, [_replaced(sites, node, rng.choice(_CONSTANTS[str(node.value)]))])
        for node, outer in sites.nodes
        if isinstance(node, ast.Constant)
        and (node.value is None or type(node.value) is bool)
        and _is_simple(outer)
        and not (isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.BitOr))  # `int | None` is a type
    ]


def _arguments(sites: Sites, rng: random.Random) -> Places:
    places: Places = []
    for node, _ in sites.nodes:
        plain = [arg for arg in node.args if not isinstance(arg, ast.Starred)] if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Call) and len(plain) > 1 and plain == node.args:
            first, second = rng.choice(list(pairwise(plain)))
            texts = sites.source.of(first), sites.source.of(second)
            places.append((node, [_replaced(sites, first, texts[1]), _replaced(sites, second, texts[0])]))
    return places


_KINDS: dict[str, Callable[[Sites, random.Random], Places]] = {
    "operator": _operators,
    "name": _names,
    "number": _numbers,
    "not": _negations,
    "constant": _constants,
    "arguments": _arguments,
}
KINDS = tuple(_KINDS)


def _sites(text: str) -> Sites | None:
    try:
        return Sites(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _replaced(sites: Sites, node: ast.expr, by: str) -> Edit:
    return sites.source.start(node), sites.source.end(node), by


def _is_simple(outer: ast.AST) -> TypeGuard[ast.expr | ast.stmt]:
    """Whether a quick fix would write `outer` anew: not a whole block for one word in its header."""
    return isinstance(outer, ast.expr) or (isinstance(outer, ast.stmt) and not hasattr(outer, "body"))


def _is_plain(sites: Sites, node: ast.UnaryOp) -> bool:
    """Whether nothing but blanks stands between `not` and what it negates: no bracket would be left open."""
    return sites.source.text[sites.source.start(node) : sites.source.start(node.operand)].strip() == "not"
