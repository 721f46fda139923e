"""Inverse transforms for the rewriting verbs: what they make, that it parses where it stands and means the same."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest

from midfill.model.families.embedded.tokenizer import VERBS
from midfill.model.training.verbs import VerbPair, count_pairs, inverse_pairs
from midfill.model.training.verbs.source import MAX_CHARS


def drafts_of(verb: str, original: str) -> dict[str, str]:
    """Every draft that any choice of style makes, each with its region."""
    found = {}
    for seed in range(80):
        for pair in inverse_pairs(original, random.Random(seed)):
            if pair.verb == verb:
                found[pair.draft] = original[pair.start : pair.end]
    return found


# (verb, the file, a draft that one of the styles makes); ⟨⟩ marks the region where it is not the whole file
DRAFTS = {
    "hints": (
        "type_hints",
        '⟨def f(a: int, b: str = "x", *c: int, d: list[int] = [], **e: int) -> dict[str, int]:⟩\n    return g(a)\n',
        'def f(a, b="x", *c, d=[], **e):',
    ),
    "hints of a whole function": ("type_hints", "def f(a: int) -> int:\n    return a\n", "def f(a):\n    return a"),
    "hints over several lines": (
        "type_hints",
        "⟨async def f(\n    a: int,\n    /,\n) -> None:⟩\n    pass\n",
        "async def f(\n    a,\n    /,\n):",
    ),
    "hints behind a decorator": ("type_hints", "@d\n⟨def f() -> None:⟩\n    pass\n", "def f():"),
    "hints, not ascii": ("type_hints", "é = 'é'; ä = 1\n⟨def é(ä: 'ö' = 'ü') -> ß:⟩\n    return 1\n", "def é(ä='ü'):"),
    "docstring": ("docstring", '⟨def f(a):\n    """Do it."""⟩\n    return a\n', "def f(a):"),
    "docstring of several lines": (
        "docstring",
        'class A:\n    ⟨async def f(self):\n        """Do.\n\n        More.\n        """⟩\n        go()\n',
        "async def f(self):",
    ),
    "f-string, format": ("f_string", "x = f'a {b!r:>3} {{}} {c:.2f}'\n", "x = 'a {!r:>3} {{}} {:.2f}'.format(b, c)"),
    "f-string, percent": (
        "f_string",
        'x = f"{a} of {{100%}} {b!r} {c:03d}"\n',
        'x = "%s of {100%%} %r %03d" % (a, b, c)',
    ),
    "f-string, percent, one value": ("f_string", 'x = f"a {b.c}"\n', 'x = "a %s" % b.c'),
    "f-string, plus": ("f_string", "g(f'a{b}{c!r}d')\n", "g('a' + str(b) + repr(c) + 'd')"),
    "f-string in a larger expression": ("f_string", "x = f'{a}' * 2\n", "x = '{}'.format(a) * 2"),
    "f-string with a nested bracket": ("f_string", "x = f'{a[\"k:!\"]}'\n", "x = '{}'.format(a[\"k:!\"])"),
    "f-string beside a comment": ("f_string", "⟨x = rf'\\d{a}'⟩  # why\n", "x = r'\\d{}'.format(a)"),
    "list": ("comprehension", "xs = [f(x) for x in ys]\n", "xs = []\nfor x in ys:\n    xs.append(f(x))"),
    "set": ("comprehension", "xs = {x for x in ys}\n", "xs = set()\nfor x in ys:\n    xs.add(x)"),
    "dict with conditions": (
        "comprehension",
        "def f():\n    ⟨d = {\n        k: v for k, v in ys\n        if k if v\n    }⟩\n",
        "d = {}\n    for k, v in ys:\n        if k:\n            if v:\n                d[k] = v",
    ),
    "nested loops, attribute": (
        "comprehension",
        "self.xs = [x for y in ys for x in y]\n",
        "self.xs = []\nfor y in ys:\n    for x in y:\n        self.xs.append(x)",
    ),
    "annotated": (
        "comprehension",
        "xs: list[int] = [x for x in ys]\n",
        "xs: list[int] = []\nfor x in ys:\n    xs.append(x)",
    ),
    "returned": (
        "comprehension",
        "def f():\n    ⟨return [\n        g(\n            x,\n        ) for x in ys\n    ]⟩\n",
        "result = []\n    for x in ys:\n        result.append(g(x,))\n    return result",
    ),
    "rename": ("rename", "def f():\n    ⟨total = 1\n    return total⟩\n", "x = 1\n    return x"),
    "rename in a deeper block": (
        "rename",
        "def f(x):\n    if x:\n        ⟨for item in x:\n            g(item, item=2)⟩\n    return 1\n",
        "for tmp in x:\n            g(tmp, item=2)",
    ),
    "guard, return": (
        "guard_clause",
        "def f():\n    ⟨if not ok:\n        return\n    # why\n    a()\n\n    b()⟩\n",
        "if ok:\n        # why\n        a()\n\n        b()",
    ),
    "guard, continue": (
        "guard_clause",
        "for x in y:\n    ⟨if x is None:\n        continue\n    a(x)⟩\n",
        "if x is not None:\n        a(x)",
    ),
    "guard, raise": (
        "guard_clause",
        "def f():\n    ⟨if a and b:\n        raise E\n    c()⟩\n    d()\n",
        "if not (a and b):\n        c()\n    else:\n        raise E",
    ),
    "guard, several conditions": (
        "guard_clause",
        "def f():\n    ⟨if not a or b != 1:\n        raise E\n    return c⟩\n",
        "if a and b == 1:\n        return c\n    raise E",
    ),
    "early return, result": (
        "early_return",
        "def f():\n    ⟨if a:\n        return 1\n    return (\n        2\n    )⟩\n",
        "if a:\n        ret = 1\n    else:\n        ret = (\n            2\n        )\n    return ret",
    ),
    "early return, chain": (
        "early_return",
        "def f():\n    ⟨if a:\n        g()\n        return 1\n    if b: return\n    x = 1\n\n    return x⟩\n",
        "if a:\n        g()\n        return 1\n    elif b:\n        return\n"
        "    else:\n        x = 1\n\n        return x",
    ),
    "with, try": (
        "with",
        "def f():\n    ⟨with open(p) as g:\n        return g.read()⟩\n",
        "g = open(p)\n    try:\n        return g.read()\n    finally:\n        g.close()",
    ),
    "with, plain": ("with", "with p.open() as g:\n    a(g)\n    b(g)\n", "g = p.open()\na(g)\nb(g)\ng.close()"),
    "with, lock": (
        "with",
        "with self._lock:\n    a()\n",
        "self._lock.acquire()\ntry:\n    a()\nfinally:\n    self._lock.release()",
    ),
    "with, suppress": (
        "with",
        "with contextlib.suppress(A, B):\n    a()\n",
        "try:\n    a()\nexcept (A, B):\n    pass",
    ),
}


@pytest.mark.parametrize(("verb", "marked", "draft"), DRAFTS.values(), ids=DRAFTS)
def test_drafts(verb: str, marked: str, draft: str) -> None:
    original = marked.replace("⟨", "").replace("⟩", "")
    region = marked.partition("⟨")[2].partition("⟩")[0] if "⟨" in marked else original.rstrip("\n")
    drafts = drafts_of(verb, original)
    assert draft in drafts
    assert drafts[draft] == region


NOTHING = {
    "no hints": ("type_hints", "def f(a, b=1):\n    return a\n"),
    "a comment in a hint": ("type_hints", "def f(a: list[  # why\n    int]):\n    return g(a)\n"),
    "one line of several statements": ("type_hints", "x = 1; y: int = 2\n"),
    "nothing but a docstring": ("docstring", 'def f(a):\n    """Do it."""\n'),
    "a comment above the docstring": ("docstring", 'def f(a):  # why\n    "Do it."; go()\n'),
    "triple quotes": ("f_string", 'x = f"""a\n{b}"""\n'),
    "two literals in a row": ("f_string", "x = f'a{b}' f'{c}'\n"),
    "debugging": ("f_string", "x = f'{a=}'\n"),
    "a field in a field": ("f_string", "x = f'{a:{b}}'\n"),
    "no field": ("f_string", "x = f'a'\n"),
    "the name is used inside": ("comprehension", "xs = [x for x in xs]\n"),
    "a comment inside": ("comprehension", "xs = [\n    x  # why\n    for x in ys\n]\n"),
    "something beside it": ("comprehension", "xs = [x for x in ys]; a()\n"),
    "a parameter": ("rename", "def f(total):\n    total += 1\n    return total\n"),
    "a global": ("rename", "def f():\n    global total\n    total = 1\n    return total\n"),
    "used out of reach": ("rename", f"def f():\n    total = 1\n    g({'1, ' * 200})\n    return total\n"),
    "poor already": ("rename", "def f():\n    tmp = 1\n    return tmp\n"),
    "both ways": ("guard_clause", "def f():\n    if a:\n        return 1\n    else:\n        b()\n    c()\n"),
    "a break": ("guard_clause", "for x in y:\n    if x:\n        break\n    a()\n"),
    "a string over lines": ("guard_clause", "def f():\n    if a:\n        return\n    b('''\n''')\n"),
    "a comment that would go": ("guard_clause", "def f():\n    if a:\n        return  # why\n    b()\n"),
    "no return at the end": ("early_return", "def f():\n    if a:\n        return 1\n    b()\n"),
    "two resources": ("with", "with open(a) as f, open(b) as g:\n    go()\n"),
    "no resource that closes": ("with", "with pytest.raises(E) as e:\n    go()\n"),
    "does not parse": ("type_hints", "def f(a: int\n"),
    "null byte": ("type_hints", "def f(a: int):\0\n    pass\n"),
    "carriage returns": ("type_hints", "def f(a: int):\r\n    pass\r\n"),
    "too deep": ("type_hints", "x = " + "(" * 1000 + ")" * 1000 + "\n"),
    "empty": ("rename", ""),
}


@pytest.mark.parametrize(("verb", "original"), NOTHING.values(), ids=NOTHING)
def test_nothing_to_undo(verb: str, original: str) -> None:
    assert drafts_of(verb, original) == {}


# --- on real code

MODULES = ["json.decoder", "textwrap", "argparse", "subprocess", "ast", "shutil", "dataclasses", "threading", "zipfile"]


@pytest.mark.parametrize("module", MODULES)
def test_every_pair_of_real_code_keeps_the_rules(module: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text("utf-8")
    pairs = list(inverse_pairs(text, random.Random(0)))
    assert len(pairs) > 5
    assert pairs == list(inverse_pairs(text, random.Random(0)))
    for pair in pairs[:: max(1, len(pairs) // 60)]:
        check_rules(text, pair)


def check_rules(text: str, pair: VerbPair) -> None:
    answer = text[pair.start : pair.end]
    assert pair.verb in VERBS
    assert pair.draft != answer
    assert max(len(answer), len(pair.draft)) <= MAX_CHARS
    assert not text[text.rfind("\n", 0, pair.start) + 1 : pair.start].strip()
    with_draft = text[: pair.start] + pair.draft + text[pair.end :]
    ast.parse(with_draft)
    end = pair.start + len(pair.draft)
    assert with_draft[: pair.start] + answer + with_draft[end:] == text


# --- the same meaning: both versions are run on the same arguments

BEHAVIOUR = {
    "guard, raise": (
        "guard_clause",
        "def f(a):\n    if not a or a == 3:\n        raise ValueError(a)\n    a += 1\n    return a * 2\n",
    ),
    "guard, in": (
        "guard_clause",
        "def f(a):\n    if a not in (1, 2):\n        return None\n    a += 1\n    return a\n",
    ),
    "guard, compare": ("guard_clause", "def f(a):\n    if a < 2:\n        return 'low'\n    a -= 1\n    return a\n"),
    "guard, continue": (
        "guard_clause",
        "def f(a):\n    r = []\n    for x in range(a):\n        if x % 2:\n            continue\n        r.append(x)\n"
        "    return r\n",
    ),
    "early return": (
        "early_return",
        "def f(a):\n    if a == 0:\n        return 'zero'\n    if a < 3:\n        a = a * 2\n        return a\n"
        "    return (\n        a,\n        1,\n    )\n",
    ),
    "comprehension": (
        "comprehension",
        "def f(a):\n    pairs = {(x, y) for x in range(a) for y in range(x) if x != 2}\n    return pairs\n",
    ),
    "dictionary": ("comprehension", "def f(a):\n    return {k: k * 2 for k in range(a) if k}\n"),
    "f-string": ("f_string", "def f(a):\n    return f'{a!r} 100% {{{a + 1}}} {a:03d}\\t'\n"),
    "f-string, simple": ("f_string", "def f(a):\n    return f'{{{a}}}%{a!r}\\n'\n"),
    "rename": (
        "rename",
        "def f(a):\n    total = [a]\n    for item in range(a):\n        total.append(item)\n    return total\n",
    ),
    "with": ("with", "import io\ndef f(a):\n    with io.StringIO(str(a)) as text:\n        return text.read()\n"),
    "lock": (
        "with",
        "import threading\nlock = threading.Lock()\n"
        "def f(a):\n    with lock:\n        a += 1\n    return a, lock.locked()\n",
    ),
    "suppress": (
        "with",
        "from contextlib import suppress\n"
        "def f(a):\n    r = 0\n    with suppress(ZeroDivisionError):\n        r = 1 / a\n"
        "    return r\n",
    ),
}


@pytest.mark.parametrize(("verb", "original"), BEHAVIOUR.values(), ids=BEHAVIOUR)
def test_the_draft_means_the_same(verb: str, original: str) -> None:
    drafts = drafts_of(verb, original)
    assert drafts
    for draft, region in drafts.items():
        before, _, after = original.partition(region)
        for argument in range(6):
            assert outcome(before + draft + after, argument) == outcome(original, argument), draft


def outcome(program: str, argument: int) -> Any:
    names: dict[str, Any] = {}
    exec(program, names)
    try:
        return names["f"](argument)
    except ValueError as error:
        return repr(error)


def test_count_pairs(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        for text in ("def f() -> int:\n    return 1\n", "xs = [x for x in ys]\n", "x = f'{a}'\n", "x = ("):
            print(json.dumps({"text": text}), file=lines)
    assert count_pairs(path) == {"type_hints": 1, "comprehension": 1, "f_string": 1}
    assert count_pairs(path, num_files=1) == {"type_hints": 1}
