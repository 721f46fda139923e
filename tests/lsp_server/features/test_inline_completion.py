"""Ghost text as two recorded editors get it: what starts it, what it says, and what it never does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lsprotocol import types

ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
Metric = Callable[[str], Awaitable[float]]
ASKED = r'midfill_requests_total\{[^}]*priority="inline"[^}]*\}'
AHEAD = r'midfill_requests_total\{[^}]*priority="edit"[^}]*\}'
PRIMED = r'midfill_requests_total\{[^}]*outcome="primed"[^}]*\}'


def told(*fills: str) -> pytest.MarkDecorator:
    """What the model answers, whatever the text is: a text for each candidate."""
    return pytest.mark.resident("--steps", "1", *(f"--fill={fill}" for fill in fills))


async def opened(editor: Any, marked: str, options: dict[str, Any] | None = None, **document: str) -> int:
    """Open the text that has ^ where the cursor is, and give the cursor."""
    await editor.start(options)
    await editor.until_loaded()
    cursor = marked.index("^")
    editor.open(marked.replace("^", "", 1), **document)
    return cursor


async def shown(editor: Any, cursor: int, invoked: bool = False) -> list[str]:
    return [item.insert_text for item in await editor.complete(cursor, invoked)]


async def until(metric: Metric, name: str, value: float) -> None:
    async with asyncio.timeout(60):
        while await metric(name) < value:  # noqa: ASYNC110 - it is another process's state
            await asyncio.sleep(0.02)


# What people complain of in other tools, in their order.


@told("value)")
async def test_duplicated_suffix(editor: Any) -> None:
    cursor = await opened(editor, "print(^)\n")
    editor.accept((await editor.complete(cursor))[0])
    assert editor.text == "print(value)\n"


@told("return total")
async def test_a_suggestion_that_is_the_next_line_is_not_shown(editor: Any) -> None:
    cursor = await opened(editor, "def f(total):\n    ^\n    return total\n")
    assert await shown(editor, cursor) == []
    assert await shown(editor, cursor, invoked=True) == []


@told("for row in rows:\n    count(row)\nreturn rows")
async def test_wrong_indentation(editor: Any) -> None:
    cursor = await opened(editor, "class A:\n    def f(self, rows):\n        ^\n")
    editor.accept((await editor.complete(cursor))[0])
    body = "        for row in rows:\n            count(row)\n        return rows\n"
    assert editor.text == f"class A:\n    def f(self, rows):\n{body}"


@told("compute(a, b)")
async def test_typing_through_keeps_the_suggestion(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n")
    assert (await shown(editor, cursor))[0] == "compute(a, b)"
    for typed in ("c", "o", "mpute"):
        editor.replace(cursor, cursor, typed)
        cursor += len(typed)
        assert (await shown(editor, cursor))[0] == "compute(a, b)".removeprefix(editor.text[4:cursor])
    assert await metric(ASKED) == 1


@told("compute(a, b)")
async def test_typing_through_a_bracket_that_the_editor_closes(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n")
    assert (await shown(editor, cursor))[0] == "compute(a, b)"
    editor.replace(cursor, cursor, "compute()")
    cursor += len("compute(")
    editor.accept((await editor.complete(cursor))[0])
    assert editor.text == "x = compute(a, b)\n"
    assert await metric(ASKED) == 1


@told("compute(a)")
async def test_typing_something_else_ends_a_suggestion(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n")
    assert await shown(editor, cursor) != []
    editor.replace(cursor, cursor, "not ")
    assert (await shown(editor, cursor + 4))[0] == "compute(a)"
    assert await metric(ASKED) == 2


@told("one(a).two(b)")
async def test_partial_accept_leaves_the_rest(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n")
    assert (await shown(editor, cursor))[0] == "one(a).two(b)"
    for word, rest in (("one", "(a).two(b)"), ("(a)", ".two(b)"), (".two", "(b)")):
        editor.replace(cursor, cursor, word)
        cursor += len(word)
        assert (await shown(editor, cursor))[0] == rest
    assert await metric(ASKED) == 1


@told("first", "second")
async def test_one_acceptance_ahead_is_thought_of(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n")
    (item, *_) = await editor.complete(cursor)
    await until(metric, AHEAD, 1)
    cursor = editor.accept(item)
    assert (await shown(editor, cursor))[0] == "first"
    assert await metric(ASKED) == 1


@told("value")
@pytest.mark.parametrize("name", ["conf/.env.local", "secrets.py"])
@ONE_CLIENT
async def test_secret_files_are_excluded(editor: Any, metric: Metric, name: str) -> None:
    cursor = await opened(editor, "x = ^\n", name=name)
    assert await shown(editor, cursor) == await shown(editor, cursor, invoked=True) == []
    await editor.actions(cursor)
    assert await metric("midfill_requests_total") == 0


@told("value")
@ONE_CLIENT
async def test_languages_can_be_excluded(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ^\n", {"disabledLanguages": ["python"]})
    assert await shown(editor, cursor) == await shown(editor, cursor, invoked=True) == []
    assert await metric("midfill_requests_total") == 0


@told("one", "two", "three")
async def test_a_manual_trigger_suffices(editor: Any) -> None:
    cursor = await opened(editor, "x = ^\n", {"inline": False})
    assert await shown(editor, cursor) == []
    assert await shown(editor, cursor, invoked=True) == ["one", "two", "three"]


@pytest.mark.resident("--steps", "100000", "--step-ms", "2")
async def test_stale_requests_do_not_queue(editor: Any, until_running: Callable[[int], Awaitable[None]]) -> None:
    cursor = await opened(editor, "x = ^\n")
    answers = []
    for key in "abcdefgh":
        answers.append(asyncio.ensure_future(editor.complete(cursor)))
        await asyncio.sleep(0)
        editor.replace(cursor, cursor, key)
        cursor += 1
    assert await asyncio.gather(*answers) == [[]] * 8
    await until_running(0)


@told("a = 1\nreturn a")
async def test_crlf(editor: Any) -> None:
    cursor = await opened(editor, "def f():\r\n    ^\r\n")
    (item, *_) = await editor.complete(cursor)
    assert item.insert_text == "a = 1\n    return a"
    cursor = editor.accept(item)
    assert editor.text == "def f():\r\n    a = 1\r\n    return a\r\n"


@told("nd(item)")
@pytest.mark.parametrize("start", [0, 2], ids=["replaces the word", "goes on from the cursor"])
async def test_no_clash_with_the_completion_popup(editor: Any, start: int) -> None:
    cursor = await opened(editor, "items.ex^\n")
    selected = types.SelectedCompletionInfo(editor.range_of(cursor - 2 + start, cursor), "exte"[start:])
    (item, *_) = await editor.complete(cursor, selected=selected)
    assert item.insert_text == "extend(item)"[start:]
    assert item.range == selected.range
    editor.accept(item)
    assert editor.text == "items.extend(item)\n"


@told("compute(a)")
async def test_an_acceptance_is_counted_once(editor: Any) -> None:
    cursor = await opened(editor, "x = ^\n")
    before = await editor.command("midfill.stats")
    (item, *_) = await editor.complete(cursor)
    editor.replace(cursor, cursor, "c")
    (rest, *_) = await editor.complete(cursor + 1)
    assert rest.command.arguments == item.command.arguments, "typed through, it is still the same suggestion"
    editor.accept(rest)
    for _ in range(2):
        params = types.ExecuteCommandParams(command=rest.command.command, arguments=rest.command.arguments)
        await editor.client.workspace_execute_command_async(params)
    after = await editor.command("midfill.stats")
    assert [after[name] - before[name] for name in ("shown", "accepted")] == [1, 1]


# What else was asked for.


@told("first()\nsecond()")
@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("def f():\n    ^\n", "first()\n    second()"),
        ("def f():\n    while x:\n        y\n    else:\n        ^\n", "first()\n        second()"),
        ("class A {\n  f() {\n    ^\n  }\n}\n", "first()\n    second()"),
        ("call(\n    ^\n)\n", None),
        ("x = ^\n", "first()"),
        ("call(^)\n", "first()"),
        ("x = 1\n^\n", "first()"),
    ],
)
@ONE_CLIENT
async def test_line_or_block_is_decided_by_the_syntax(editor: Any, marked: str, expected: str | None) -> None:
    cursor = await opened(editor, marked, language_id="javascript" if "{" in marked else "python")
    items = await shown(editor, cursor, invoked=True)
    if expected is None:  # two statements are no arguments, so that the first alone is left of the block
        assert items == ["first()"]
    else:
        assert items == [expected]


@told("\n    first()\n    second()")
@ONE_CLIENT
async def test_a_block_fits_behind_a_colon(editor: Any) -> None:
    cursor = await opened(editor, "def f():^\n")
    assert await shown(editor, cursor) == ["\n    first()\n    second()"]


@told("first()", "second()", "third()")
async def test_more_candidates_where_the_client_cannot_ask_again(editor: Any) -> None:
    cursor = await opened(editor, "x = ^\n")
    num_items = {"vscode": 2, "neovim-0.12": 3}[editor.recorded]
    assert await shown(editor, cursor) == ["first()", "second()", "third()"][:num_items]


@told("word")
@pytest.mark.parametrize(
    ("marked", "setting"),
    [("x = 'so ^'\n", "inlineInStrings"), ("'''doc\n^\n'''\n", "inlineInStrings"), ("# so ^\n", "inlineInComments")],
)
@ONE_CLIENT
async def test_strings_and_comments_are_off_by_default(editor: Any, marked: str, setting: str) -> None:
    cursor = await opened(editor, marked)
    assert await shown(editor, cursor) == []
    editor.client.set_configuration({setting: True}, section="midfill")
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    async with asyncio.timeout(30):
        while await shown(editor, cursor) == []:  # noqa: ASYNC110 - it is another process's state
            await asyncio.sleep(0.02)


@told("value")
@ONE_CLIENT
async def test_nothing_in_the_middle_of_a_word(editor: Any) -> None:
    cursor = await opened(editor, "total = co^unt\n")
    assert await shown(editor, cursor) == []
    assert await shown(editor, cursor, invoked=True) != []


@told("price * count + tax")
async def test_the_rest_of_the_line_is_kept(editor: Any) -> None:
    cursor = await opened(editor, "total = ^ + tax\n")
    (item, *_) = await editor.complete(cursor)
    assert item.range.start == item.range.end
    editor.accept(item)
    assert editor.text == "total = price * count + tax\n"


@told("value")
@ONE_CLIENT
async def test_nothing_under_the_threshold(editor: Any) -> None:
    cursor = await opened(editor, "x = ^\n", {"showThreshold": 0.95})
    assert await shown(editor, cursor) == []
    assert await shown(editor, cursor, invoked=True) == ["value"]


@told("[0]")
async def test_nothing_behind_a_deletion(editor: Any) -> None:
    cursor = await opened(editor, "x = ab^\n")
    editor.replace(cursor - 1, cursor, "")
    assert await shown(editor, cursor - 1) == []
    assert await shown(editor, cursor - 1, invoked=True) != []
    editor.replace(cursor - 1, cursor - 1, "c")
    assert await shown(editor, cursor) != []


@told("value")
@pytest.mark.parametrize("options", [{"inlineDebounceMs": 10_000}, {"inlineDebounceMs": 0}, None])
async def test_the_debounce_can_be_set_and_is_zero_for_neovim(
    editor: Any, metric: Metric, options: dict[str, Any] | None
) -> None:
    cursor = await opened(editor, "x = ^\n", options)
    started_s = asyncio.get_running_loop().time()
    answer = asyncio.ensure_future(editor.complete(cursor))
    if options == {"inlineDebounceMs": 10_000}:
        await asyncio.sleep(0.5)
        editor.replace(cursor, cursor, "y")
        assert await answer == [], "who types on during the wait gets nothing, at once"
        assert await metric("midfill_requests_total") == 0
        assert await editor.complete(cursor + 1, invoked=True) != [], "who asks does not wait"
    else:
        assert await answer != []
    waited_s = asyncio.get_running_loop().time() - started_s
    assert waited_s < 10
    assert waited_s >= 0.07 or options is not None or editor.recorded == "neovim-0.12"


@told("value")
async def test_the_context_is_primed_where_the_cursor_rests(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "def f(a):\n    return a\n\n\nx = ^\n")
    await editor.actions(cursor)
    await until(metric, PRIMED, 1)
    assert await metric(ASKED) == 0


@told("value")
async def test_the_context_is_primed_behind_a_deletion(editor: Any, metric: Metric) -> None:
    cursor = await opened(editor, "x = ab^\n")
    editor.replace(cursor - 1, cursor, "")
    assert await shown(editor, cursor - 1) == []
    await until(metric, PRIMED, 1)


@told("invented")
@pytest.mark.parametrize("recurs", [True, False])
async def test_other_languages_have_only_what_the_text_says(editor: Any, metric: Metric, recurs: bool) -> None:
    line = "resource google_storage_bucket = var.location\nstop\n"
    marked = line * (2 if recurs else 1) + "resource google_storage_bucket = ^\n"
    cursor = await opened(editor, marked, name="main.tf", language_id="terraform")
    assert await shown(editor, cursor) == (["var.location"] if recurs else [])
    assert await metric("midfill_requests_total") == 0
    assert (await shown(editor, cursor, invoked=True))[0] == "invented"


@told("invented")
async def test_what_the_text_says_is_not_said_twice_in_a_row(editor: Any) -> None:
    line = "resource google_storage_bucket = var.location\n"
    marked = line * 2 + "resource google_storage_bucket = ^\n"
    cursor = await opened(editor, marked, name="main.tf", language_id="terraform")
    assert await shown(editor, cursor) == []


@told("first()")
@pytest.mark.parametrize("marked", ["x = ^\n", "f(^)\n", "def f():\n    ^\n", "é𝒳 = [^]\n"])
async def test_the_range_is_explicit_and_on_one_line(editor: Any, marked: str) -> None:
    cursor = await opened(editor, marked)
    for item in await editor.complete(cursor):
        assert item.range == editor.range_of(cursor, cursor)
