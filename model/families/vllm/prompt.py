"""What the model behind vLLM is told: a request as the person's turn, and how the model's own turn begins.

The model's turn is the file itself, up to the first hole, so that typing only extends what vLLM has cached. What stands
behind is told in the person's turn, from the next line on: a text that stays while a line is typed. Text in, text out.
"""

from __future__ import annotations

from midfill.model.families.diffusion_gemma.prompt import FENCE, Document

CLOSING = f"\n{FENCE}"
ANOTHER_VERSION = "Write another version of this part that does the same."


def fill_prompt(document: Document) -> tuple[str, str]:
    """The person's turn, and the model's up to the text before the first hole."""
    behind = "\n[...]\n".join((document.behind[0].partition("\n")[2], *document.behind[1:]))
    follows = f" After what you write it goes on with:\n{_fenced(behind, document.language)}" if behind.strip() else ""
    return f"{_others(document)}Write the {_name(document)}.{follows}", f"{FENCE}{document.language}\n"


def rewrite_prompt(document: Document, old: str, instruction: str | None) -> tuple[str, str]:
    """The person's turn, and the model's, which is the new text of the part and nothing else."""
    whole = _fenced(f"{document.before}{old}{document.behind[0]}", document.language)
    part = _fenced(old, document.language)
    user = (
        f"{_others(document)}This is the {_name(document)}:\n{whole}\nOf it, this part is to be rewritten:\n{part}\n"
        f"{instruction or ANOTHER_VERSION}\nAnswer with the new text of this part alone, in one code block."
    )
    return user, f"{FENCE}{document.language}\n"


def _others(document: Document) -> str:
    return "".join(f"From {path}:\n{_fenced(text, '')}\n" for path, text in document.snippets)


def _name(document: Document) -> str:
    return f"{document.language} file {document.path}".strip()


def _fenced(text: str, language: str) -> str:
    return f"{FENCE}{language}\n{text}\n{FENCE}"
