"""What DiffusionGemma is told: a request as the person's turn, and how the model's own turn begins.

What typing changes comes last, so that it only extends what is cached. Text in, text out.
"""

from __future__ import annotations

from dataclasses import dataclass

from midfill.model.api import InfillRequest, TextPart

FENCE = "```"
MAX_PREFIX_CHARS = 24_000
MAX_SUFFIX_CHARS = 8_000
MAX_SNIPPET_CHARS = 16_000
_CUT_CHARS = 2_000
"""A prefix that is too long is cut in units of this, so that typing seldom moves the cut."""


@dataclass(frozen=True, slots=True)
class Document:
    """A request's text: before the first hole, behind each hole (the last one to the end), as the model may see it."""

    before: str
    behind: tuple[str, ...]
    language: str
    path: str | None
    snippets: tuple[tuple[str, str], ...]


def document_of(request: InfillRequest) -> Document:
    texts = [""]
    for part in request.parts:
        if isinstance(part, TextPart):
            texts[-1] += part.text
        else:
            texts.append("")
    before, *behind = texts
    excess = len(before) - MAX_PREFIX_CHARS
    if excess > 0:
        before = before[-(-excess // _CUT_CHARS) * _CUT_CHARS :].partition("\n")[2]
    behind[-1] = behind[-1][:MAX_SUFFIX_CHARS]
    return Document(before, tuple(behind), request.language, request.path, _fitting_snippets(request))


def clamped_prompt(document: Document) -> tuple[str, str]:
    """The person's turn, and how the model's begins: it writes the file, and the canvas is the next of it."""
    return f"{_introduction(document)}Write the {_name(document)}.", f"{FENCE}{document.language}\n"


def _introduction(document: Document) -> str:
    return "".join(f"From {path}:\n{_fenced(text, '')}\n" for path, text in document.snippets)


def _name(document: Document) -> str:
    return f"{document.language} file {document.path}" if document.path else f"{document.language} file"


def _fenced(text: str, language: str) -> str:
    return f"{FENCE}{language}\n{text}\n{FENCE}"


def _fitting_snippets(request: InfillRequest) -> tuple[tuple[str, str], ...]:
    room, fitting = MAX_SNIPPET_CHARS, []
    for snippet in request.context:
        if len(snippet.text) <= room:
            fitting.append((snippet.path, snippet.text))
            room -= len(snippet.text)
    return tuple(fitting)
