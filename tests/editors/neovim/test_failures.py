"""What goes wrong around the plugin: a sentence with the way out, and never a half-edited buffer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from terminal import wait


def with_pid(command: list[str], file: Path) -> list[str]:
    """The command, which leaves its process id in a file."""
    return ["sh", "-c", f'echo $$ >"{file}"; exec "$@"', "sh", *command]


def test_no_server(neovim: Callable[..., Any]) -> None:
    editor = neovim("x = <fill>\n", options={"cmd": ["midfill-that-is-not-there", "lsp"]}, attach=False)
    editor.wait_for_message("there is no program `midfill-that-is-not-there`")
    editor.run("Midfill fill")
    assert len(editor.messages()) == 2
    editor.run("edit! other.py")
    assert len(editor.messages()) == 2  # opening another file does not tell it again


def test_a_server_that_cannot_run_is_not_tried_for_ever(neovim: Callable[..., Any]) -> None:
    editor = neovim("x = 1\n", options={"cmd": ["false"], "restarts": 1}, attach=False)
    editor.wait_for_message("ended (code 1) and is started again")
    editor.wait_for_message("is left alone now")
    time.sleep(1.5)
    assert len(editor.messages()) == 2


def test_a_server_that_is_left_alone_is_not_started_by_the_next_file(neovim: Callable[..., Any]) -> None:
    editor = neovim("x = 1\n", options={"cmd": ["false"], "restarts": 0}, attach=False)
    editor.wait_for_message("is left alone now")
    editor.run("edit other.py")
    time.sleep(1)
    assert len(editor.messages()) == 1
    editor.run("Midfill restart")
    wait(lambda: len(editor.messages()) > 1, lambda: f"a new start; there were {editor.messages()}")


def test_a_program_whose_python_is_gone(neovim: Callable[..., Any], places: Path) -> None:
    program = places / "midfill"
    program.write_text("#!/python/that/is/gone\n")
    program.chmod(0o755)
    editor = neovim("x = 1\n", options={"cmd": [str(program), "lsp"]}, attach=False)
    editor.wait_for_message("cannot be run, so nothing can be filled; :checkhealth midfill")
    editor.run("edit other.py")
    assert len(editor.messages()) == 1
    editor.run("checkhealth midfill")
    wait(lambda: "may be gone: install midfill anew" in editor.text, lambda: editor.text)
    assert "Failed to run healthcheck" not in editor.text


def test_a_restart_is_no_death(neovim: Callable[..., Any]) -> None:
    editor = neovim("a = <fill>\n", own=True)
    before = editor.lua("return require('midfill.client').get(0).id")
    editor.run("Midfill restart")
    wait(
        lambda: editor.lua("local c = require('midfill.client').get(0); return c and c.id") not in (None, before),
        lambda: "another server",
    )
    editor.wait_until_attached()
    assert editor.messages() == []
    editor.run("Midfill fill")
    editor.wait_for_text("a = filled_1")


def test_a_server_that_dies_is_started_again(neovim: Callable[..., Any], places: Path, server: list[str]) -> None:
    file = places / "server.pid"
    editor = neovim("a = <fill>\n", options={"cmd": with_pid(server, file)})
    os.kill(int(file.read_text()), signal.SIGKILL)
    editor.wait_for_message("the language server ended (signal 9) and is started again")
    editor.wait_until_attached()
    editor.run("Midfill fill")
    editor.wait_for_text("a = filled_1")


def test_a_review_outlives_the_server(neovim: Callable[..., Any], places: Path, server: list[str]) -> None:
    file = places / "server.pid"
    editor = neovim("a = <fill>\n", options={"cmd": with_pid(server, file)})
    editor.run("Midfill holes")
    editor.wait_for_screen("<CR> accept")
    os.kill(int(file.read_text()), signal.SIGKILL)
    editor.wait_for_message("the language server ended")
    editor.type("<CR>")
    editor.wait_for_text("a = filled_1")


def test_a_resident_that_dies_is_told_once(neovim: Callable[..., Any], resident_pid: Callable[[], int]) -> None:
    editor = neovim("a = \n", resident=())
    os.kill(resident_pid(), signal.SIGKILL)
    editor.wait_until_attached()
    editor.type("A")
    wait(lambda: editor.messages(), lambda: "a notice")
    editor.wait_until_attached()  # until the model is back
    editor.type("b + ")
    editor.wait_for_ghost_text("filled_1")
    assert len(editor.messages()) == 1


def test_setup_may_be_called_again(neovim: Callable[..., Any]) -> None:
    editor = neovim("a = <fill>\nb = <fill>\n", own=True)
    editor.lua("require('midfill').setup({ cmd = ..., keys = { fill = '<M-g>' } })", editor.lua(CMD))
    editor.wait_until_attached()
    editor.type("<M-g>")
    editor.wait_for_text("a = filled_1\nb = <fill>")


CMD = "return require('midfill.config').options.cmd"


def test_options_that_are_wrong(neovim: Callable[..., Any]) -> None:
    editor = neovim("", options={"filetype": "python"}, attach=False)
    assert "there is no option filetype" in editor.wait_for_message("setup() was not done")
    for options, complaint in [
        ({"cmd": "midfill lsp"}, 'cmd must be a table, not "midfill lsp"'),
        ({"filetypes": [1]}, "filetypes must be a list of strings"),
        ({"cmd": []}, "cmd must not be empty"),
        ({"keys": {"accepted": "x"}}, "there is no option keys.accepted"),
        ({"restarts": "many"}, 'restarts must be a number, not "many"'),
    ]:
        editor.lua("require('midfill').setup(...)", options)
        assert complaint in editor.messages()[-1]


def test_commands_that_are_wrong(neovim: Callable[..., Any]) -> None:
    editor = neovim("", attach=False)
    for command, sentence in [
        ("fil", ":Midfill fil is unknown"),
        ("pause everything", ":Midfill pause everything is unknown"),
        ("accept", "there is nothing to accept here"),
        ("reject", "there is nothing to reject here"),
    ]:
        editor.run(f"Midfill {command}")
        assert sentence in editor.messages()[-1]
    editor.run("enew")
    editor.run("Midfill fill")
    assert "this buffer has no filetype" in editor.messages()[-1]
