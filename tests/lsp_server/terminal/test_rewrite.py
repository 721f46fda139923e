"""`midfill rewrite`: what is rewritten, printed and written, and what one is told when it cannot be done."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from midfill.lsp_server.terminal import rewrite as rewrite_module

SOURCE = "def f(a):\n    b = a + 1\n    return b\n\n\nprint(f(1))\n"
PATIENCE_S = 120


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "example.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_away_from_a_terminal_the_diff_is_printed_and_nothing_is_written(
    midfill: Callable[..., Any], endpoint: str, file: Path
) -> None:
    ran = midfill("rewrite", file, "--lines", "2-3", "--verb", "rename", "--endpoint", endpoint)
    assert ran.code == 0
    assert "-    b = a + 1\n-    return b\n+    did_rename\n" in ran.out
    assert "\x1b" not in ran.out
    assert "version 1 of 4; not written (--write does)." in ran.err
    assert file.read_text() == SOURCE


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [
        ((), b"a = 1\nb = 2\n", b"a = 1\nfilled_1\n"),
        (("--candidate", "3"), b"a = 1\nb = 2\n", b"a = 1\nfilled_1_3\n"),
        (("--candidate", "9"), b"a = 1\nb = 2\n", b"a = 1\nfilled_1_9\n"),
        (("--seed", "4"), b"a = 1\nb = 2\n", b"a = 1\nfilled_1_5\n"),
        (("--verb", "rename"), b"a = 1\nb = 2\n", b"a = 1\ndid_rename\n"),
        (("--strength", "0.2"), b"a = 1\r\nb = 2\r\n", b"a = 1\r\nfilled_1\r\n"),
        ((), b"\xef\xbb\xbfa = 1\nb = 2  # expect: c = 3\n", b"\xef\xbb\xbfa = 1\nfilled_1\n"),
        ((), b"if a:\n    b = 2\n", b"if a:\n    filled_1\n"),
        ((), b"a = 1\nb = 2", b"a = 1\nfilled_1"),
    ],
)
def test_writing_changes_only_the_lines(
    midfill: Callable[..., Any], endpoint: str, file: Path, arguments: tuple[str, ...], before: bytes, after: bytes
) -> None:
    file.write_bytes(before)
    file.chmod(0o755)
    assert midfill("rewrite", file, "--lines", "2-2", "--write", "--endpoint", endpoint, *arguments).code == 0
    assert file.read_bytes() == after
    assert file.stat().st_mode & 0o7777 == 0o755
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_model_that_follows_instructions_gets_a_free_one(
    midfill: Callable[..., Any], following_endpoint: str, file: Path
) -> None:
    command = ("rewrite", file, "--lines", "2-2", "--instruction", "use a dict", "--endpoint", following_endpoint)
    assert "-    b = a + 1\n+    did_use_a_dict\n" in midfill(*command).out


def test_json_has_every_version_with_code_point_offsets(midfill: Callable[..., Any], endpoint: str, file: Path) -> None:
    text = "s = '\N{GRINNING FACE}'\r\nx = 1\r\n"
    file.write_bytes(text.encode())
    ran = midfill("rewrite", file, "--lines", "2-2", "--json", "--candidate", "2", "--endpoint", endpoint)
    answer = json.loads(ran.out)
    assert set(answer) == {"file", "old", "candidates", "chosen", "usage", "model"}
    assert (answer["old"], answer["chosen"], ran.err) == ("x = 1", 2, "")
    assert [one["fill"] for one in answer["candidates"]] == ["filled_1", "filled_1_2", "filled_1_3", "filled_1_4"]
    assert {text[one["start"] : one["end"]] for one in answer["candidates"]} == {"x = 1"}


def test_the_verbs_of_the_loaded_model_are_listed(
    midfill: Callable[..., Any], endpoint: str, following_endpoint: str
) -> None:
    listed = midfill("rewrite", "--verbs", "--endpoint", endpoint).out
    assert listed.splitlines() == [
        "rename     Give the names more meaning",
        "docstring  Write a docstring",
        "It follows no --instruction.",
    ]
    assert "knows no verbs.\nIt follows free" in midfill("rewrite", "--verbs", "--endpoint", following_endpoint).out
    as_json = json.loads(midfill("rewrite", "--verbs", "--json", "--endpoint", endpoint).out)
    assert [one["verb"] for one in as_json["verbs"]] == ["rename", "docstring"]


@pytest.mark.parametrize(("instructed", "titles"), [(False, []), (True, ["From the old text, 60%", "From nothing:"])])
def test_at_a_terminal_the_canvases_are_seen_settling(
    midfill: Callable[..., Any],
    following_endpoint: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    instructed: bool,
    titles: list[str],
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system="standard", legacy_windows=False)
    monkeypatch.setattr(rewrite_module, "make_console", lambda: console)
    wish = ("--instruction", "shorter") if instructed else ()
    ran = midfill("rewrite", file, "--lines", "2-3", "--endpoint", following_endpoint, *wish)
    assert ran.code == 0
    shown = screen.getvalue()
    assert "?" in shown, "a draft that may still change was never shown"
    assert [title for title in titles if title not in shown] == []
    assert "\x1b[31m-    b = a + 1" in shown
    assert file.read_text() == SOURCE


REGION = ("--lines", "2-3")


@pytest.mark.parametrize(
    ("content", "arguments", "code", "sentence"),
    [
        (b"a = 1\n", ("--lines", "2-9"), 2, "line 9 is outside the file, which has 1 line"),
        (b"a = 1\nb = 2\n", ("--lines", "2-1"), 2, "lines 2-1 are no range"),
        (b"a = 1\n", ("--lines", "1"), 2, "--lines must be A-B"),
        (b"a = 1\n", (), 2, "Say what to write again: midfill rewrite FILE --lines A-B."),
        (b"a = 1\n\n  \n", REGION, 2, "the region is empty; select the code to rewrite"),
        (b"", ("--lines", "1-1"), 2, "the region is empty"),
        (b"a = 1\n" * 2000, ("--lines", "1-2000"), 2, "the region has 2000 lines and 11999 characters"),
        (SOURCE.encode(), (*REGION, "--verb", "polish"), 2, "does not know the verb 'polish'; its verbs are rename"),
        (SOURCE.encode(), (*REGION, "--verb", "rename", "--instruction", "x"), 2, "exclude each other"),
        (SOURCE.encode(), (*REGION, "--instruction", "shorter"), 2, "follows no free instructions; its verbs are"),
        (SOURCE.encode(), (*REGION, "--strength", "0"), 2, "a strength of 0 is not possible; give more than 0"),
        (SOURCE.encode(), (*REGION, "--strength", "2"), 2, "a strength of 2 is not possible"),
        (SOURCE.encode(), (*REGION, "--strength", "nan"), 2, "a strength of nan is not possible"),
        (SOURCE.encode(), (*REGION, "--json", "--diff"), 2, "--json, --diff and --write exclude each other"),
        (b"\0\1\n\n\n", REGION, 2, "is binary"),
        (b"a = 1\nb = '\xff'\n\n", REGION, 2, "is not UTF-8 (byte 0xff in line 2)"),
        (b"a = 1\nfilled_1\n", ("--lines", "2-2", "--candidate", "4"), 1, "the model found 3 versions, and candidate"),
        (SOURCE.encode(), (*REGION, "--record", "absent/r.html"), 2, "there is no folder absent; make it first"),
        (SOURCE.encode(), (*REGION, "--record", "r.gif"), 2, "ends in .html or .svg, not r.gif"),
        (SOURCE.encode(), (*REGION, "--record", "."), 2, "ends in .html or .svg"),
        (SOURCE.encode(), (*REGION, "--record", "folder.svg"), 2, "folder.svg is a directory"),
    ],
)
def test_bad_input(
    midfill: Callable[..., Any],
    refused: Callable[..., None],
    endpoint: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    (file.parent / "folder.svg").mkdir()
    monkeypatch.chdir(file.parent)
    file.write_bytes(content)
    refused(midfill("rewrite", file, "--endpoint", endpoint, *arguments), code, sentence)
    assert file.read_bytes() == content


def test_where_no_version_parses_nothing_is_changed(
    midfill: Callable[..., Any], refused: Callable[..., None], endpoint: str, file: Path
) -> None:
    """A name cannot stand between `else` and what is to be done then."""
    content = "if a:\n    b = 1\nelse:\n    b = 2\n"
    file.write_text(content, encoding="utf-8")
    ran = midfill("rewrite", file, "--lines", "3-3", "--write", "--endpoint", endpoint)
    refused(ran, 1, "the model found no other version that parses, so nothing was changed")
    assert file.read_text() == content


def test_a_replay_never_replaces_the_file_itself(
    midfill: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>\nx\n</p>\n", encoding="utf-8")
    ran = midfill("rewrite", page, "--lines", "2-2", "--record", page, "--endpoint", "unix:/absent.sock")
    refused(ran, 2, "would replace the file that is being edited")
    assert page.read_text() == "<p>\nx\n</p>\n"


def test_an_endpoint_that_answers_nothing(
    midfill: Callable[..., Any], refused: Callable[..., None], file: Path, private_places: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(private_places / "f.sock"))
        silent.listen()
        ran = midfill("rewrite", file, *REGION, "--endpoint", f"unix:{private_places}/f.sock")
    refused(ran, 1, "f.sock was reached and does not answer")
    assert file.read_text() == SOURCE


def test_ctrl_c_leaves_file_and_terminal_as_they_were(file: Path, slow_endpoint: str) -> None:
    terminal, inner = pty.openpty()
    before = termios.tcgetattr(terminal)
    command = ["-P", "-m", "midfill.lsp_server", "rewrite", str(file), *REGION, "--write", "--endpoint", slow_endpoint]
    process = subprocess.Popen(
        [sys.executable, *command],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={**os.environ, "TERM": "xterm-256color"},
        preexec_fn=lambda: _take_terminal(inner),
    )
    os.close(inner)
    shown = _read_until(terminal, b"???")  # a draft; the sequence that hides the cursor has one question mark
    os.write(terminal, b"\x03")
    shown += _read_until(terminal, None)
    assert process.wait(PATIENCE_S) == 130
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor stays hidden"
    assert b"stopped" in shown
    assert b"Traceback" not in shown
    assert file.read_text() == SOURCE
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def _take_terminal(inner: int) -> None:
    import fcntl

    os.setsid()
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite that runs in the background has it ignored


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """What is shown until `wanted` is seen in it; with None, until the last program has left the terminal."""
    shown, give_up_at_s = b"", time.monotonic() + PATIENCE_S
    while wanted is None or wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, give_up_at_s - time.monotonic()))
        assert ready, f"{wanted!r} was not shown, but {shown!r}"
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # EIO: nobody has it open any more
            return shown
    return shown
