"""Token healing: the end of the text before a hole that a tokenizer would join with what comes next.

A pretrained model saw ` include_views` as two tokens, and never ` inclu` followed by `de_views`. So the end of the text
before a hole is given back: it is not encoded as context, and the hole's own text has to begin with it (Lundberg 2023,
"token healing"). Text only; the constraint on tokens is `CodeTokenizer.beginning_with`.
"""

from __future__ import annotations

import re

MAX_HEALED_CHARS = 40
_END = re.compile(r" ?(?:[^\W\d_]+|(?:[^\s\w]|_)+)\Z|[ \t]\Z")
"""GPT-2's pre-tokens that may go on: letters or punctuation with at most one space before them; of white space inside
a line the last character, which joins the word after it. Digits stand alone, and a line break ends a pre-token."""


def healed_text(before: str) -> str:
    """The end of `before` that is given back; empty where nothing can be joined, or where it is very long."""
    match = _END.search(before[-MAX_HEALED_CHARS - 1 :])
    return match[0] if match and len(match[0]) <= MAX_HEALED_CHARS else ""
