"""From a request to the pieces of the layout: windows cut to the checkpoint's sizes, holes as sentinels, and the text
before each hole that is healed (`midfill.model.families.embedded.healing`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill.model.families.embedded.checkpoint import EmbeddedConfig
from midfill.model.families.embedded.healing import healed_text
from midfill.model.families.embedded.layout import ContextTokens
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.families.request_text import texts_around
from midfill.model.wire.api import InfillRequest

CUT_TOKENS = 64
"""A window that is too long is cut in units of this many tokens, so that typing seldom moves the cut."""
FOLLOWING_LINES = 3
FOLLOWING_CHARS = 240
"""Of the text behind a hole, what a fill is judged by."""


@dataclass(frozen=True, slots=True)
class RequestTokens:
    """context: for the layout; healed: of each hole, the text before it that its tokens have to begin with; texts:
    those around the holes, without what is healed; following: what stands behind the first hole, up to the next one."""

    context: ContextTokens
    healed: tuple[str, ...]
    texts: tuple[str, ...]
    following: str


def read_request(
    request: InfillRequest, config: EmbeddedConfig, tokenizer: CodeTokenizer, rewriting: Sequence[int] = ()
) -> RequestTokens:
    """rewriting: as in ContextTokens."""
    around = texts_around(request)
    healed = tuple(healed_text(text) for text in around[:-1])
    texts = (*(text[: len(text) - len(end)] for text, end in zip(around, healed, strict=False)), around[-1])
    rest, after = list[int](), list[int]()
    target = rest
    for number, text in enumerate(texts[1:], start=2):
        line, line_end, following = text.partition("\n") if target is rest else ("", "", text)
        target += tokenizer.encode(line)
        target = after if line_end else target
        target += tokenizer.encode(following)
        if number <= len(request.holes):
            target.append(tokenizer.hole_ids[number - 1])
    last_sentinel = max((i for i, token in enumerate(after) if token in tokenizer.hole_ids), default=-1)
    context = ContextTokens(
        after=after[: max(config.suffix_tokens, last_sentinel + 1)],
        before=last_lines(texts[0], config.prefix_tokens, tokenizer),
        rest=rest[: config.suffix_tokens] if len(request.holes) == 1 else rest,
        rewriting=rewriting,
    )
    return RequestTokens(context, healed, texts, _following(around[1]))


def last_lines(text: str, num_tokens: int, tokenizer: CodeTokenizer) -> list[int]:
    """The ids of the last lines of `text` that fit, cut where further typing seldom moves the cut."""
    ids = tokenizer.encode(text)
    excess = len(ids) - num_tokens
    if excess <= 0:
        return ids
    drop = -(-excess // CUT_TOKENS) * CUT_TOKENS
    _, starts = tokenizer.decode_with_offsets(ids[: drop + 1])
    line_start = text.find("\n", starts[-1]) + 1
    tail = tokenizer.encode(text[line_start or starts[-1] :])
    return tail[-num_tokens:]


def _following(text: str) -> str:
    """The rest of the line and the next lines that are not blank."""
    lines = text[: 4 * FOLLOWING_CHARS].split("\n")
    kept = [lines[0], *[line for line in lines[1:] if line.strip()][:FOLLOWING_LINES]]
    return "\n".join(kept)[:FOLLOWING_CHARS]
