"""From fills to figures: the score of one fill, and the rows and table over many tasks.

A result is one task's JSON: "kind", "language", "num_truth_tokens" and "methods", a score for each method's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any

from midfill.model.measuring.baselines import same
from midfill.model.measuring.intervals import bootstrap, paired
from midfill.model.measuring.languages import FAMILIES
from midfill.model.measuring.methods import Answer
from midfill.model.measuring.records import JSON


def score_of(given: Answer, truth: str, num_tokens: Callable[[str], int]) -> dict[str, JSON]:
    """The answer to a request with one hole, and how near it comes to what stood there.

    similarity: 0 to 1, of the characters (`difflib`); length_error: tokenizer tokens that there are too many or too
    few, so at least 0."""
    return {
        "fill": given.text,
        "exact": same(given.text, truth),
        "similarity": SequenceMatcher(None, given.text.strip(), truth.strip(), autojunk=False).ratio(),
        "length_error": abs(num_tokens(given.text) - num_tokens(truth)),
        "confidence": given.confidence,
        "forwards": given.forwards,
        "tokens": given.tokens,
        "milliseconds": given.milliseconds,
    }


def by_language(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The results in each language; empty where all are in one."""
    found = {family: [result for result in results if result["language"] == family] for family in FAMILIES}
    found = {family: part for family, part in found.items() if part}
    return found if len(found) > 1 else {}


def rows_of(
    results: Sequence[Mapping[str, Any]], kinds: Mapping[str, Sequence[str]], against: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """One row for each name of `kinds` (which pools the kinds under it) and each method that was run there.

    against: for a method those that it is compared with; the row has `minus`, the 95 % interval of the difference in
    exact match, by the other's name."""
    for name, members in kinds.items():
        group = [result for result in results if result["kind"] in members]
        for method in dict.fromkeys(method for result in group for method in result["methods"]):
            answered = [result for result in group if method in result["methods"]]
            row = {"kind": name, "method": method, **_figures(answered, method)}
            row["minus"] = {
                other: _difference(answered, method, other)
                for other in against.get(method, ())
                if all(other in result["methods"] for result in answered)
            }
            yield row


def _figures(results: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    scores = [result["methods"][method] for result in results]
    weights = [max(1, result["num_truth_tokens"]) for result in results]
    exact = [score["exact"] for score in scores]
    forwards = sum(score["forwards"] for score in scores)
    similarity = sum(score["similarity"] * weight for score, weight in zip(scores, weights, strict=True))
    return {
        "num_tasks": len(scores),
        "exact": fmean(exact),
        "exact_interval": bootstrap(exact),
        "similarity": similarity / sum(weights),
        "length_error": fmean(score["length_error"] for score in scores),
        "forwards": forwards / len(scores),
        "tokens_per_forward": sum(score["tokens"] for score in scores) / forwards if forwards else None,
        "milliseconds": fmean(score["milliseconds"] for score in scores),
    }


def _difference(results: Sequence[Mapping[str, Any]], first: str, second: str) -> tuple[float, float]:
    exact = {method: [result["methods"][method]["exact"] for result in results] for method in (first, second)}
    return paired(exact[first], exact[second])


def lines_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows as a table for a terminal."""
    yield (
        f"{'kind':20}{'method':26}{'holes':>6}{'exact, 95 %':>22}{'edit sim.':>10}{'length err.':>12}"
        f"{'forwards':>9}{'tok./fwd':>9}{'ms':>8}  difference in exact match, 95 %"
    )
    for row in rows:
        low, high = row["exact_interval"]
        exact = f"{row['exact']:.1%} ({low:.1%}..{high:.1%})"
        per_forward = "" if row["tokens_per_forward"] is None else f"{row['tokens_per_forward']:.2f}"
        minus = "; ".join(f"{a:+.1%}..{b:+.1%} against {other}" for other, (a, b) in row["minus"].items())
        yield (
            f"{row['kind']:20}{row['method']:26}{row['num_tasks']:>6}{exact:>22}{row['similarity']:>10.3f}"
            f"{row['length_error']:>12.1f}{row['forwards']:>9.1f}{per_forward:>9}{row['milliseconds']:>8.0f}  {minus}"
        ).rstrip()
