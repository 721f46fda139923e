"""Rewriting pairs as training examples: the old text stands in the context behind its verb, the hole is cold."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.measuring.spans import CharSpan
from midfill.model.training.examples import (
    CHARS_PER_EXAMPLE,
    MAX_HOLE_TOKENS,
    ContextSizes,
    Example,
    TrainingFile,
    make_example,
)
from midfill.model.training.verbs import VerbPair, inverse_pairs

CHARS_PER_REWRITING = 6 * CHARS_PER_EXAMPLE


def draw_rewritings(
    file: TrainingFile, tokenizer: CodeTokenizer, sizes: ContextSizes, rng: random.Random
) -> Iterator[Example]:
    """About one example for each `CHARS_PER_REWRITING` of a Python file, the verbs that occur in it in turn."""
    if file.language != "python":
        return
    of_verb: dict[str, list[VerbPair]] = defaultdict(list)
    for pair in inverse_pairs(file.text, rng):
        of_verb[pair.verb].append(pair)
    for pairs in of_verb.values():
        rng.shuffle(pairs)
    wanted = int(len(file.text) / CHARS_PER_REWRITING + rng.random())
    while wanted > 0 and of_verb:
        verb = rng.choice(sorted(of_verb))
        pair = of_verb[verb].pop()
        if not of_verb[verb]:
            del of_verb[verb]
        draft = tokenizer.encode(pair.draft)
        if len(draft) > MAX_HOLE_TOKENS:
            continue
        rewriting = (tokenizer.verb_ids[verb], *draft)
        example = make_example(file, [CharSpan(pair.start, pair.end)], tokenizer, sizes, rng, rewriting)
        if example is not None:
            wanted -= 1
            yield example
