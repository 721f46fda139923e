"""Pairs for `type_hints` and `docstring`: the header of a function without them."""

from __future__ import annotations

import ast
import random
import re

from midfill.model.training.verbs.source import MAX_CHARS, Function, Source, VerbPair, make_pair

_HEADER_END = re.compile(r"[\s,/)]*:")


def type_hints(source: Source, function: Function, rng: random.Random) -> VerbPair | None:
    """The header without annotations; where the whole function is short, often all of it."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    if function.returns is None and all(argument.annotation is None for argument in (*every, *starred)):
        return None
    cuts = [_annotation(source, argument) for argument in (*every, *starred) if argument.annotation is not None]
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(positional[::-1], arguments.defaults[::-1], strict=False))
    for keyword, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if value is not None:
            defaults[keyword] = value
    for argument, default in defaults.items():
        if argument.annotation is not None:  # `name: str = "x"` has spaces around its sign, `name="x"` has none
            gap = re.compile(r"\s*=\s*").match(source.text, source.end(argument))
            if gap is None or gap.end() > source.start(default):
                return None
            cuts.append((gap.start(), gap.end(), "="))
    if function.returns is not None:
        arrow = source.text.rfind("->", source.start(function), source.start(function.returns))
        cuts.append((len(source.text[:arrow].rstrip()), source.end(function.returns), ""))
    last = max(source.end(node) for node in (*every, *starred, *defaults.values(), function.returns) if node)
    header = _HEADER_END.match(source.text, last)
    if header is None:
        return None
    start, end, tail = source.start(function), header.end(), "pass"
    if source.end(function) - start <= MAX_CHARS and rng.random() < 0.5:
        end, tail = source.end(function), ""
    if any("#" in source.text[first:last] for first, last, _ in cuts):
        return None
    return make_pair(source, "type_hints", start, end, _without(source.text, start, end, cuts), tail)


def docstring(source: Source, function: Function, rng: random.Random) -> VerbPair | None:
    """The header alone; the body that follows is seen by the model as text behind the region."""
    first = function.body[0]
    if len(function.body) < 2 or not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    start, end = source.start(function), source.end(first)
    header = source.text[start : source.start(first)].rstrip()
    is_clear = header.endswith(":") and source.indentation(source.start(first)) is not None and source.ends_line(end)
    if not isinstance(first.value.value, str) or not first.value.value.strip() or not is_clear:
        return None
    return make_pair(source, "docstring", start, end, header, "pass")


def _annotation(source: Source, argument: ast.arg) -> tuple[int, int, str]:
    return source.start(argument) + len(argument.arg), source.end(argument), ""


def _without(text: str, start: int, end: int, cuts: list[tuple[int, int, str]]) -> str:
    """text[start:end] with each (start, end, replacement) of `cuts` made."""
    pieces = []
    for first, last, replacement in sorted(cuts):
        pieces += [text[start:first], replacement]
        start = last
    return "".join([*pieces, text[start:end]])
