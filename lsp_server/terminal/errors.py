"""The one way a terminal command fails: a sentence for a person, and an exit code."""

from __future__ import annotations

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended."""


class TerminalError(Exception):
    """The message says what happened, to what, and what to do; `exit_code` is FAILED or BAD_INPUT."""

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def bad_input(sentence: str) -> TerminalError:
    return TerminalError(sentence, BAD_INPUT)
