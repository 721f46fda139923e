"""Where a taken fill was uncertain: found when it arrives, moved along with the text, gone when it is edited."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.text.filling import FilledHole, apply_fills
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace.uncertain import Spot, UncertainSpots, spots_of
from midfill.model.wire.api import ConfidenceSpan

TEXT = "x = <>\ny = <>\n"
FIRST = FilledHole(
    Span(4, 6), "1", "a + bc", 0.4, tuple(ConfidenceSpan(*one) for one in [(0, 1, 0.9), (1, 4, 0.4), (4, 6, 0.3)])
)
SECOND = FilledHole(Span(11, 13), "2", "é", 0.2, (ConfidenceSpan(0, 1, 0.2),))


def shown(text: str, spots: tuple[Spot, ...]) -> list[tuple[str, float]]:
    return [(text[spot.span.start : spot.span.end], spot.confidence) for spot in spots]


def test_runs_of_uncertain_tokens_without_the_white_space_around_them() -> None:
    text = apply_fills(TEXT, [FIRST, SECOND])
    assert shown(text, spots_of([FIRST, SECOND])) == [("+ bc", 0.3), ("é", 0.2)]


@pytest.mark.parametrize("taken", [[FIRST], [SECOND], [FIRST, SECOND]])
def test_only_what_was_taken_has_spots(taken: list[FilledHole]) -> None:
    spots = UncertainSpots()
    spots.expect("a", TEXT, [[FIRST, SECOND]])
    text = apply_fills(TEXT, taken)
    assert spots.changed("a", TEXT, text)
    assert spots.of("a") == spots_of(taken)


def test_fills_may_be_taken_one_after_the_other() -> None:
    spots = UncertainSpots()
    spots.expect("a", TEXT, [[FIRST, SECOND]])
    one, both = apply_fills(TEXT, [SECOND]), apply_fills(TEXT, [FIRST, SECOND])
    assert spots.changed("a", TEXT, one)
    assert spots.changed("a", one, both)
    assert shown(both, spots.of("a")) == [("+ bc", 0.3), ("é", 0.2)]


def test_the_alternative_that_was_chosen_counts() -> None:
    other = FilledHole(Span(4, 6), "1", "a", 0.9, (ConfidenceSpan(0, 1, 0.9),))
    for chosen, found in ((FIRST, [("+ bc", 0.3)]), (other, [])):
        spots = UncertainSpots()
        spots.expect("a", TEXT, [[FIRST], [other]])
        text = apply_fills(TEXT, [chosen])
        spots.changed("a", TEXT, text)
        assert shown(text, spots.of("a")) == found


@pytest.mark.parametrize(
    ("edit", "left"),
    [
        (("x", "xx"), ["+ bc", "é"]),  # before them
        (("\ny", "\n\ny"), ["+ bc", "é"]),  # between them
        (("+ bc", "+ d"), ["é"]),  # in one of them
        (("bc", "bcd"), ["é"]),  # at its end
        (("bc\n", "bc  # so\n"), ["+ bc", "é"]),
        (("x = a + bc\ny = é\n", ""), []),
    ],
)
def test_they_move_with_the_text_and_go_when_they_are_edited(edit: tuple[str, str], left: list[str]) -> None:
    spots = UncertainSpots()
    spots.expect("a", TEXT, [[FIRST, SECOND]])
    text = apply_fills(TEXT, [FIRST, SECOND])
    spots.changed("a", TEXT, text)
    edited = text.replace(*edit, 1)
    spots.changed("a", text, edited)
    assert [code for code, _ in shown(edited, spots.of("a"))] == left


def test_a_text_that_went_its_own_way_has_none() -> None:
    spots = UncertainSpots()
    spots.expect("a", TEXT, [[FIRST]])
    assert not spots.changed("a", TEXT, TEXT + "z\n")
    assert not spots.changed("a", TEXT + "z\n", apply_fills(TEXT, [FIRST]) + "z\n")
    assert spots.of("a") == ()
    spots.forget("a")


ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
UNSURE = pytest.mark.resident("--unsure")
HOLES = "a = <fill>\nb = <fill>\n"
FILLED = "a = filled_1\nb = filled_2\n"


async def filled(editor: Any, **options: Any) -> list[Any]:
    """The notes of spots after all holes were filled with answers of which the model was not sure."""
    editor.experimental = {"midfill": {"uncertainSpots": True}}
    await editor.start(options)
    await editor.until_ready()
    notes: list[Any] = []
    editor.client.feature("midfill/uncertainSpots")(lambda params: notes.append(params))
    editor.open(HOLES)
    await editor.command("midfill.fillAllHoles")
    assert editor.text == FILLED
    editor.report_last_edit(HOLES)
    await editor.until(lambda: bool(notes))
    return notes


@UNSURE
@ONE_CLIENT
async def test_spots_are_told_and_filled_again(editor: Any) -> None:
    notes = await filled(editor)
    assert (notes[-1].uri, notes[-1].version) == (editor.uri, editor.version)
    assert [(spot.range.start.line, spot.range.start.character) for spot in notes[-1].spots] == [(0, 4), (1, 4)]
    assert all(spot.confidence < 0.5 for spot in notes[-1].spots)
    actions = await editor.actions(editor.text.index("filled_1") + 2)
    assert {"Fill this uncertain spot again", "Fill all 2 uncertain spots again"} <= set(actions)
    before = editor.text
    editor.apply((await editor.client.code_action_resolve_async(actions["Fill this uncertain spot again"])).edit)
    assert editor.text == "a = filled_1_2\nb = filled_2\n"  # what stands there is no other version
    editor.report_last_edit(before)
    before = editor.text
    await editor.command("midfill.fillSpots")
    assert editor.text == "a = filled_1_3\nb = filled_2_3\n"  # the first candidate in which both are others
    editor.report_last_edit(before)


@UNSURE
@ONE_CLIENT
async def test_as_hints_only_where_they_are_wanted(editor: Any) -> None:
    await filled(editor, uncertainHints=True)
    await editor.until(lambda: bool(editor.client.diagnostics.get(editor.uri)))
    hints = editor.client.diagnostics[editor.uri]
    assert {(hint.severity, hint.source) for hint in hints} == {(types.DiagnosticSeverity.Hint, "midfill")}
    assert hints[0].message == "The model was only 30 % sure of this."
    editor.replace(0, len(editor.text), "")
    await editor.until(lambda: not editor.client.diagnostics[editor.uri])


@UNSURE
@ONE_CLIENT
async def test_a_client_that_did_not_ask_is_told_nothing(editor: Any) -> None:
    await editor.start()
    await editor.until_ready()
    notes: list[Any] = []
    editor.client.feature("midfill/uncertainSpots")(lambda params: notes.append(params))
    editor.open(HOLES)
    await editor.command("midfill.fillAllHoles")
    editor.report_last_edit(HOLES)
    assert "Fill this uncertain spot again" in await editor.actions(6)
    assert (notes, editor.client.diagnostics.get(editor.uri, [])) == ([], [])
