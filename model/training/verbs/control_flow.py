"""Pairs for `guard_clause` and `early_return`: the same paths, one level deeper."""

from __future__ import annotations

import ast
import random
import re
from itertools import pairwise

from midfill.model.training.verbs.source import (
    MAX_CHARS,
    Function,
    Source,
    VerbPair,
    is_on_lines_of_its_own,
    make_pair,
    shifted,
    step_of,
)

_OPPOSITES = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_RESULT_NAMES = ("result", "ret", "value", "res", "output", "answer")


def guard_clause(
    source: Source, owner: ast.AST, block: list[ast.stmt], index: int, rng: random.Random
) -> VerbPair | None:
    """`if not ok: return` and what follows it, as `if ok:` around what follows."""
    guard, rest = block[index], block[index + 1 :]
    if not isinstance(guard, ast.If) or guard.orelse or len(guard.body) != 1 or not rest:
        return None
    jump = guard.body[0]
    rest = [statement for statement in rest if source.end(statement) - source.start(guard) <= MAX_CHARS]
    reaches_end = len(rest) == len(block) - index - 1
    if not rest or not isinstance(jump, (ast.Return, ast.Raise, ast.Continue)):
        return None
    if isinstance(jump, ast.Return) and isinstance(rest[0], ast.Return):
        return None  # two ways out side by side: that is an early return
    falls_off = reaches_end and _says_nothing_new(owner, block, jump)
    if not falls_off and rng.random() < 0.5:
        rest = rest[: rng.randint(1, len(rest))]
    parts = _parts(source, guard, rest)
    if parts is None:
        return None
    indentation, step, moved = parts
    draft = f"if {_negated(source, guard.test)}:\n{indentation}{step}{moved}"
    if not falls_off:
        leaves = isinstance(rest[-1], (ast.Return, ast.Raise))
        if leaves and rng.random() < 0.5:
            draft += f"\n{indentation}{source.of(jump)}"
        else:
            draft += f"\n{indentation}else:\n{indentation}{step}{source.of(jump)}"
    return make_pair(source, "guard_clause", source.start(guard), source.end(rest[-1]), draft)


def early_return(source: Source, block: list[ast.stmt], index: int, rng: random.Random) -> VerbPair | None:
    """`if a: return x` … `return z` as a chain of if, elif and else, or with a result that is returned once."""
    branches: list[ast.If] = []
    for statement in block[index:]:
        if not isinstance(statement, ast.If) or statement.orelse or not isinstance(statement.body[-1], ast.Return):
            break
        branches.append(statement)
    rest = block[index + len(branches) :]
    if not branches or not rest or not isinstance(rest[-1], ast.Return) or len(rest) > 4:
        return None
    parts = _parts(source, branches[0], rest)
    if parts is None or any("#" in source.text[source.end(a) : source.start(b)] for a, b in pairwise(branches)):
        return None
    indentation, step, moved = parts
    start, end = source.start(branches[0]), source.end(rest[-1])
    name = _result_name(source, block, index, start, end, rng)
    lines: list[str] = []
    for number, branch in enumerate(branches):
        first = source.start(branch.body[0])
        body = source.text[first : source.end(branch)]
        if source.indentation(first) is None:
            body = f"\n{indentation}{step}{body}"
        lines.append(("el" if number else "") + source.text[source.start(branch) : first].rstrip(" \t"))
        lines[-1] = (
            lines[-1].rstrip() + f"\n{indentation}{step}" + _assigned(source, branch.body[-1], body.lstrip(), name)
        )
    lines.append(f"else:\n{indentation}{step}{_assigned(source, rest[-1], moved, name)}")
    if name:
        lines.append(f"return {name}")
    return make_pair(source, "early_return", start, end, f"\n{indentation}".join(lines))


def _parts(source: Source, first: ast.If, rest: list[ast.stmt]) -> tuple[str, str, str] | None:
    """The indentation of `first`, its block's step, and `rest` one step deeper with the comments above it."""
    start, end = source.start(first), source.end(rest[-1])
    if end - start > MAX_CHARS or not is_on_lines_of_its_own(source, start, end):
        return None
    gap = source.text[source.end(first) : source.start(rest[0])]
    if "#" in source.of(first) or "#" in gap.partition("\n")[0] or source.indentation(source.start(rest[0])) is None:
        return None
    at = source.start(rest[0]) - (len(gap) - gap.index("#") if "#" in gap else 0)
    step = step_of(source, first, first.body[0])
    return source.indentation(start) or "", step, shifted(source.text[at:end], step)


def _says_nothing_new(owner: ast.AST, block: list[ast.stmt], jump: ast.stmt) -> bool:
    """Whether the end of the block does what `jump` does."""
    if block is not getattr(owner, "body", None):
        return False
    if isinstance(jump, ast.Continue):
        return isinstance(owner, (ast.For, ast.AsyncFor, ast.While))
    is_none = isinstance(jump, ast.Return) and (
        jump.value is None or (isinstance(jump.value, ast.Constant) and jump.value.value is None)
    )
    return is_none and isinstance(owner, Function)


def _negated(source: Source, test: ast.expr) -> str:
    code = source.of(test)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return source.of(test.operand)
    if isinstance(test, ast.BoolOp) and all(map(_turns_easily, test.values)):
        opposite = " or " if isinstance(test.op, ast.And) else " and "
        return opposite.join(_negated(source, value) for value in test.values)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPPOSITES:
        operator, opposite = _OPPOSITES[type(test.ops[0])]
        left, right = source.end(test.left), source.start(test.comparators[0])
        if source.text[left:right] == f" {operator} ":
            return f"{source.of(test.left)} {opposite} {source.of(test.comparators[0])}"
    if isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Compare)):
        return f"not {code}"
    return f"not ({code})"


def _turns_easily(test: ast.expr) -> bool:
    """Whether the opposite is as plain: `not x` and `x`, `==` and `!=`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPPOSITES


def _result_name(source: Source, block: list[ast.stmt], index: int, start: int, end: int, rng: random.Random) -> str:
    """A name for the result; "" for a chain of returns, as it must be where a branch returns in other places too."""
    returns = [
        node for statement in block[index:] for node in ast.walk(statement) if isinstance(node, (ast.Return, Function))
    ]
    last = [statement.body[-1] for statement in block[index:] if isinstance(statement, ast.If)] + [block[-1]]
    free = [name for name in _RESULT_NAMES if not re.search(rf"\b{name}\b", source.text[start:end])]
    if not free or rng.random() < 0.4 or len(returns) != len(last):
        return ""
    return rng.choice(free)


def _assigned(source: Source, returning: ast.stmt, code: str, name: str) -> str:
    """`code`, which ends with the statement `returning`, with the value given to `name` instead."""
    if not name:
        return code
    assert isinstance(returning, ast.Return)
    at = code.rindex(source.of(returning).partition("\n")[0])  # later lines may have moved to the right, this has not
    return f"{code[:at]}{name} ={code[at + len('return') :] if returning.value else ' None'}"
