"""A replay as one page that needs nothing else: no network, no other file. What the frames say is never markup."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from html import escape
from string import Template

from midfill.lsp_server.terminal.canvas_runs import Run
from midfill.lsp_server.terminal.replay import Frame, Replay


def page_of(replay: Replay) -> str:
    page = (importlib.resources.files(__package__) / "replay.html").read_text(encoding="utf-8")
    script, style = (_hash_of(page, element) for element in ("script", "style"))
    frames = "\n".join(_frame(frame, number == len(replay.frames)) for number, frame in enumerate(replay.frames, 1))
    return Template(page).substitute(
        policy=f"default-src 'none'; script-src '{script}'; style-src '{style}'",
        title=escape(replay.title),
        model=escape(replay.model),
        frames=frames,
        last=len(replay.frames) - 1,
        caption=escape(replay.frames[-1].caption),
    )


def _frame(frame: Frame, is_shown: bool) -> str:
    """Without scripts the last frame alone is shown: the diff."""
    hidden = "" if is_shown else " hidden"
    runs = "".join(map(_run, frame.runs))
    return f'<pre data-caption="{escape(frame.caption)}"{hidden}>\n{runs}</pre>'


def _run(run: Run) -> str:
    text = escape(run.text, quote=False)
    return text if run.kind == "code" else f'<span class="{run.kind}">{text}</span>'


def _hash_of(page: str, element: str) -> str:
    """As the policy names it: only what stands in the template runs."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
