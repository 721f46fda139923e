"""Free training pairs for the rewriting verbs: real code with one improvement undone.

Each transform is the inverse of a verb of `midfill.model.families.embedded.tokenizer.VERBS`: what it makes is the
draft, what stands in the file is the answer, byte for byte. Knows text and syntax; no tokens.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from midfill.model.training.examples import read_texts
from midfill.model.training.verbs.closing import with_statement
from midfill.model.training.verbs.control_flow import early_return, guard_clause
from midfill.model.training.verbs.expressions import comprehension, f_string
from midfill.model.training.verbs.names import blocks_of, rename
from midfill.model.training.verbs.signatures import docstring, type_hints
from midfill.model.training.verbs.source import Function, Source, VerbPair

__all__ = ["VerbPair", "count_pairs", "inverse_pairs"]

_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Raise, ast.Expr, ast.Assert)


def inverse_pairs(text: str, rng: random.Random) -> Iterator[VerbPair]:
    """The pairs of a file, in no order that means anything; none for what does not parse.

    A region is at most 320 characters, begins at the first character of a statement, and the draft parses in its
    place. Regions of different pairs may overlap: use one at a time.
    """
    try:
        source = Source(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    if "\r" in text or "\f" in text:  # the syntax tree counts their lines differently
        return
    for node in ast.walk(source.tree):
        for pair in _of_node(source, node, rng):
            if pair is not None:
                yield pair


def _of_node(source: Source, node: ast.AST, rng: random.Random) -> Iterator[VerbPair | None]:
    if isinstance(node, Function):
        yield type_hints(source, node, rng)
        yield docstring(source, node, rng)
        yield rename(source, node, rng)
    elif isinstance(node, ast.With):
        yield with_statement(source, node, rng)
    elif isinstance(node, _SIMPLE):
        yield f_string(source, node, rng)
        yield comprehension(source, node, rng)
    for block in blocks_of(node):
        for index, statement in enumerate(block[:-1]):
            if isinstance(statement, ast.If):
                yield guard_clause(source, node, block, index, rng)
                yield early_return(source, block, index, rng)


def count_pairs(corpus_file: Path, num_files: int | None = None, seed: int = 0) -> Counter[str]:
    """How many pairs each verb has in the first `num_files` files of a corpus split (`.jsonl.gz`)."""
    rng = random.Random(seed)
    texts = islice(read_texts(corpus_file), num_files)
    return Counter(pair.verb for text in texts for pair in inverse_pairs(text, rng))
