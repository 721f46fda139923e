"""The files beside a tuned model: what is found in them, and that it is used and nothing else is changed."""

from __future__ import annotations

import copy
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midfill.model.engine.family import Model
from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.checkpoint import load_checkpoint
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.repository import (
    FILE_NAME,
    FOUND_CHARS,
    MAX_REPOSITORY_CHARS,
    Repository,
    fitting,
    load_repository,
    save_repository,
)
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Snippet, TextPart
from midfill.model.wire.errors import CheckpointError

STORE = """class Store:
    def remove(self, name, count):
        self.counts[name] -= count
        self.changed = True
"""
OTHER = "def unrelated():\n    return 17\n" * 20
BEFORE = "class Shop:\n    def add(self, name, count):\n        self.counts[name] += "


def request(path: str | None = None) -> InfillRequest:
    return InfillRequest(
        (TextPart(BEFORE), HolePart(Hole("1", 31, single_line=True)), TextPart("\n")),
        path=path,
        context=(Snippet("open.py", "opened = 1\n"),),
    )


def test_what_looks_most_like_the_surroundings_is_found_first() -> None:
    repository = Repository({"other.py": OTHER, "store.py": STORE})
    assert repository.find([(BEFORE, "\n")])[0] == STORE


@pytest.mark.parametrize("path", ["store.py", "/home/ada/shop/store.py", "C:\\shop\\store.py"])
def test_what_was_kept_of_the_file_itself_is_not_found(path: str) -> None:
    repository = Repository({"other.py": OTHER, "store.py": STORE})
    assert not any("counts" in piece for piece in repository.find([(BEFORE, "\n")], path))
    assert any("counts" in piece for piece in repository.find([(BEFORE, "\n")], "/home/ada/shop/bookstore.py"))


def test_no_line_is_found_twice_and_no_piece_reaches_into_another_file() -> None:
    files = {f"{n}.py": "".join(f"self.counts[{n}] -= {m}\n" for m in range(60)) for n in range(40)}
    pieces = Repository(files).find([(BEFORE, "\n"), ("self.counts[3] ", " += 1")])
    lines = [line for piece in pieces for line in piece.split("\n") if line]
    assert len(lines) == len(set(lines)) > 100
    assert all(len({line.partition("]")[0] for line in piece.split("\n") if line}) == 1 for piece in pieces)
    assert sum(map(len, pieces)) <= FOUND_CHARS


def test_nothing_is_found_in_no_files_or_for_nothing() -> None:
    assert Repository({}).find([(BEFORE, "\n")]) == []
    assert Repository({"store.py": STORE}).find([("", "")]) == []


def test_files_beyond_the_limit_are_left_out_and_a_search_takes_a_moment() -> None:
    text = "".join(f"def function_{n}(self, name):\n    self.counts[name] += {n}\n" for n in range(8000))
    files = fitting({f"{n}.py": text for n in range(9)})
    assert MAX_REPOSITORY_CHARS - len(text) < sum(map(len, files.values())) <= MAX_REPOSITORY_CHARS
    repository = Repository(files)
    started = time.perf_counter()
    assert repository.find([(BEFORE, "\n")])
    assert time.perf_counter() - started < 2


def test_a_model_reads_what_was_kept_beside_it(
    tiny_checkpoint: Path, tiny_with: Callable[..., DenoisingModel], tmp_path: Path
) -> None:
    folder = tmp_path / "tuned"
    folder.mkdir()
    for file in tiny_checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert load_checkpoint(folder).repository is None
    save_repository(folder, {"store.py": STORE})
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    model = tiny_with(load_checkpoint(folder).repository, memory_weights=(0.0, 0.5), num_passages=3)
    denoiser = model.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    plan = denoiser.plan(request("shop.py"), 1)
    assert denoiser.elsewhere(request("shop.py")) == ["opened = 1\n", STORE]
    passages = [denoiser.tokenizer.decode(ids) for ids in plan.passages]
    assert any("def remove(self" in passage for passage in passages)
    for left, right in (("self.changed = ", "True"), ("opened = ", "1")):
        recalled = plan.memory[0].recall(left)
        assert recalled is not None
        assert recalled.continuations == {right: 1.0}
    assert denoiser.elsewhere(request("store.py")) == ["opened = 1\n"]


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(CheckpointError, match=r"repository\.json is damaged .* tune again"):
        load_repository(tmp_path)


@pytest.mark.xfail(strict=True, reason="The adapter prefers the names of the file itself; see MODEL_CARD.md.")
def test_a_call_that_stands_in_another_file_only_is_filled_by_the_model_that_ships(shipped: Model) -> None:
    assert isinstance(shipped, DenoisingModel)
    assert isinstance(shipped.denoiser, EmbeddedDenoiser)
    before = (
        'class Counter:\n    def close(self, account_number, reason):\n        """Pay out."""\n'
        "        self.ledger.withdraw("
    )
    hole = HolePart(Hole("1", 31, single_line=True))
    asked = InfillRequest((TextPart(before), hole, TextPart("\n")), path="counter.py", candidates=4)
    wanted = "account_number, amount_in_cents, reason)"
    bank = f"class Bank:\n    def pay(self):\n        self.ledger.withdraw({wanted}\n"

    def filled(repository: Repository | None) -> list[str]:
        denoiser = copy.copy(shipped.denoiser)
        denoiser.repository = repository  # type: ignore[attr-defined]
        answers = [item for item in DenoisingModel(denoiser).infill(asked, 0.0) if isinstance(item, Infill)]
        return [candidate.fills[0].text for candidate in answers[0].candidates]

    assert wanted not in filled(None)
    assert wanted in filled(Repository({"other.py": OTHER, "bank.py": bank}))
