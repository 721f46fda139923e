"""What DiffusionGemma is told: a request as the person's turn, and how the model's own turn begins.

There are two ways to be filled. Clamped, the model writes the file and the canvas is the next of it: what typing
changes comes last, so that it only extends what is cached. In chat, the file has a mark at each hole and the model
answers with what belongs there, one code block a hole. Text in, text out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from midfill.model.families.request_text import short_path, texts_around
from midfill.model.wire.api import Hole, InfillRequest

FENCE = "```"
MAX_PREFIX_CHARS = 24_000
MAX_SUFFIX_CHARS = 8_000
MAX_SNIPPET_CHARS = 16_000
_CUT_CHARS = 2_000
"""A prefix that is too long is cut in units of this, so that typing seldom moves the cut."""


@dataclass(frozen=True, slots=True)
class Document:
    """A request's text: before the first hole, behind each hole (the last one to the end), as the model may see it.

    path: short, or empty; snippets: (short path, text)."""

    before: str
    behind: tuple[str, ...]
    language: str
    path: str
    snippets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer in chat is written: each fill behind `opening` and before `closing`, one after the other; the
    model's turn begins with the first opening."""

    opening: str
    closing: str

    def written(self, fills: list[str]) -> str:
        """The rest of the model's turn, behind its first opening."""
        return f"{self.closing}\n{self.opening}".join(fills) + self.closing

    def read(self, text: str) -> list[tuple[int, int, bool]]:
        """Of the turn so far, behind its first opening, each fill as (start, end, whether it is closed)."""
        spans, start = list[tuple[int, int, bool]](), 0
        while True:
            end = text.find(self.closing, start)
            if end < 0:
                return [*spans, (start, len(text), False)]
            spans.append((start, end, True))
            following = text.find(self.opening, end + len(self.closing))
            if following < 0:
                return spans
            start = following + len(self.opening)


def document_of(request: InfillRequest) -> Document:
    before, *behind = texts_around(request)
    excess = len(before) - MAX_PREFIX_CHARS
    if excess > 0:
        before = before[-(-excess // _CUT_CHARS) * _CUT_CHARS :].partition("\n")[2]
    behind[-1] = behind[-1][:MAX_SUFFIX_CHARS]
    return Document(before, tuple(behind), request.language, short_path(request.path or ""), _fitting_snippets(request))


def clamped_prompt(document: Document) -> tuple[str, str]:
    """The person's turn, and how the model's begins."""
    return f"{_introduction(document)}Write the {_name(document)}.", f"{FENCE}{document.language}\n"


def chat_prompt(document: Document, holes: tuple[Hole, ...], instruction: str | None) -> tuple[str, Answer]:
    """The person's turn, and how it is to be answered. What is wanted comes last."""
    texts = (document.before, *document.behind, *(hole.draft or "" for hole in holes), instruction or "")
    fence = _fence_for(texts)
    marks = _marks_for(texts, len(holes))
    marked = document.before + "".join(mark + text for mark, text in zip(marks, document.behind, strict=True))
    told = f"{_introduction(document)}The {_name(document)}:\n{_fenced(marked, document.language, fence)}\n"
    for mark, hole in zip(marks, holes, strict=True):
        if hole.draft:
            told += f"At {mark} stood:\n{_fenced(hole.draft, document.language, fence)}\n"
    answer = Answer(f"{fence}{document.language}\n", f"\n{fence}")
    return told + _wanted(marks, any(hole.draft for hole in holes), instruction), answer


def _wanted(marks: list[str], is_rewriting: bool, instruction: str | None) -> str:
    places = " and ".join(", ".join(marks).rsplit(", ", 1))
    version = ", in another version" if is_rewriting and not instruction else ""
    sentences = [f"Write only the code that belongs at {places}{version}."]
    if len(marks) > 1:
        sentences.append("Answer with one code block for each, in this order.")
    if instruction:
        sentences.append(f"Do this: {instruction}")
    return " ".join(sentences)


def _fence_for(texts: tuple[str, ...]) -> str:
    """Longer than any run of backticks in what it is to surround."""
    longest = max((len(run) for text in texts for run in re.findall("`+", text)), default=0)
    return "`" * max(len(FENCE), longest + 1)


def _marks_for(texts: tuple[str, ...], num_holes: int) -> list[str]:
    """<hole_1>, <hole_2> and so on, under a name that stands nowhere else."""
    name = "hole"
    while any(f"<{name}_" in text for text in texts):
        name += "_"
    return [f"<{name}_{number}>" for number in range(1, num_holes + 1)]


def _introduction(document: Document) -> str:
    return "".join(f"From {path}:\n{_fenced(text, '', _fence_for((text,)))}\n" for path, text in document.snippets)


def _name(document: Document) -> str:
    return f"{document.language} file {document.path}".strip()


def _fenced(text: str, language: str, fence: str) -> str:
    return f"{fence}{language}\n{text}\n{fence}"


def _fitting_snippets(request: InfillRequest) -> tuple[tuple[str, str], ...]:
    room, fitting = MAX_SNIPPET_CHARS, []
    for snippet in request.context:
        if len(snippet.text) <= room:
            fitting.append((short_path(snippet.path), snippet.text))
            room -= len(snippet.text)
    return tuple(fitting)
