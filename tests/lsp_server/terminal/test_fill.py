"""`midfill fill`: what is filled, what is printed, what is written, and what one is told when it cannot be done."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from midfill.lsp_server.terminal import fill as fill_module
from midfill.lsp_server.terminal.editor import editing
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.source_file import read_source, write_source

SOURCE = "import os\n\n\ndef f(<fill>):\n    return <fill>\n"
FILLED = "import os\n\n\ndef f(filled_1):\n    return filled_2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "example.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_away_from_a_terminal_the_diff_is_printed_and_nothing_is_written(
    midfill: Callable[..., Any], endpoint: str, file: Path
) -> None:
    ran = midfill("fill", file, "--endpoint", endpoint)
    assert ran.code == 0
    assert "-def f(<fill>):\n-    return <fill>\n+def f(filled_1):\n+    return filled_2\n" in ran.out
    assert "\x1b" not in ran.out
    assert file.read_text() == SOURCE


def test_json_has_code_point_offsets_in_the_file(midfill: Callable[..., Any], endpoint: str, tmp_path: Path) -> None:
    text = "s = '\N{GRINNING FACE}'\r\nx = <fill>\r\n"
    path = tmp_path / "crlf.py"
    path.write_bytes(text.encode())
    ran = midfill("fill", path, "--json", "--endpoint", endpoint)
    answer = json.loads(ran.out)
    assert set(answer) == {"file", "holes", "usage", "model"}
    (hole,) = answer["holes"]
    assert set(hole) == {"id", "start", "end", "fill", "confidence"}
    assert text[hole["start"] : hole["end"]] == "<fill>"
    assert (hole["id"], hole["fill"]) == ("1", "filled_1")
    assert answer["usage"]["forward_passes"] >= 1
    assert answer["model"]["name"] == "embedded"
    assert ran.err == ""


@pytest.mark.parametrize(
    ("arguments", "source", "expected"),
    [
        ((), SOURCE, FILLED),
        (("--at", "2:1"), "a = 1\n\nb = 2\n", "a = 1\nfilled_1\nb = 2\n"),
        (("--at", "1:5"), "a = <fill>\nb = <fill>\n", "a = filled_1\nb = <fill>\n"),
        (("--lines", "2-3"), "a = 1\nb = 2\nc = 3\nd = 4\n", "a = 1\nfilled_1\nd = 4\n"),
        (("--lines", "2-2"), "if a:\n    b = 2\nc = 3\n", "if a:\n    filled_1\nc = 3\n"),
        (("--bodies",), "x = <fill>\ndef f(): ...\n", "x = <fill>\ndef f():\n    filled_1\n"),
        (
            ("--function", "3"),
            "x = <fill>\ndef f():\n    return <fill>\n",
            "x = <fill>\ndef f():\n    return filled_1\n",
        ),
        (("--function", "2"), "\ndef f():\n    # TODO: more\n", "\ndef f():\n    # TODO: more\n    filled_1\n"),
        ((), "def f():\n    pass\n", "def f():\n    filled_1\n"),
        (("--marker", "@@"), "a = @@\nb = '<fill>'\n", "a = filled_1\nb = '<fill>'\n"),
        ((), "x = <fill>  # expect: 1 + 1\n", "x = 1 + 1  # expect: 1 + 1\n"),
        ((), "x = <fill>", "x = filled_1"),
    ],
)
def test_places(
    midfill: Callable[..., Any], endpoint: str, file: Path, arguments: tuple[str, ...], source: str, expected: str
) -> None:
    file.write_text(source, encoding="utf-8")
    assert midfill("fill", file, "--write", "--endpoint", endpoint, *arguments).code == 0
    assert file.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a = <fill>\r\nb = 1\r\n", b"a = filled_1\r\nb = 1\r\n"),
        (b"a = <fill>\rb = 1\r", b"a = filled_1\rb = 1\r"),
        (b"\xef\xbb\xbfa = <fill>\n", b"\xef\xbb\xbfa = filled_1\n"),
        (b"a = <fill>", b"a = filled_1"),
        ("\f# \u2028 \x85\na = <fill>\n".encode(), "\f# \u2028 \x85\na = filled_1\n".encode()),
        (b"a = <fill>  # expect: [\\n]\r\n", b"a = [\r\n]  # expect: [\\n]\r\n"),
    ],
)
def test_writing_changes_only_the_holes(
    midfill: Callable[..., Any], endpoint: str, file: Path, before: bytes, after: bytes
) -> None:
    file.write_bytes(before)
    file.chmod(0o755)
    assert midfill("fill", file, "--write", "--endpoint", endpoint).code == 0
    assert file.read_bytes() == after
    assert file.stat().st_mode & 0o7777 == 0o755
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_symbolic_link_stays_one(midfill: Callable[..., Any], endpoint: str, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(file)
    assert midfill("fill", link, "--write", "--endpoint", endpoint).code == 0
    assert link.is_symlink()
    assert file.read_text() == FILLED


def test_a_file_that_changed_meanwhile_is_not_overwritten(file: Path) -> None:
    source = read_source(file)
    file.write_text("somebody else's work\n", encoding="utf-8")
    with pytest.raises(TerminalError, match="changed while it was being filled"):
        write_source(source, FILLED)
    assert file.read_text() == "somebody else's work\n"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_more_holes_than_the_model_takes_at_once(midfill: Callable[..., Any], endpoint: str, file: Path) -> None:
    file.write_text("".join(f"x{index} = <fill>\n" for index in range(40)), encoding="utf-8")
    holes = json.loads(midfill("fill", file, "--json", "--endpoint", endpoint).out)["holes"]
    assert [hole["id"] for hole in holes] == [str(number) for number in range(1, 41)]
    assert midfill("fill", file, "--write", "--endpoint", endpoint).code == 0
    assert all(line.split("= filled_")[1].isdigit() for line in file.read_text().splitlines())


def test_a_hole_that_is_filled_with_nothing_is_told(midfill: Callable[..., Any], endpoint: str, file: Path) -> None:
    file.write_text("f(<fill>)  # expect: \n<fill>\n", encoding="utf-8")
    ran = midfill("fill", file, "--endpoint", endpoint)
    assert "+f()  # expect: " in ran.out
    assert "2 holes filled, 1 of them with nothing, in " in ran.err
    file.write_text("<fill>\n", encoding="utf-8")
    assert "1 hole filled in " in midfill("fill", file, "--endpoint", endpoint).err


def test_a_large_file_is_filled_from_an_excerpt(midfill: Callable[..., Any], endpoint: str, file: Path) -> None:
    half = "value = compute(1, 2)\n" * 120_000
    file.write_text(f"{half}x = <fill>\n{half}", encoding="utf-8")
    ran = midfill("fill", file, "--endpoint", endpoint)
    assert ran.code == 0
    assert "-x = <fill>\n+x = filled_1\n" in ran.out
    assert len(ran.out) < 1000


async def test_the_language_server_gives_the_same_fills(endpoint: str, file: Path) -> None:
    options = fill_module.FillOptions(file, fill_module.Target(), endpoint=endpoint)
    source = read_source(file)
    places = fill_module.places_of(options.target, source.text, file)
    filled = await fill_module.fill_file(source, places, options)
    async with editing(endpoint) as editor:
        editor.open(file.as_uri(), "python", source.text)
        (action,) = [one for one in await editor.code_actions(0) if one.title == "Fill all 2 holes"]
        assert await editor.edits_of(action) == [(hole.span, hole.fill) for hole in filled.holes]


def test_at_a_terminal_the_canvas_is_seen_settling(
    midfill: Callable[..., Any], endpoint: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system="standard", legacy_windows=False)
    monkeypatch.setattr(fill_module, "make_console", lambda: console)
    assert midfill("fill", file, "--endpoint", endpoint).code == 0
    shown = screen.getvalue()
    assert "?" in shown, "a draft that may still change was never shown"
    assert "\x1b[32m+def f(filled_1):" in shown
    assert file.read_text() == SOURCE


@pytest.mark.parametrize("name", ["nb.ipynb", "NB.IPYNB"])
def test_a_notebook_is_refused_and_stays_as_it_is(
    midfill: Callable[..., Any], endpoint: str, tmp_path: Path, name: str
) -> None:
    notebook = tmp_path / name
    notebook.write_text('{"cells": [{"cell_type": "code", "source": ["area = <fill>"]}]}')
    before = notebook.read_bytes()
    ran = midfill("fill", notebook, "--write", "--endpoint", endpoint)
    assert ran.code == 2
    assert "is a notebook: its code stands in JSON strings" in ran.err
    assert notebook.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "arguments", "code", "sentence"),
    [
        (b"a = 1\n", (), 2, "there is no <fill> and no empty body in this file"),
        (b"", (), 2, "there is no <fill> and no empty body"),
        (b"\0\1<fill>", (), 2, "is binary"),
        (b"a = 1\nb = '\xff' <fill>\n", (), 2, "is not UTF-8 (byte 0xff in line 2) and was left untouched"),
        (b"a = 1\n", ("--at", "9:1"), 2, "line 9 is outside the file"),
        (b"a = 1\n", ("--at", "1:7"), 2, "column 7 is outside line 1"),
        (b"a = 1\n", ("--at", "0:1"), 2, "line 0 is outside the file"),
        (b"a = 1\n", ("--at", "here"), 2, "--at must be LINE:COL"),
        (b"a = 1\n", ("--lines", "2-9"), 2, "line 9 is outside the file"),
        (b"a = 1\nb = 2\n", ("--lines", "2-1"), 2, "lines 2-1 are no range"),
        (b"a = 1\n", ("--lines", "1"), 2, "--lines must be A-B"),
        (b"a = 1\n", ("--lines", "1-1", "--at", "1:1"), 2, "exclude each other"),
        (b"a = 1\n", ("--bodies",), 2, "there is no body in this file that is only"),
        (b"a = 1\n", ("--function", "1"), 2, "there is no function around this place"),
        (b"a = 1\n", ("--function", "9"), 2, "line 9 is outside the file"),
        (b"a = 1\n", ("--function", "1", "--bodies"), 2, "--function and --bodies exclude each other"),
        (b"a = <fill>\n", ("--json", "--write"), 2, "exclude each other"),
        (b"a = <fill>\n", ("--record", "/absent/r.svg"), 2, "there is no folder /absent; make it first"),
        (b"a = <fill>\n", ("--marker", " "), 2, "the marker must be visible text"),
        (b"a = <fill>\n", ("--max-tokens", "1000"), 2, "a hole of 1000 tokens is outside what embedded fills"),
    ],
)
def test_bad_input(
    midfill: Callable[..., Any],
    refused: Callable[..., None],
    endpoint: str,
    file: Path,
    content: bytes,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    file.write_bytes(content)
    refused(midfill("fill", file, "--endpoint", endpoint, *arguments), code, sentence)
    assert file.read_bytes() == content


def test_no_file_and_no_regular_file(midfill: Callable[..., Any], refused: Callable[..., None], tmp_path: Path) -> None:
    refused(midfill("fill", tmp_path / "absent.py"), 2, "There is no file")
    refused(midfill("fill", tmp_path), 2, "is a directory")
    loop = tmp_path / "loop.py"
    loop.symlink_to(loop)
    refused(midfill("fill", loop), 1, "cannot be read")


def test_a_read_only_file_is_told_before_the_model_works(
    midfill: Callable[..., Any], refused: Callable[..., None], file: Path
) -> None:
    file.chmod(0o444)
    refused(midfill("fill", file, "--write", "--endpoint", "unix:/absent.sock"), 1, "is read-only")
    assert file.read_text() == SOURCE


def test_a_dead_socket_and_one_that_is_none(
    midfill: Callable[..., Any], refused: Callable[..., None], file: Path, tmp_path: Path
) -> None:
    refused(midfill("fill", file, "--endpoint", f"unix:{tmp_path}/no.sock"), 1, "Nobody answers at")
    refused(midfill("fill", file, "--endpoint", f"unix:{file}"), 1, "is not a socket")
    refused(midfill("fill", file, "--endpoint", "localhost:80"), 1, "http://host:port")


def test_a_foreign_program_on_the_socket(
    midfill: Callable[..., Any], refused: Callable[..., None], file: Path, private_places: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(private_places / "f.sock"))
        foreign.listen()

        def hang_up() -> None:
            while True:
                try:
                    foreign.accept()[0].close()
                except OSError:
                    return

        listener = threading.Thread(target=hang_up, daemon=True)
        listener.start()
        ran = midfill("fill", file, "--endpoint", f"unix:{private_places}/f.sock")
        foreign.shutdown(socket.SHUT_RDWR)
        listener.join(20)
    refused(ran, 1, "No usable answer came")
    assert file.read_text() == SOURCE


@pytest.mark.parametrize("arguments", [("fill",), ("fill", "x.py", "--candidates", "99"), ("nonsense",)])
def test_wrong_usage(midfill: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    ran = midfill(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "midfill" in ran.err
