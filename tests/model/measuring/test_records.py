"""A record: every result is kept at once, a run that was stopped goes on, and another measure's record is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from midfill.model.measuring.records import RecordMismatchError, answered, read_record

HEADER = {"command": "squares", "model": "none", "kinds": ("small", "large")}


class Squares:
    """Squares numbers, and remembers which; raises KeyboardInterrupt at `stop_at`."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.stop_at = stop_at

    def __call__(self, number: int) -> dict[str, Any]:
        if number == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(number)
        return {"square": number * number}


def squares(numbers: list[int], answer: Squares, record: Path | None, **changes: Any) -> list[dict[str, Any]]:
    return answered(numbers, str, answer, record=record, header={**HEADER, **changes}, label="squares")


EXPECTED = [{"task": str(number), "square": number * number} for number in (3, 1, 2)]


def test_results_come_in_task_order_with_their_keys() -> None:
    assert squares([3, 1, 2], Squares(), None) == EXPECTED


@pytest.mark.parametrize("torn", ["", '{"task": "1", "squ'])
def test_a_stopped_run_goes_on(tmp_path: Path, torn: str) -> None:
    record = tmp_path / "new" / "record.jsonl"
    with pytest.raises(KeyboardInterrupt):
        squares([3, 1, 2], Squares(stop_at=1), record)
    with record.open("a", encoding="utf-8") as file:
        file.write(torn)  # what a process that is killed while it writes leaves behind
    second = Squares()
    assert squares([3, 1, 2], second, record) == EXPECTED
    assert second.asked == [1, 2]
    assert read_record(record) == (json.loads(json.dumps(HEADER)), {line["task"]: line for line in EXPECTED})
    third = Squares()
    assert squares([2, 3], third, record) == [EXPECTED[2], EXPECTED[0]]
    assert third.asked == []


def test_a_record_of_other_settings_is_refused(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    squares([3], Squares(), record)
    before = record.read_bytes()
    with pytest.raises(RecordMismatchError, match=r"model: 'none' there, 'other' now.*--record") as caught:
        squares([3, 1], Squares(), record, model="other")
    assert "command" not in str(caught.value)
    assert record.read_bytes() == before


@pytest.mark.parametrize("content", ["[1]\n", "not JSON\n", '{"task": "1"}\n', '{"header": {}}\n{"square": 1}\n', "x"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text(content, encoding="utf-8")
    with pytest.raises(RecordMismatchError, match="not a record"):
        squares([3], Squares(), record)
    assert record.read_text(encoding="utf-8") == content


def test_tasks_must_differ() -> None:
    with pytest.raises(ValueError, match="1 tasks have the key of another"):
        squares([3, 1, 3], Squares(), None)
