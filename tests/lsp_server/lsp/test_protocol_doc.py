"""8. docs/PROTOCOL.md says what the server does: its table is read here and tried, row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.features.state_commands import STATE_COMMANDS
from midfill.lsp_server.lsp import errors
from midfill.lsp_server.lsp.protocol import DID_CHANGE_STATUS, DRAFT, UNCERTAIN_SPOTS
from midfill.lsp_server.server import EDIT_COMMANDS
from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace.status import Status, StatusCommand
from midfill.model.wire.api import ConfidenceSpan

DOCUMENT = (Path(__file__).parents[3] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
TEXT = "def f(a):\n    x = <fill>\n    return x\n"
CURSOR = {"line": 1, "character": 8}
RANGE = {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 14}}
ARGUMENTS = {"uri": "file:///a.py", "position": CURSOR, "range": RANGE, "id": "s1"}


@dataclass(frozen=True)
class Method:
    """One row. required, optional: names of the params; result: names of the result's fields."""

    name: str
    direction: str
    required: frozenset[str]
    optional: frozenset[str]
    result: frozenset[str]
    optional_result: frozenset[str]
    errors: frozenset[int]


def names(cell: str) -> tuple[frozenset[str], frozenset[str]]:
    found = re.findall(r"(\w+)(\??)", re.sub(r"[^{]*\{(.*)\}.*", r"\1", cell) if "{" in cell else "")
    return (
        frozenset(name for name, mark in found if not mark),
        frozenset(name for name, mark in found if mark),
    )


def read_methods() -> dict[str, Method]:
    methods = {}
    for line in DOCUMENT.splitlines():
        if match := re.fullmatch(r"\| `(midfill[./]\w+)` \|(.*)\|", line):
            direction, params, result, codes = (cell.strip() for cell in match[2].split("|"))
            numbers = frozenset(-int(code) for code in re.findall(r"−(\d+)", codes))
            methods[match[1]] = Method(match[1], direction, *names(params), *names(result), numbers)
    return methods


METHODS = read_methods()
COMMANDS = [name for name, method in METHODS.items() if method.direction == "client → server, command"]


async def run(wire: Any, name: str, argument: dict[str, Any]) -> Any:
    """The result, or the error's code."""
    wire.sent.clear()
    wire.ask("asked", types.WORKSPACE_EXECUTE_COMMAND, {"command": name, "arguments": [argument]})
    return (await wire.answers(1))["asked"]


@pytest.fixture
async def ready(wire: Any) -> Any:
    await wire.start()
    wire.fill_at_once()
    text = f"{TEXT}\n\ng(1)\n"
    wire.open(text.replace("def f", "def g"))
    place = {"line": 0, "character": 4}  # calls of `g` are to follow
    change = {"range": {"start": place, "end": {"line": 0, "character": 5}}, "text": "f"}
    document = {"uri": wire.uri, "version": 1}
    wire.notify(types.TEXT_DOCUMENT_DID_CHANGE, {"textDocument": document, "contentChanges": [change]})
    at = text.index("x")
    unsure = FilledHole(Span(at, at + 1), "1", "x", 0.1, (ConfidenceSpan(0, 1, 0.1),))
    before = f"{text[:at]}y{text[at + 1 :]}"
    wire.server.session.uncertain.expect(wire.uri, before, [[unsure]])
    assert wire.server.session.uncertain.changed(wire.uri, before, text)
    return wire


async def test_8_the_table_has_every_method_of_the_server(wire: Any) -> None:
    assert set(METHODS) == {*EDIT_COMMANDS, *STATE_COMMANDS, DID_CHANGE_STATUS, DRAFT, UNCERTAIN_SPOTS}
    wire.ask("init", types.INITIALIZE, {"capabilities": {}, "processId": None, "rootUri": None})
    await wire.answers(1)
    assert sorted(wire.sent[-1]["result"]["capabilities"]["executeCommandProvider"]["commands"]) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
async def test_8_a_command_takes_its_params_and_gives_its_result(ready: Any, name: str) -> None:
    method = METHODS[name]
    result = await run(ready, name, {param: ARGUMENTS[param] for param in method.required})
    assert not isinstance(result, int), f"error {result}"
    if isinstance(result, dict):
        assert method.result <= set(result) <= method.result | method.optional_result
    else:
        assert isinstance(result, list) == (name == "midfill.completeInline")
        assert method.result == frozenset()


@pytest.mark.parametrize(
    ("name", "missing"), [(name, param) for name in COMMANDS for param in sorted(METHODS[name].required)]
)
async def test_8_a_command_needs_what_is_not_optional(ready: Any, name: str, missing: str) -> None:
    argument = {param: ARGUMENTS[param] for param in METHODS[name].required - {missing}}
    assert await run(ready, name, argument) == errors.INVALID_PARAMS
    assert errors.INVALID_PARAMS in METHODS[name].errors


WRONG = {
    **{"version": "1", "scope": "house", "triggerKind": 7, "position": 3, "range": 3, "uri": 3},
    **{"verb": 3, "instruction": 3, "strength": "much", "seed": -1, "candidates": 0, "draftsToken": []},
}
WRONG_TOGETHER = {"language": {"scope": "language", "language": 3}, "folder": {"scope": "workspace", "folder": 3}}


@pytest.mark.parametrize(
    ("name", "param"), [(name, param) for name in COMMANDS for param in sorted(METHODS[name].optional)]
)
async def test_8_a_command_looks_at_what_is_optional(ready: Any, name: str, param: str) -> None:
    """A param that nobody reads would be let through whatever it is."""
    argument = {required: ARGUMENTS[required] for required in METHODS[name].required}
    wrong = WRONG_TOGETHER.get(param) or {param: WRONG[param]}
    assert await run(ready, name, {**argument, **wrong}) == errors.INVALID_PARAMS


async def test_8_a_stale_version_is_refused_by_every_command_that_takes_one(ready: Any) -> None:
    takers = [name for name in COMMANDS if "version" in METHODS[name].optional]
    assert takers
    for name in takers:
        argument = {param: ARGUMENTS[param] for param in METHODS[name].required}
        assert await run(ready, name, {**argument, "uri": ARGUMENTS["uri"], "version": 99}) == errors.CONTENT_MODIFIED
        assert errors.CONTENT_MODIFIED in METHODS[name].errors


def test_8_the_status_has_the_fields_of_the_table() -> None:
    method = METHODS[DID_CHANGE_STATUS]
    assert set(Status(True, "", "Normal").to_json()) == method.required
    command = StatusCommand("Resume", "midfill.resume")
    assert set(Status(True, "", "Normal", command).to_json()) == method.required | method.optional


def test_8_every_error_code_is_explained() -> None:
    explained = {-int(code) for code in re.findall(r"^\| −(\d+) \|", DOCUMENT, re.MULTILINE)}
    own = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert own <= explained
    assert explained >= frozenset().union(*(method.errors for method in METHODS.values()))
