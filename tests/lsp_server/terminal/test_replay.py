"""`--record`: a page and a picture that show every denoising step, need nothing else, and run nothing of the file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal.canvas_runs import Run
from midfill.lsp_server.terminal.replay import Frame, Replay
from midfill.lsp_server.terminal.replay_page import page_of
from midfill.lsp_server.terminal.replay_picture import MAX_COLUMNS, MAX_LINES, picture_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'\x1b[31m\u202e"
SHOWN = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'\ufffd[31m\ufffd"
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Its elements, and what stands in each frame, with its caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.frames: list[str] = []
        self.captions: list[str | None] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self._inside.append(tag)
        if tag == "pre":
            self.frames.append("")
            self.captions.append(dict(attrs)["data-caption"])

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "pre" in self._inside:
            self.frames[-1] += data


def frames_of_picture(picture: str, num_frames: int) -> list[list[str]]:
    """The lines that are seen in each frame, without the title's and the caption's; from the classes of the texts."""
    texts = list(ElementTree.fromstring(picture).iter(f"{SVG}text"))
    last_y = max(float(text.get("y", "0")) for text in texts)
    frames = []
    for number in range(num_frames):
        lines: dict[float, list[tuple[float, str]]] = {}
        for text in texts[1:]:
            y = float(text.get("y", "0"))
            moving = re.search(r"\bf(\d+)-(\d+)", text.get("class", ""))
            if y != last_y and (moving is None or int(moving[1]) <= number < int(moving[2])):
                lines.setdefault(y, []).append((float(text.get("x", "0")), text.text or ""))
        frames.append(["".join(piece for _, piece in sorted(lines[y])) for y in sorted(lines)])
    return frames


def without_spaces(lines: Sequence[str]) -> list[str]:
    return [squeezed for line in lines if (squeezed := re.sub(r"\s", "", line))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "example.py"
    path.write_text('def f(a):\n    b = "</pre><b>"\n    return b\n', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("command", "region"), [("rewrite", ("--lines", "2-3", "--candidate", "2")), ("fill", ("--lines", "2-3"))]
)
def test_page_and_picture_show_each_step_and_then_the_diff(
    midfill: Callable[..., Any], endpoint: str, file: Path, command: str, region: tuple[str, ...]
) -> None:
    page_file, picture_file = file.with_suffix(".html"), file.with_suffix(".svg")
    for recording in (page_file, picture_file):
        ran = midfill(command, file, *region, "--diff", "--endpoint", endpoint, "--record", recording)
        assert (ran.code, "-    return b" in ran.out) == (0, True)
    page = Page(page_file.read_text(encoding="utf-8"))
    num_steps = 4
    assert len(page.frames) == num_steps + 2
    steps = "".join(f"forward pass {step}, at \\d+ ms;" for step in range(1, num_steps + 1))
    assert re.fullmatch(f"asked for, at 0 ms;{steps}.* forward passes, .*", ";".join(map(str, page.captions)))
    settled = [frame.index("?") if "?" in frame else len(frame) for frame in page.frames[1:-1]]
    assert settled == sorted(set(settled)), "more is settled with every step"
    assert page.frames[-1].strip() == ran.out.strip()
    seen = frames_of_picture(picture_file.read_text(encoding="utf-8"), len(page.frames))
    assert [without_spaces(lines) for lines in seen] == [without_spaces(frame.split("\n")) for frame in page.frames]


def test_the_canvas_that_became_the_answer_is_the_one_that_is_shown(
    midfill: Callable[..., Any], endpoint: str, file: Path
) -> None:
    recording = file.with_suffix(".html")
    midfill("rewrite", file, "--lines", "2-3", "--candidate", "3", "--endpoint", endpoint, "--record", recording)
    assert "    filled_1_3" in Page(recording.read_text(encoding="utf-8")).frames[-2]


def test_many_holes_in_several_requests_are_one_replay(midfill: Callable[..., Any], endpoint: str, file: Path) -> None:
    file.write_text("".join(f"x{index} = <fill>\n" for index in range(40)), encoding="utf-8")
    recording = file.with_suffix(".html")
    assert midfill("fill", file, "--endpoint", endpoint, "--record", recording).code == 0
    page = Page(recording.read_text(encoding="utf-8"))
    elapsed = [int(found[1]) for caption in page.captions[:-1] if (found := re.search(r"at (\d+) ms", caption or ""))]
    assert len(elapsed) == 3 * (4 + 1)
    assert elapsed == sorted(elapsed)
    assert "x39 = filled_8\n" in page.frames[-2]
    assert "+x39 = filled_8\n" in page.frames[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_replay_that_cannot_be_kept_leaves_the_file_as_it_was(
    midfill: Callable[..., Any], refused: Callable[..., None], endpoint: str, file: Path
) -> None:
    before, recording = file.read_bytes(), file.with_suffix(".svg")
    recording.symlink_to("/dev/full")
    ran = midfill("rewrite", file, "--lines", "2-3", "--write", "--endpoint", endpoint, "--record", recording)
    refused(ran, 1, "The replay cannot be written to")
    assert file.read_bytes() == before


def replay(*frames: Sequence[Run], title: str = "a command") -> Replay:
    return Replay(title, "a model", tuple(Frame(f"frame {number}", tuple(runs)) for number, runs in enumerate(frames)))


def hostile_file(midfill: Callable[..., Any], endpoint: str, folder: Path, ending: str) -> str:
    source = folder / '<b onclick="alert(3)">\udcff.py'
    source.write_text(f"# {HOSTILE}\nx = 1\n", encoding="utf-8")
    recording = folder / f"replay{ending}"
    assert midfill("rewrite", source, "--lines", "2-2", "--endpoint", endpoint, "--record", recording).code == 0
    return recording.read_text(encoding="utf-8")


def test_what_a_file_says_is_never_markup_of_the_page(
    midfill: Callable[..., Any], endpoint: str, tmp_path: Path
) -> None:
    text = hostile_file(midfill, endpoint, tmp_path, ".html")
    page = Page(text)
    plain = Page(page_of(replay([Run("x", "open")], [Run("y", "settled")])))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert all(SHOWN in frame for frame in page.frames)
    named = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in named if name.startswith("on") or name in ("src", "href", "style")}
    assert '<b onclick="alert(3)">\ufffd.py' in page.frames[-1]


def test_what_a_file_says_is_never_markup_of_the_picture(
    midfill: Callable[..., Any], endpoint: str, tmp_path: Path
) -> None:
    picture = ElementTree.fromstring(hostile_file(midfill, endpoint, tmp_path, ".svg"))
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {"svg", "title", "style", "rect", "text"}
    assert any(SHOWN.replace(" ", "") in (text.text or "").replace(" ", "") for text in picture.iter(f"{SVG}text"))


def test_the_page_says_that_only_its_own_script_runs_and_nothing_is_fetched() -> None:
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in Page(page_of(replay([], []))).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert re.fullmatch(r"default-src 'none'; script-src 'sha256-\S{44}'; style-src 'sha256-\S{44}'", policy)


@pytest.mark.parametrize("make", [page_of, picture_of])
def test_neither_names_another_place(make: Callable[[Replay], str]) -> None:
    made = make(replay([Run("x", "open")], [Run("y", "settled")])).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import|//\w", made)


def test_a_picture_stays_in_its_frame() -> None:
    """Long lines, wide characters, tabs, and more lines than a picture holds."""
    code = "\t" + "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 200 + "\n" + "x = 1\n" * 200
    made = picture_of(replay([Run(code, "code")], [Run(code, "settled")]))
    picture = ElementTree.fromstring(made)
    texts = list(picture.iter(f"{SVG}text"))
    right = [float(text.get("x", "0")) + float(text.get("textLength", "0")) for text in texts]
    assert max(right) <= float(picture.get("width", "0")) - 20
    assert max(float(text.get("y", "0")) for text in texts) <= float(picture.get("height", "0"))
    assert f"\N{VERTICAL ELLIPSIS} {201 - MAX_LINES + 1} more lines" in made
    assert float(picture.get("width", "0")) <= MAX_COLUMNS * 8.4 + 40


def test_who_cannot_see_it_move_sees_the_diff() -> None:
    made = picture_of(replay([Run("asked", "open")], [Run("step", "settled")], [Run("+diff", "added")]))
    still = [text.text for text in ElementTree.fromstring(made).iter(f"{SVG}text") if "last" in text.get("class", "")]
    assert still == ["+diff", "frame 2"]
    assert "prefers-reduced-motion" in made
