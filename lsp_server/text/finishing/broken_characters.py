"""Whether a fill ends or was cut inside a character: a model's tokens are bytes, and half a character is U+FFFD."""

from __future__ import annotations

REPLACEMENT = "\ufffd"


def has_broken_character(fill: str, text: str) -> bool:
    """Whether `fill` has the replacement character and the `text` around it does not (a text may be about it)."""
    return REPLACEMENT in fill and REPLACEMENT not in text
