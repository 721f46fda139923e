"""Options as they travel become settings; a wrong value is named and its default used."""

from __future__ import annotations

from typing import Any

import pytest

from midfill.lsp_server.settings import Settings, read_options, resolve


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
    ],
)
def test_good_options(data: Any, expected: Settings) -> None:
    options, complaints = read_options(data)
    assert complaints == ()
    assert resolve(options) == expected


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
    ],
)
def test_bad_options_are_named_and_the_rest_is_kept(data: Any, complaint: str) -> None:
    if isinstance(data, dict):
        data = {"marker": "!!!", **data}
    options, complaints = read_options(data)
    assert len(complaints) == 1
    assert complaint in complaints[0]
    expected = "!!!" if isinstance(data, dict) and data["marker"] == "!!!" else "<fill>"
    assert resolve(options) == Settings(marker=expected)


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
    assert Settings().excluding_pattern(path, ("/home/me/project",)) == pattern


def test_globs_read_as_in_gitignore() -> None:
    settings = Settings(exclude=("/build/", "*.gen.go", "!keep.gen.go"))
    found = {
        path: settings.excluding_pattern(f"/p/{path}", ("/p",)) for path in ("build/a.py", "x/build/a.py", "a.gen.go")
    }
    assert found == {"build/a.py": "/build/", "x/build/a.py": None, "a.gen.go": "*.gen.go"}
    assert settings.excluding_pattern("/p/keep.gen.go", ("/p",)) is None
