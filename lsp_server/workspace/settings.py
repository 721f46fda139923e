"""What a person may set, defined once: `Settings`. The README's table, the JSON schema and VS Code's section are made
from the same definitions (`settings_table.py`).

Settings arrive as `initializationOptions`, `workspace/didChangeConfiguration` and answers to `workspace/configuration`,
always under the section `midfill`. A bad value is named once and its default is used; unknown keys are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

SECTION = "midfill"
DEFAULT_EXCLUDE = (".env*", "*.pem", "*.key", "id_rsa*", "*secret*")

Scope = Literal["window", "resource", "machine"]


@dataclass(frozen=True)
class Rule:
    """What a value must be: the check that decides, the same as a sentence and as JSON schema."""

    is_valid: Callable[[Any], bool]
    sentence: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class SettingDefinition:
    """One setting as people and editors see it. name: on the wire, without the section. default: as JSON, None where
    not being set has a meaning of its own, which default_sentence then says. scope: as VS Code means it."""

    name: str
    field_name: str
    rule: Rule
    default: Any
    default_sentence: str
    description: str
    scope: Scope


def _setting(
    default: Any, rule: Rule, description: str, *, unset: str = "", scope: Scope = "window", name: str = ""
) -> Any:
    metadata = {"rule": rule, "description": description, "unset": unset, "scope": scope, "name": name}
    return field(default=default, metadata=metadata)


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float, sentence: str, kind: Literal["number", "integer"] = "number") -> Rule:
    def is_valid(value: object) -> bool:
        return _is_number(value, low, high) and (kind == "number" or isinstance(value, int))

    return Rule(is_valid, sentence, {"type": kind, "minimum": low, "maximum": high})


def _is_marker(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value and "\r" not in value


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and bool(name.strip()) for name in value)


def _is_glob_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(glob, str) and is_glob(glob) for glob in value)


def is_glob(text: str) -> bool:
    """Whether a line reads as a glob of a .gitignore."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([text])
    except ValueError:
        return False
    return True


_ENDPOINT = r"^(unix:/.|https?://[^/])"
_STRINGS = {"type": "array", "items": {"type": "string"}}
BOOLEAN = Rule(lambda value: isinstance(value, bool), "true or false", {"type": "boolean"})
MARKER = Rule(_is_marker, "visible text on one line", {"type": "string", "pattern": r"^[^\r\n]*\S[^\r\n]*$"})
GLOBS = Rule(_is_glob_list, "a list of globs as in .gitignore", _STRINGS)
LANGUAGES = Rule(_is_list_of_names, "a list of language identifiers such as python", _STRINGS)
ENDPOINT = Rule(
    lambda value: isinstance(value, str) and re.match(_ENDPOINT, value) is not None,
    "unix:/path.sock, http://host:port or https://host:port",
    {"type": "string", "pattern": _ENDPOINT},
)
NAME = Rule(
    lambda value: isinstance(value, str) and bool(value.strip()),
    "a model's name",
    {"type": "string", "pattern": r"\S"},
)


@dataclass(frozen=True)
class Settings:
    """The settings as the server works with them; the defaults are the documentation."""

    marker: str = _setting("<fill>", MARKER, "The text that stands for a hole.")
    exclude: tuple[str, ...] = _setting(
        DEFAULT_EXCLUDE, GLOBS, "Globs, as in .gitignore, of files that are never sent to a model.", scope="resource"
    )
    respect_gitignore: bool = _setting(
        True, BOOLEAN, "Whether files that git ignores are never sent to a model either.", scope="resource"
    )
    disabled_languages: tuple[str, ...] = _setting(
        (), LANGUAGES, "Languages, by the editor's identifier, of which nothing is sent or filled.", scope="resource"
    )
    repair: bool = _setting(True, BOOLEAN, "Whether quick fixes are looked for where the editor shows a problem.")
    uncertain_hints: bool = _setting(
        False, BOOLEAN, "Whether what the model was least sure of in a fill you took is marked with a hint."
    )
    inline: bool = _setting(True, BOOLEAN, "Whether ghost text appears unasked.")
    inline_debounce_ms: float | None = _setting(
        None,
        _number(0, 10_000, "a number of milliseconds from 0 to 10000"),
        "Milliseconds without a key before ghost text is asked for.",
        unset="75, or 0 for editors that wait themselves",
    )
    inline_in_strings: bool = _setting(False, BOOLEAN, "Whether ghost text appears unasked in strings.")
    inline_in_comments: bool = _setting(False, BOOLEAN, "Whether ghost text appears unasked in comments.")
    show_threshold: float | None = _setting(
        None,
        _number(0, 1, "a number from 0 to 1"),
        "The least confidence, from 0 to 1, with which ghost text is shown unasked.",
        unset="the model's own",
    )
    completion_items: bool = _setting(
        False, BOOLEAN, "Whether fills are also offered in the completion list, for editors without ghost text."
    )
    max_tokens: int | None = _setting(
        None,
        _number(1, 1024, "a whole number from 1 to 1024", "integer"),
        "The longest a fill may get, in tokens.",
        unset="by the syntax",
    )
    stats: bool = _setting(True, BOOLEAN, "Whether suggestions are counted on this machine; numbers only, never sent.")
    model: str = _setting(
        "embedded",
        NAME,
        "Which model the resident serves: `embedded`, a checkpoint's folder, a hub's `owner/model`, or `vllm:URL`.",
        scope="machine",
    )
    endpoint: str | None = _setting(
        None,
        ENDPOINT,
        "A resident elsewhere: `unix:/path.sock`, `http://host:port`, `https://…`.",
        unset="this machine's own",
        scope="machine",
    )
    keep_alive_s: float = _setting(
        900.0,
        _number(1, 10**7, "a number of seconds from 1"),
        "Seconds without a request after which the resident leaves.",
        scope="machine",
        name="keepAlive",
    )


def _definition(name: str, default: Any, metadata: Mapping[str, Any]) -> SettingDefinition:
    return SettingDefinition(
        name=metadata["name"] or re.sub("_(.)", lambda match: match[1].upper(), name),
        field_name=name,
        rule=metadata["rule"],
        default=list(default) if isinstance(default, tuple) else default,
        default_sentence=metadata["unset"],
        description=metadata["description"],
        scope=metadata["scope"],
    )


DEFINITIONS = tuple(_definition(one.name, one.default, one.metadata) for one in fields(Settings))


def read_settings(data: object) -> tuple[Settings, tuple[str, ...]]:
    """Settings out of JSON data, and one complaint per value that breaks its rule (its default is then used)."""
    if isinstance(data, dict) and isinstance(data.get(SECTION), dict):
        data = data[SECTION]
    if data is None:
        return Settings(), ()
    if not isinstance(data, dict):
        return Settings(), (f"the settings must be an object, got {_shortened(data)}",)
    given: dict[str, Any] = {}
    complaints: list[str] = []
    for one in DEFINITIONS:
        value = data.get(one.name)
        if value is not None and one.rule.is_valid(value):
            given[one.field_name] = tuple(value) if isinstance(value, list) else value
        elif value is not None:
            complaints.append(f"{SECTION}.{one.name} must be {one.rule.sentence}, got {_shortened(value)}")
    return Settings(**given), tuple(complaints)


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
