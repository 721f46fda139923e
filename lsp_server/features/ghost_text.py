"""What of an answer is shown as ghost text that nobody asked for: one decision for the server and for the measures."""

from __future__ import annotations

from collections.abc import Sequence

from midfill.lsp_server.text.filling import FilledCandidate


def shown(candidates: Sequence[FilledCandidate], threshold: float) -> tuple[FilledCandidate, ...]:
    """The candidates that are shown, best first; none unless the best of them is as sure as `threshold`, 0 to 1.

    candidates: one hole each, best first, as `filling.choose` ranks them. With the best come the others, to cycle to.
    """
    fit = tuple(one for one in candidates if _is_fit(one))
    return fit if fit and fit[0].confidence >= threshold else ()


def _is_fit(candidate: FilledCandidate) -> bool:
    """Whether it may be shown without being asked for, however sure the model is."""
    says_something = any(hole.fill.strip() for hole in candidate.fills)
    is_wrong = candidate.parses is False or candidate.repeats or candidate.makes_unknown_word
    return says_something and not is_wrong
