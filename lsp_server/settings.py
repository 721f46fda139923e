"""What an editor may set (`ClientOptions`: the wire, all optional) and what the server works with (`Settings`).

Options arrive as `initializationOptions`, `workspace/didChangeConfiguration` and answers to `workspace/configuration`,
always under the section `midfill`. A bad value is named once and its default is used; unknown keys are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any

SECTION = "midfill"
DEFAULT_EXCLUDE = (".env*", "*.pem", "*.key", "id_rsa*", "*secret*")


@dataclass(frozen=True)
class ClientOptions:
    """The options as they travel; None means not set.

    marker: the text that stands for a hole. exclude: globs (as in .gitignore) of files that are never sent.
    inline: whether ghost text appears unasked. endpoint: where the model is, instead of this machine's own.
    model: which model the resident serves. keepAlive: idle seconds after which it exits. maxTokens: a hole's limit.
    """

    marker: str | None = None
    exclude: list[str] | None = None
    inline: bool | None = None
    endpoint: str | None = None
    model: str | None = None
    keepAlive: float | None = None  # noqa: N815 - the wire's name
    maxTokens: int | None = None  # noqa: N815 - the wire's name


@dataclass(frozen=True)
class Settings:
    """The resolved settings; the defaults are the documentation."""

    marker: str = "<fill>"
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    inline: bool = True
    endpoint: str | None = None
    model: str = "embedded"
    keep_alive_s: float = 900.0
    max_tokens: int | None = None

    def excluding_pattern(self, path: str, roots: tuple[str, ...]) -> str | None:
        """The glob that keeps a file from being sent, None if it may be. Case does not matter.

        The path counts from the workspace folder that holds it; outside of all of them, its last part does."""
        from pathspec import GitIgnoreSpec

        match = GitIgnoreSpec.from_lines(glob.lower() for glob in self.exclude).check_file(_shown(path, roots))
        return self.exclude[match.index] if match.include and match.index is not None else None


def read_options(data: object) -> tuple[ClientOptions, tuple[str, ...]]:
    """Options out of JSON data, and one complaint per value that breaks its rule (the value is then not set)."""
    if isinstance(data, dict) and isinstance(data.get(SECTION), dict):
        data = data[SECTION]
    if data is None:
        return ClientOptions(), ()
    if not isinstance(data, dict):
        return ClientOptions(), (f"the settings must be an object, got {_shortened(data)}",)
    good: dict[str, Any] = {}
    complaints: list[str] = []
    for name in (field.name for field in fields(ClientOptions)):
        value = data.get(name)
        is_valid, rule = _RULES[name]
        if value is not None and is_valid(value):
            good[name] = value
        elif value is not None:
            complaints.append(f"{SECTION}.{name} must be {rule}, got {_shortened(value)}")
    return ClientOptions(**good), tuple(complaints)


def resolve(options: ClientOptions) -> Settings:
    """The settings: what is set, and the defaults for the rest."""
    renamed = {"keepAlive": "keep_alive_s", "maxTokens": "max_tokens"}
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    given = {renamed.get(name, name): value for name, value in values.items() if value is not None}
    if "exclude" in given:
        given["exclude"] = tuple(given["exclude"])
    return replace(Settings(), **given)


def _is_marker(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value and "\r" not in value


def _is_glob_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(glob, str) and _is_glob(glob) for glob in value)


def _is_glob(glob: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([glob])
    except ValueError:
        return False
    return True


def _is_endpoint(value: object) -> bool:
    return isinstance(value, str) and re.match(r"unix:/.|https?://[^/]", value) is not None


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "marker": (_is_marker, "visible text on one line"),
    "exclude": (_is_glob_list, "a list of globs as in .gitignore"),
    "inline": (lambda value: isinstance(value, bool), "true or false"),
    "endpoint": (_is_endpoint, "unix:/path.sock, http://host:port or https://host:port"),
    "model": (lambda value: isinstance(value, str) and bool(value.strip()), "a model's name"),
    "keepAlive": (lambda value: _is_number(value, 1, 10**7), "a number of seconds from 1"),
    "maxTokens": (lambda value: isinstance(value, int) and _is_number(value, 1, 1024), "a whole number from 1 to 1024"),
}


def _shown(path: str, roots: tuple[str, ...]) -> str:
    for root in roots:
        if PurePath(path).is_relative_to(root):
            return PurePath(path).relative_to(root).as_posix().lower()
    return PurePath(path).name.lower()


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
