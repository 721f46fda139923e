"""The wire: what a front asks of a resident model and what comes back (`/v1/infill`, `/v1/model`, `/healthz`).

Filling one hole, several holes, rewriting from a draft and following an instruction are one request type.
All text is `str`; every offset here counts code points; every duration says `_ms`. This module imports nothing but the
standard library, so both programs can afford it. JSON is made and read by `to_json` and `from_json`; unknown keys are
ignored, so that an older program understands a newer one of the same `WIRE_VERSION`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

WIRE_VERSION = 1
SESSION_HEADER = "x-session-id"
"""Requests that share a context carry one value: a cluster keeps them on one replica (Ray Serve's header). No replica
reads it."""

MAX_HOLE_TOKENS = 1024
MAX_CANDIDATES = 16
MAX_REQUEST_CHARS = 2_000_000


class InvalidValueError(ValueError):
    """A value breaks a rule of the wire; the message names the field, the rule and the value."""


def _require(valid: bool, field: str, rule: str, value: object) -> None:
    if not valid:
        shown = repr(value)
        raise InvalidValueError(f"{field} must be {rule}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")


@dataclass(frozen=True, slots=True)
class Hole:
    """One masked span.

    draft: old text to start denoising from; strength: the share of the draft's tokens that is noised first, 0 to 1 (a
    model with the capability `instructions` begins every other candidate from nothing instead).
    single_line: the fill ends where its line does.
    """

    id: str
    max_tokens: int = 64
    draft: str | None = None
    strength: float = 1.0
    single_line: bool = False

    def __post_init__(self) -> None:
        _require(bool(self.id), "hole.id", "a non-empty string", self.id)
        _require(
            1 <= self.max_tokens <= MAX_HOLE_TOKENS, "hole.max_tokens", f"from 1 to {MAX_HOLE_TOKENS}", self.max_tokens
        )
        _require(0.0 <= self.strength <= 1.0, "hole.strength", "from 0 to 1", self.strength)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text that stays as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class HolePart:
    """A hole, at its place in document order."""

    hole: Hole


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text of another file that helps to fill: never edited, never quoted back with a position."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class InfillRequest:
    """Text with holes. `parts` are in document order; texts next to each other are one text.

    candidates: how many answers are wanted; 0 encodes the context into the cache and fills nothing (priming).
    deadline_ms: counted from when the resident has read the request; at the deadline the holes that closed come back.
    priority: `inline` requests run before `edit` requests.
    """

    parts: tuple[TextPart | HolePart, ...]
    language: str = "python"
    path: str | None = None
    instruction: str | None = None
    context: tuple[Snippet, ...] = ()
    candidates: int = 1
    deadline_ms: int | None = None
    seed: int | None = None
    stream: bool = False
    priority: Literal["inline", "edit"] = "edit"

    def __post_init__(self) -> None:
        _require(bool(self.holes), "parts", "a list with at least one hole", self.parts)
        ids = [hole.id for hole in self.holes]
        _require(len(set(ids)) == len(ids), "hole.id", "different for every hole", ids)
        _require(0 <= self.candidates <= MAX_CANDIDATES, "candidates", f"from 0 to {MAX_CANDIDATES}", self.candidates)
        _require(
            self.deadline_ms is None or self.deadline_ms > 0, "deadline_ms", "a positive number of ms", self.deadline_ms
        )
        num_chars = sum(len(part.text) for part in self.parts if isinstance(part, TextPart))
        num_chars += sum(len(snippet.text) for snippet in self.context)
        _require(
            num_chars <= MAX_REQUEST_CHARS, "parts and context", f"at most {MAX_REQUEST_CHARS} characters", num_chars
        )

    @property
    def holes(self) -> tuple[Hole, ...]:
        return tuple(part.hole for part in self.parts if isinstance(part, HolePart))


@dataclass(frozen=True, slots=True)
class ConfidenceSpan:
    """How sure the model was of `text[start:end]` of a fill; offsets in code points, confidence 0 to 1."""

    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Fill:
    """What one hole was filled with. closed: the model itself ended the hole (not a limit or a deadline)."""

    id: str
    text: str
    confidence: float
    spans: tuple[ConfidenceSpan, ...] = ()
    closed: bool = True


StopReason = Literal["closed", "length", "deadline", "primed"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: a fill for every hole (at a deadline, for the holes that closed), in request order."""

    fills: tuple[Fill, ...]
    confidence: float
    stop_reason: StopReason = "closed"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost. `cached_tokens` of `context_tokens` were not encoded again; `canvas_tokens` counts every
    position of every candidate's canvas once, and every token that was read from left to right; `fill_tokens` counts
    the tokens of code in the fills of all candidates."""

    context_tokens: int = 0
    cached_tokens: int = 0
    canvas_tokens: int = 0
    fill_tokens: int = 0
    forward_passes: int = 0
    queue_ms: float = 0.0
    encode_ms: float = 0.0
    denoise_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Infill:
    """The answer: candidates, best first (none when the request primed or nothing closed before the deadline)."""

    candidates: tuple[Candidate, ...]
    stop_reason: StopReason
    usage: Usage
    model: str


@dataclass(frozen=True, slots=True)
class DraftPiece:
    """A run of a draft; an unsettled run is the model's present guess and may still change."""

    text: str
    settled: bool


@dataclass(frozen=True, slots=True)
class HoleDraft:
    id: str
    pieces: tuple[DraftPiece, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """The state of one candidate after one denoising step (event `step` of a streamed answer)."""

    candidate: int
    step: int
    drafts: tuple[HoleDraft, ...]


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """How much text the model can use, in characters: a front sends no more; the model makes the final cut.

    joint_chars: the most text between the first and the last hole of one request, the holes not counted."""

    prefix_chars: int
    suffix_chars: int
    snippet_chars: int
    joint_chars: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the resident serves. languages: those it was trained for. capabilities: `infill`, `joint`, `draft`,
    `instructions`, ... ; verbs: the closed instructions that a model without free ones has learnt; max_canvas_tokens:
    the longest hole; device and precision say where and how it runs."""

    name: str
    family: str
    revision: str
    licence: str
    languages: tuple[str, ...]
    capabilities: tuple[str, ...]
    max_holes: int
    max_canvas_tokens: int
    context: ContextBudget
    num_parameters: int
    device: str
    precision: str
    show_threshold: float = 0.0
    verbs: tuple[str, ...] = ()
    wire_version: int = WIRE_VERSION


@dataclass(frozen=True, slots=True)
class Health:
    """`/healthz`. progress is 0 to 1 while loading; detail is a sentence for a person."""

    status: Literal["loading", "ready", "failed"]
    progress: float
    detail: str
    pid: int


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as problem details (RFC 9457). detail: one sentence that says what happened, to what, and what to do."""

    type: str
    title: str
    status: int
    detail: str


T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A wire value as plain JSON data (dicts, lists, str, int, float, bool, None)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], data: Any, where: str = "request") -> T:
    """Plain JSON data as the wire type `kind`. Raises InvalidValueError that names the place, the rule and the
    value."""
    return typing.cast(T, _structure(kind, data, where))


def _structure(kind: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        _require(isinstance(data, list), where, "a list", data)
        return tuple(_structure(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    if origin is Literal:
        _require(data in arguments, where, "one of " + ", ".join(map(str, arguments)), data)
        return data
    if origin in (typing.Union, types.UnionType):
        return _structure_union(arguments, data, where)
    if dataclasses.is_dataclass(kind):
        return _structure_dataclass(kind, data, where)
    if kind is float:
        _require(isinstance(data, (int, float)) and not isinstance(data, bool), where, "a number", data)
        return float(data)
    _require(isinstance(data, kind) and (kind is bool or not isinstance(data, bool)), where, _JSON_NAMES[kind], data)
    return data


_JSON_NAMES = {str: "a string", int: "a whole number", bool: "true or false"}


def _structure_union(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    kinds = [argument for argument in arguments if argument is not type(None)]
    if len(kinds) == 1:
        return _structure(kinds[0], data, where)
    if isinstance(data, dict):  # a tagged union: the kind is the one whose first field is there
        for kind in kinds:
            if dataclasses.fields(kind)[0].name in data:
                return _structure(kind, data, where)
    tags = " or ".join(f"{{{dataclasses.fields(kind)[0].name}: ...}}" for kind in kinds)
    raise InvalidValueError(f"{where} must be {tags}, got {str(data)[:80]!r}")


def _structure_dataclass(kind: Any, data: Any, where: str) -> Any:
    _require(isinstance(data, dict), where, "an object", data)
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _structure(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidValueError(f"{where}.{field.name} is missing; it is required")
    return kind(**values)
