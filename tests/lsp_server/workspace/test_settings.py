"""Options as they travel become settings; a wrong value is named and its default used."""

from __future__ import annotations

from typing import Any

import pytest

from midfill.lsp_server.workspace.exclusion import excluding_glob
from midfill.lsp_server.workspace.settings import DEFAULT_EXCLUDE, DEFINITIONS, Settings, read_settings


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, Settings()),
        ({}, Settings()),
        ({"marker": "???", "maxTokens": 12}, Settings(marker="???", max_tokens=12)),
        ({"midfill": {"keepAlive": 30}}, Settings(keep_alive_s=30)),
        ({"exclude": [], "inline": False}, Settings(exclude=(), inline=False)),
        ({"endpoint": "https://gpu.example:8443"}, Settings(endpoint="https://gpu.example:8443")),
        ({"endpoint": None, "colour": "red"}, Settings()),
        ({"inlineDebounceMs": 0, "showThreshold": 0.5}, Settings(inline_debounce_ms=0, show_threshold=0.5)),
        (
            {"inlineInStrings": True, "inlineInComments": True},
            Settings(inline_in_strings=True, inline_in_comments=True),
        ),
        ({"completionItems": True, "stats": False}, Settings(completion_items=True, stats=False)),
        (
            {"respectGitignore": False, "disabledLanguages": ["go"]},
            Settings(respect_gitignore=False, disabled_languages=("go",)),
        ),
    ],
)
def test_good_options(data: Any, expected: Settings) -> None:
    assert read_settings(data) == (expected, ())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "the settings must be an object"),
        ({"marker": " "}, "midfill.marker must be visible text on one line, got ' '"),
        ({"marker": "a\nb"}, "midfill.marker"),
        ({"exclude": "*.py"}, "midfill.exclude must be a list of globs"),
        ({"exclude": [1]}, "midfill.exclude"),
        ({"inline": "no"}, "midfill.inline must be true or false"),
        ({"endpoint": "gpu:80"}, "midfill.endpoint must be unix:/path.sock, http"),
        ({"model": ""}, "midfill.model"),
        ({"keepAlive": 0}, "midfill.keepAlive must be a number of seconds from 1, got 0"),
        ({"keepAlive": True}, "midfill.keepAlive"),
        ({"maxTokens": 1.5}, "midfill.maxTokens must be a whole number"),
        ({"maxTokens": 10**9}, "midfill.maxTokens"),
        ({"inlineDebounceMs": -1}, "midfill.inlineDebounceMs must be a number of milliseconds from 0 to 10000, got -1"),
        ({"showThreshold": 1.5}, "midfill.showThreshold must be a number from 0 to 1"),
        ({"disabledLanguages": "go"}, "midfill.disabledLanguages must be a list of language identifiers"),
        ({"stats": 1}, "midfill.stats must be true or false"),
    ],
)
def test_bad_options_are_named_and_the_rest_is_kept(data: Any, complaint: str) -> None:
    if isinstance(data, dict):
        data = {"marker": "!!!", **data}
    settings, complaints = read_settings(data)
    assert len(complaints) == 1
    assert complaint in complaints[0]
    expected = "!!!" if isinstance(data, dict) and data["marker"] == "!!!" else "<fill>"
    assert settings == Settings(marker=expected)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/home/me/project/a.py", None),
        ("/home/me/project/.env", ".env*"),
        ("/home/me/project/deep/.ENV.local", ".env*"),
        ("/home/me/project/certs/tls.KEY", "*.key"),
        ("/home/me/project/my_secrets/a.py", "*secret*"),
        ("/home/me/id_rsa", "id_rsa*"),
        ("/home/secretary/notes.py", None),  # outside the project only the file's own name counts
    ],
)
def test_excluded_by_default(path: str, pattern: str | None) -> None:
    assert excluding_glob(path, ("/home/me/project",), DEFAULT_EXCLUDE) == pattern


def test_globs_read_as_in_gitignore() -> None:
    globs = ("/build/", "*.gen.go", "!keep.gen.go")
    paths = ("build/a.py", "x/build/a.py", "a.gen.go", "keep.gen.go")
    found = [excluding_glob(f"/p/{path}", ("/p",), globs) for path in paths]
    assert found == ["/build/", None, "*.gen.go", None]


def test_a_path_counts_from_the_innermost_of_several_folders() -> None:
    assert excluding_glob("/p/inner/build/a.py", ("/p", "/p/inner"), ("/build/",)) == "/build/"
    assert excluding_glob("/p/build/a.py", ("/p/inner", "/p"), ("/build/",)) == "/build/"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_every_default_obeys_its_own_rule(definition: Any) -> None:
    assert definition.default is None or definition.rule.is_valid(definition.default)
    assert (definition.default is None) == bool(definition.default_sentence)  # what it means to set nothing is said
