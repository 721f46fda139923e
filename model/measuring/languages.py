"""The languages that the model is trained on: which files are theirs, and the parser for each. Knows text only."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

import tree_sitter


@dataclass(frozen=True, slots=True)
class Language:
    """A grammar: its name, the suffixes of its files, the module and function that hold the tree-sitter grammar, and
    the language that people call it (`tsx` is TypeScript)."""

    name: str
    suffixes: tuple[str, ...]
    grammar: tuple[str, str]
    family: str


LANGUAGES = {
    language.name: language
    for language in (
        Language("python", (".py",), ("tree_sitter_python", "language"), "python"),
        Language("javascript", (".js", ".mjs", ".cjs", ".jsx"), ("tree_sitter_javascript", "language"), "javascript"),
        Language(
            "typescript", (".ts", ".mts", ".cts"), ("tree_sitter_typescript", "language_typescript"), "typescript"
        ),
        Language("tsx", (".tsx",), ("tree_sitter_typescript", "language_tsx"), "typescript"),
    )
}
FAMILIES = tuple(dict.fromkeys(language.family for language in LANGUAGES.values()))
"""What people call the languages, in the order in which a shard numbers them."""

_BY_SUFFIX = {suffix: language for language in LANGUAGES.values() for suffix in language.suffixes}


def language_of(path: str) -> Language | None:
    """The language of a source file, from its name; None for other files and for declarations (`.d.ts`)."""
    name = PurePosixPath(path).name.lower()
    if name.endswith((".d.ts", ".d.mts", ".d.cts")):
        return None
    return _BY_SUFFIX.get(PurePosixPath(name).suffix)


def parse(text: str, language: str) -> tree_sitter.Tree:
    """The syntax tree of `text`. Its offsets are bytes of UTF-8. Raises KeyError for a language that is not listed."""
    return _parser(language).parse(text.encode())


@cache
def _parser(language: str) -> tree_sitter.Parser:
    module, function = LANGUAGES[language].grammar
    return tree_sitter.Parser(tree_sitter.Language(getattr(importlib.import_module(module), function)()))
