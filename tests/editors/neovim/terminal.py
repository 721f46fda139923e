"""A real Neovim in a terminal: a pseudo-terminal whose screen is kept, read as text and drawn as a picture."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pynvim
import pyte
from pyte.screens import Char

T = TypeVar("T")

ROWS, COLUMNS = 26, 96
PATIENCE_S = float(os.environ.get("MIDFILL_TEST_PATIENCE_S", "60"))
"""How long anything is waited for: generous, because a slow machine is no error."""

_FOREGROUND, _BACKGROUND = "e6e6e6", "14161b"
_NAMED = {
    "black": "000000",
    "red": "ffc0b9",
    "green": "b3f6c0",
    "brown": "fce094",
    "blue": "a6dbff",
    "magenta": "ffcaff",
    "cyan": "8cf8f7",
    "white": "eeeeee",
}


def wait(condition: Callable[[], T | None], what: Callable[[], str]) -> T:
    """Wait until the condition is true, and return what it gave. what: what was waited for, told at the end."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at_s:
        if value := condition():
            return value
        time.sleep(0.03)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what()}")


class Neovim:
    """One Neovim. `api` is its API as pynvim gives it; keys go in by `type`, as from a keyboard."""

    def __init__(self, program: Path, arguments: Sequence[str], environment: Mapping[str, str], socket: Path) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        # The editor and its terminal are two processes, as in `nvim --remote-ui`: an unpacked Neovim, which is started
        # through its own loader, could not start its second half by itself.
        self._editor = subprocess.Popen(
            [str(program), "--headless", "--listen", str(socket), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self.file = Path()
        """The file that is open."""
        self.api: Any = wait(lambda: _attach(socket), lambda: "Neovim's socket")
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._terminal = subprocess.Popen(
            [str(program), "--server", str(socket), "--remote-ui"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait(lambda: self.api.request("nvim_list_uis"), lambda: "the terminal")

    def open(self, file: Path, content: bytes) -> None:
        """Write a file and open it."""
        file.write_bytes(content)
        self.file = file
        self.lua("vim.cmd.edit(vim.fn.fnameescape(...))", str(file))

    def forget(self) -> None:
        """Close what a test has left open, and forget what it was told."""
        self.type("<C-Bslash><C-N>")
        self.lua("""
            vim.cmd("silent! tabonly! | silent! only! | silent! %bwipeout!")
            vim.wait(30)  -- what that sets off
            _G.told = {}""")

    def type(self, keys: str) -> None:
        """Type, in Neovim's notation: `<CR>`, `<M-l>`."""
        self.api.input(keys)

    def run(self, command: str) -> None:
        """Run an Ex command."""
        self.api.command(command)

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.api.exec_lua(code, *arguments)

    @property
    def text(self) -> str:
        """The buffer's text, its lines joined by line feeds."""
        return "\n".join(self.api.current.buffer[:])

    def screen(self) -> str:
        """What a person sees."""
        if not self.api.request("nvim_get_mode")["blocking"]:  # at a question it has drawn, and answers nothing else
            self.api.command("redraw")
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def ghost_text(self) -> str:
        """What is suggested at the cursor, whoever draws it; without the count of suggestions behind it."""
        chunks = self.lua("""
            local found = {}
            for _, name in ipairs({ "nvim.lsp.inline_completion", "midfill.ghost" }) do
              local namespace = vim.api.nvim_get_namespaces()[name]
              for _, mark in ipairs(namespace and vim.api.nvim_buf_get_extmarks(
                0, namespace, 0, -1, { details = true }) or {}) do
                found = { mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }
              end
            end
            return found""")
        return "\n".join("".join(text for text, group in line if "More" not in group) for line in chunks)

    def wait_for_ghost_text(self, expected: str) -> None:
        wait(
            lambda: self.ghost_text() == expected,
            lambda: f"the ghost text {expected!r}; there is {self.ghost_text()!r}",
        )

    def wait_for_text(self, expected: str) -> None:
        wait(lambda: self.text == expected, lambda: f"{expected!r}; the buffer has {self.text!r}")

    def wait_for_screen(self, part: str) -> None:
        wait(lambda: part in self.screen(), lambda: f"{part!r} on the screen\n{self.screen()}")

    def wait_until_gone(self, part: str) -> None:
        """Until the screen no longer shows it: what Neovim has drawn reaches its terminal a little later."""
        wait(lambda: part not in self.screen(), lambda: f"a screen without {part!r}\n{self.screen()}")

    def messages(self) -> list[str]:
        """What was told (`init.lua` collects it), less what Neovim tells of every language server that ends."""
        told = [sentence for sentence, _ in self.lua("return _G.told")]
        return [sentence for sentence in told if not sentence.startswith("Client midfill quit with")]

    def wait_for_message(self, part: str) -> str:
        found = lambda: next((one for one in self.messages() if part in one), None)  # noqa: E731
        return wait(found, lambda: f"the message {part!r}; there were {self.messages()}")

    def wait_until_attached(self) -> None:
        """Until the language server runs for the buffer and its model is loaded."""
        status = "local c = require('midfill.client').get(0); return c and require('midfill.status').of(c.id)"
        wait(lambda: (self.lua(status) or {}).get("kind") == "Normal", lambda: "the language server")
        wait(lambda: not self.lua(status)["busy"], lambda: "the model")

    def picture(self, path: Path) -> None:
        """Draw the screen."""
        time.sleep(0.3)  # what is still under way from Neovim to the terminal
        self.screen()
        with self._lock:
            draw(self._screen, path)

    def close(self) -> None:
        with contextlib.suppress(EOFError, OSError):  # Neovim closes the channel while it answers
            self.api.command("qa!")
        for process in (self._editor, self._terminal):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.api.close()
        self._reader.join(5)
        os.close(self._controller)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._controller, 65536)
            except OSError:  # the other side is gone
                return
            if not data:
                return
            with self._lock:
                self._stream.feed(data)


def _attach(socket: Path) -> Any:
    try:
        return pynvim.attach("socket", path=str(socket))
    except OSError:  # not yet there, or nobody listens yet
        return None


def draw(screen: pyte.Screen, path: Path) -> None:
    """The screen as a PNG of few colours."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    plain, bold, italic = (
        ImageFont.truetype(str(fonts / f"DejaVuSansMono{style}.ttf"), 16) for style in ("", "-Bold", "-Oblique")
    )
    width, height = round(plain.getlength("m")), 21
    image = Image.new("RGB", (COLUMNS * width + 16, ROWS * height + 16), f"#{_BACKGROUND}")
    pen = ImageDraw.Draw(image)
    for row in range(ROWS):
        for column in range(COLUMNS):
            char: Char = screen.buffer[row][column]
            ink, paper = _colour(char.fg, _FOREGROUND), _colour(char.bg, _BACKGROUND)
            is_cursor = (row, column) == (screen.cursor.y, screen.cursor.x) and not screen.cursor.hidden
            if char.reverse != is_cursor:
                ink, paper = paper, ink
            left, top = 8 + column * width, 8 + row * height
            if paper != f"#{_BACKGROUND}":
                pen.rectangle((left, top, left + width - 1, top + height - 1), fill=paper)
            if char.data.strip():
                font = bold if char.bold else italic if char.italics else plain
                pen.text((left, top + 1), char.data, font=font, fill=ink)
            if char.underscore:
                pen.line((left, top + height - 2, left + width, top + height - 2), fill=ink)
            if char.strikethrough:
                pen.line((left, top + height // 2, left + width, top + height // 2), fill=ink)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(64).save(path, optimize=True)


def _colour(name: str, default: str) -> str:
    return f"#{default if name == 'default' else _NAMED.get(name.removeprefix('bright'), name)}"
