"""Pairs for `f_string` and `comprehension`: the same value made the old way."""

from __future__ import annotations

import ast
import random
import re

from midfill.model.training.verbs.formatting import formatted
from midfill.model.training.verbs.source import MAX_CHARS, Node, Source, VerbPair, make_pair, step_of

_HOLDS_F_STRING = re.compile(r"\b[fF][rR]?[\"']|\b[rR][fF][\"']")
_LINE_BREAK = re.compile(r"(?P<open>[(\[{]?)[ \t]*\n\s*(?P<close>[)\]}]?)")
_BUILDING = {
    ast.ListComp: ("[]", "{0}.append({1})"),
    ast.SetComp: ("set()", "{0}.add({1})"),
    ast.DictComp: ("{}", "{0}[{1}] = {2}"),
}
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp
_BARE_PARENTS = (ast.Assign, ast.Return, ast.Call, ast.keyword, ast.List, ast.Dict, ast.Expr)


def f_string(source: Source, statement: ast.stmt, rng: random.Random) -> VerbPair | None:
    """A simple statement in which every f-string that can be is made with `.format`, `%` or `+`."""
    start, end = source.start(statement), source.end(statement)
    if end - start > MAX_CHARS or not _HOLDS_F_STRING.search(source.text, start, end):
        return None
    style = rng.choice(("format", "format", "percent", "percent", "plus"))
    replaced: list[tuple[int, int, str]] = []
    for parent in ast.walk(statement):
        if isinstance(parent, (ast.JoinedStr, ast.FormattedValue)):
            continue
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.JoinedStr):
                may_be_bare = isinstance(parent, _BARE_PARENTS) and getattr(parent, "func", None) is not child
                old = formatted(source.of(child), child, style if may_be_bare else "format")
                if old is not None:
                    replaced.append((source.start(child), source.end(child), old))
    draft, at = "", start
    for first, last, old in sorted(replaced):
        draft, at = draft + source.text[at:first] + old, last
    return make_pair(source, "f_string", start, end, draft + source.text[at:end])


def comprehension(source: Source, statement: ast.stmt, rng: random.Random) -> VerbPair | None:
    """`name = [...]` or `return [...]` as a loop that appends, adds or sets items."""
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Return)) else None
    if not isinstance(value, Comprehension):
        return None
    start, end = source.start(statement), source.end(statement)
    indentation = source.indentation(start)
    code = source.text[start:end]
    if indentation is None or not source.ends_line(end) or any(m in code for m in ("#", '"""', "'''", "\\\n")):
        return None
    target, opening = _target(source, statement, rng)
    if not target or re.search(rf"\b{re.escape(target)}\b", source.of(value)):
        return None
    step = "\t" if "\t" in indentation else step_of_file(source)
    empty, add = _BUILDING[type(value)]
    lines = [f"{opening} = {empty}"]
    depth = indentation
    for generator in value.generators:
        loop = "async for" if generator.is_async else "for"
        lines.append(f"{depth}{loop} {_one_line(source, generator.target)} in {_one_line(source, generator.iter)}:")
        depth += step
        for condition in generator.ifs:
            lines.append(f"{depth}if {_one_line(source, condition)}:")
            depth += step
    parts = [value.key, value.value] if isinstance(value, ast.DictComp) else [value.elt]
    lines.append(depth + add.format(target, *(_one_line(source, part) for part in parts)))
    if isinstance(statement, ast.Return):
        lines.append(f"{indentation}return {target}")
    return make_pair(source, "comprehension", start, end, "\n".join(lines))


def _target(source: Source, statement: ast.stmt, rng: random.Random) -> tuple[str, str]:
    """What the loop fills, and what stands left of `=` when it is made empty; ("", "") for what has no plain name."""
    if isinstance(statement, ast.Return):
        name = rng.choice(("result", "items", "found", "out"))
        return name, name
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    plain = target if isinstance(target, (ast.Name, ast.Attribute)) else None
    if plain is None or (isinstance(plain, ast.Attribute) and not isinstance(plain.value, ast.Name)):
        return "", ""
    name = source.of(plain)
    if isinstance(statement, ast.AnnAssign):
        return name, f"{name}: {_one_line(source, statement.annotation)}"
    return name, name


def _one_line(source: Source, node: Node) -> str:
    """The text of a node without its line breaks."""

    def joined(match: re.Match[str]) -> str:
        return match["open"] + ("" if match["open"] or match["close"] else " ") + match["close"]

    return _LINE_BREAK.sub(joined, source.of(node))


def step_of_file(source: Source) -> str:
    """The indentation of the first block in the file."""
    for node in source.tree.body:
        body = getattr(node, "body", None)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and isinstance(body, list):
            return step_of(source, node, body[0])
    return "    "
