"""A real file from its first key to its last, and stretches of others, typed key by key through the server, with
brackets that close themselves and suggestions taken at random: both copies of the document stay equal, nothing that is
taken repeats what stands behind it, and the model's cache holds nearly all of the context."""

from __future__ import annotations

import importlib
import inspect
import itertools
import random
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from midfill.lsp_server.text.syntax import cursor_place
from midfill.model.wire.api import Infill, InfillRequest, Usage

PAIRS = {"(": ")", "[": "]", "{": "}"}
DIRECTLY = {"inlineDebounceMs": 0}


@dataclass
class Typist:
    """A person who types the truth up to `end` into the rest of the file. cursor: an offset in the editor's text;
    num_auto: closing brackets behind it that the editor put there. repeated: what was accepted and should not have
    been there."""

    editor: Any
    truth: str
    cursor: int
    end: int
    rng: random.Random
    num_auto: int = 0
    num_taken: int = 0
    num_undone: int = 0
    repeated: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.cursor >= self.end

    def type_key(self) -> None:
        """The next character; an opening bracket closes itself, and its closing one is typed over."""
        char = self.truth[self.cursor]
        if self.num_auto and self.editor.text[self.cursor] == char:
            self.num_auto -= 1
        elif char == "\n" and self.num_auto:  # the editor's brackets go where the person wants them
            self.editor.replace(self.cursor, self.cursor + self.num_auto, char)
            self.num_auto = 0
        else:
            closed = PAIRS.get(char, "") if self.truth[self.cursor + 1] not in "\"'" else ""
            self.editor.replace(self.cursor, self.cursor, char + closed)
            self.num_auto += len(closed)
        self.cursor += 1

    def take(self, item: Any) -> None:
        """Accept; what turns out wrong is undone at once."""
        before, start = self.editor.text, self.cursor
        assert item.range.start == item.range.end == self.editor.position_of(start)
        self.cursor = self.editor.accept(item)
        self.num_taken += 1
        line = before[before.rfind("\n", 0, start) + 1 : start]
        num_to_close = max(-lowest_depth(line[::-1], ")]}", "([{") - self.num_auto, 0)  # by nobody yet
        closes_again = self.num_auto and -lowest_depth(item.insert_text, "([{", ")]}") > num_to_close
        if closes_again or says_again(line + item.insert_text, before[start:]):
            self.repeated.append(item.insert_text)
        closed_by_editor = self.editor.text[self.cursor : self.cursor + self.num_auto]
        is_right = self.cursor <= self.end and self.truth.startswith(self.editor.text[: self.cursor])
        if not is_right or set(closed_by_editor) - set(PAIRS.values()):
            self.editor.replace(start, self.cursor, "")
            assert self.editor.text == before
            self.cursor = start
            self.num_undone += 1


def typist_of(editor: Any, module: ModuleType, num_keys: int, seed: int) -> Typist:
    """A typist at a place of the module that is mostly code; about `num_keys` characters there were cut out before."""
    truth, rng = inspect.getsource(module), random.Random(seed)
    starts = [place + 1 for place in range(num_keys, len(truth) - 2 * num_keys) if truth[place] == "\n"]
    rng.shuffle(starts)
    start = next(start for start in starts if share_of_code(truth, start, start + num_keys) > 0.8)
    end = truth.index("\n", start + num_keys)
    editor.open(truth[:start] + truth[end:], f"{module.__name__}_{seed}.py")
    return Typist(editor, truth, start, end, rng)


def typist_of_all(editor: Any, module: ModuleType, seed: int) -> Typist:
    """A typist with an empty document in front of them."""
    truth = inspect.getsource(module)
    editor.open("", f"{module.__name__}_{seed}.py")
    return Typist(editor, truth, 0, truth.rindex("\n"), random.Random(seed))


def share_of_code(text: str, start: int, end: int) -> float:
    kinds = [cursor_place(text, offset, "python").kind for offset in range(start, end, 20)]
    return kinds.count("code") / len(kinds)


def lowest_depth(text: str, up: str, down: str) -> int:
    """The lowest depth of brackets on the way through a text, at most 0."""
    depths = itertools.accumulate((char in up) - (char in down) for char in text)
    return min(0, *depths) if text else 0


def says_again(inserted: str, behind: str) -> bool:
    """Whether the end of what was inserted says what stands behind it: the rest of the line, or the next line."""
    rest, _, following = behind.partition("\n")
    if rest.strip():
        return len(rest.strip()) > 2 and inserted.rstrip().endswith(rest.strip())
    last, below = inserted.rstrip().rpartition("\n")[2], following.lstrip("\n").partition("\n")[0]
    return sum(map(str.isalnum, last)) >= 8 and last == below


@pytest.mark.parametrize(("name", "num_keys"), [("bisect", None), ("textwrap", 500), ("shlex", 500)])
async def test_typing_a_file_with_suggestions_taken_at_random(
    nearby: Any, name: str, num_keys: int | None, scripted: Any
) -> None:
    """num_keys: None for the whole file."""
    editor, server = nearby
    module = importlib.import_module(name)
    scripted("--steps=1", "--step-ms=0", f"--types={Path(inspect.getfile(module))}")
    await editor.start(DIRECTLY)
    await server.session.resident.connect()
    typist = typist_of(editor, module, num_keys, 2) if num_keys else typist_of_all(editor, module, 1)
    num_shown = 0
    while not typist.is_done:
        typist.type_key()
        items = await editor.complete(typist.cursor)
        assert server.session.documents.get(editor.uri).text == editor.text
        num_shown += bool(items)
        if items and typist.rng.random() < 0.3:
            typist.take(typist.rng.choice(items))
    assert editor.text.startswith(typist.truth[: typist.end])
    await editor.actions(0)  # the server has taken over every key before it answers
    assert server.session.documents.get(editor.uri).text == editor.text
    assert num_shown > 20
    assert typist.num_taken - typist.num_undone >= 5
    assert typist.repeated == []


@pytest.mark.real_model
async def test_the_models_cache_holds_the_context_while_a_file_is_typed(
    nearby: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor, server = nearby
    await editor.start(DIRECTLY)
    resident = server.session.resident
    await resident.connect()
    asked: list[InfillRequest] = []
    usages: list[Usage] = []
    infill = resident.infill

    async def counted(request: InfillRequest) -> Infill:
        answer: Infill = await infill(request)
        asked.append(request)
        usages.append(answer.usage)
        return answer

    monkeypatch.setattr(resident, "infill", counted)
    typist = typist_of(editor, textwrap, 120, seed=3)
    while not typist.is_done:
        typist.type_key()
        items = await editor.complete(typist.cursor)
        assert server.session.documents.get(editor.uri).text == editor.text
        if items and typist.rng.random() < 0.3:
            typist.take(items[0])
    assert len(usages) > 50
    cached = sum(usage.cached_tokens for usage in usages) / sum(usage.context_tokens for usage in usages)
    print(f"{cached:.1%} of {sum(usage.context_tokens for usage in usages)} context tokens cached")
    assert cached >= 0.95
    assert len({request.context for request in asked}) <= 2, "texts from elsewhere stay while one types"
