"""Pairs for `with`: the resource opened and closed by hand."""

from __future__ import annotations

import ast
import random
import re

from midfill.model.training.verbs.source import Source, VerbPair, is_on_lines_of_its_own, make_pair, step_of

# What a resource is opened by, and what then closes it.
_CLOSING = {
    re.compile(
        r"\w*open|urlopen|ZipFile|TarFile|GzipFile|(Named)?TemporaryFile|StringIO|BytesIO|socket|\w*connect\w*|cursor"
        r"|\w*([cC]lient|[sS]ession)"
    ): "close",
    re.compile(r"TemporaryDirectory"): "cleanup",
    re.compile(r"\w+PoolExecutor"): "shutdown",
}
_LOCK = re.compile(r"\w*(lock|mutex|sem|semaphore|cond|condition)", re.I)


def with_statement(source: Source, statement: ast.With, rng: random.Random) -> VerbPair | None:
    """`with open(…) as f:` as open and close, `with lock:` as acquire and release, `with suppress(…)` as a `try`."""
    start, end = source.start(statement), source.end(statement)
    first = source.start(statement.body[0])
    is_clear = is_on_lines_of_its_own(source, start, end) and source.indentation(first) is not None
    if not is_clear or len(statement.items) != 1 or "#" in source.text[start:first]:
        return None
    indentation = source.indentation(start) or ""
    step = step_of(source, statement, statement.body[0])
    body = source.text[first:end]
    resource = statement.items[0].context_expr
    attempt = f"try:\n{indentation}{step}{body}\n{indentation}"
    if isinstance(resource, ast.Call) and last_name(resource.func) == "suppress" and resource.args:
        caught = ", ".join(map(source.of, resource.args))
        caught = f"({caught})" if len(resource.args) > 1 else caught
        return make_pair(source, "with", start, end, f"{attempt}except {caught}:\n{indentation}{step}pass")
    opened = _open_and_close(source, statement.items[0])
    if opened is None:
        return None
    opening, closing = opened
    if not _may_leave(statement) and rng.random() < 0.5:
        moved = re.sub(rf"\n{re.escape(indentation + step)}", f"\n{indentation}", body)
        draft = f"{opening}\n{indentation}{moved}\n{indentation}{closing}"
    else:
        draft = f"{opening}\n{indentation}{attempt}finally:\n{indentation}{step}{closing}"
    return make_pair(source, "with", start, end, draft)


def _open_and_close(source: Source, item: ast.withitem) -> tuple[str, str] | None:
    resource, name = item.context_expr, item.optional_vars
    code = source.of(resource)
    if isinstance(resource, ast.Call) and isinstance(name, ast.Name):
        for pattern, method in _CLOSING.items():
            if pattern.fullmatch(last_name(resource.func)):
                return f"{name.id} = {code}", f"{name.id}.{method}()"
    if name is None and isinstance(resource, (ast.Name, ast.Attribute)) and _LOCK.fullmatch(last_name(resource)):
        return f"{code}.acquire()", f"{code}.release()"
    return None


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _may_leave(statement: ast.With) -> bool:
    """Whether the block can be left before its end by other than an exception that nobody expects."""
    leaving = (ast.Return, ast.Raise, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)
    return any(isinstance(node, leaving) for node in ast.walk(statement))
