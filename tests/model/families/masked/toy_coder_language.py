"""A toy language that is valid Python, and the holes in it whose right fills can be read from what is around them.

A file is one or two functions of two names. A name has one word or two, so it is one token long or three; a hole is a
name, a sign, the names of a header, an operation or a line. One in eight pairs of names is never trained on.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta", "zeta", "iota")
SIGNS = {"add": "+", "sub": "-", "mul": "*"}
HOLE = "⟨⟩"


@dataclass(frozen=True)
class Task:
    """text: with a mark at each hole; answers: what belongs there."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    verb: str
    first: str
    second: str

    @property
    def expression(self) -> str:
        return f"{self.first} {SIGNS[self.verb]} {self.second}"

    def __str__(self) -> str:
        return f"def {self.verb}({self.first}, {self.second}):\n    return {self.expression}\n"


def random_function(rng: random.Random, is_unseen: bool, *other_verbs: str) -> Function:
    verb = rng.choice([verb for verb in SIGNS if verb not in other_verbs])
    while True:
        first, second = random_name(rng), random_name(rng)
        unseen = zlib.crc32(f"{first} {second}".encode()) % 8 == 0
        if first != second and unseen == is_unseen:
            return Function(verb, first, second)


def random_name(rng: random.Random) -> str:
    return "_".join(rng.sample(WORDS, rng.choice((1, 1, 2))))


def one_hole(rng: random.Random, is_unseen: bool = False) -> Task:
    """What the rest of the function determines."""
    function = random_function(rng, is_unseen)
    verb, first, second, sign = function.verb, function.first, function.second, SIGNS[function.verb]
    header, body = f"def {verb}({first}, {second}):\n", f"    return {function.expression}\n"
    text, answer = rng.choice(
        (
            (f"def {verb}({HOLE}, {second}):\n{body}", first),
            (f"def {verb}({first}, {HOLE}):\n{body}", second),
            (f"{header}    return {HOLE} {sign} {second}\n", first),
            (f"{header}    return {first} {sign} {HOLE}\n", second),
            (f"{header}    return {first} {HOLE} {second}\n", sign),
            (f"def {verb}({HOLE}):\n{body}", f"{first}, {second}"),
            (f"{header}    return {HOLE}\n", function.expression),
            (f"{header}    {HOLE}\n", f"return {function.expression}"),
        )
    )
    return _in_file(rng, verb, Task(text, (answer,)))


def two_holes(rng: random.Random, is_unseen: bool = False) -> Task:
    """Both names of the header, which the body determines."""
    function = random_function(rng, is_unseen)
    text = f"def {function.verb}({HOLE}, {HOLE}):\n    return {function.expression}\n"
    return _in_file(rng, function.verb, Task(text, (function.first, function.second)))


def elsewhere(task: Task) -> Task:
    """The same task in other words and of another operation: every answer in it is another one."""
    verbs = list(SIGNS)
    following = dict(zip(WORDS, (*WORDS[1:], WORDS[0]), strict=True))
    following |= {verb: verbs[(number + 1) % 3] for number, verb in enumerate(verbs)}
    following |= {SIGNS[verb]: SIGNS[following[verb]] for verb in verbs}

    def changed(text: str) -> str:
        for number, word in enumerate(following):
            text = text.replace(word, f"{{{number}}}")
        return text.format(*following.values())

    return Task(changed(task.text), tuple(changed(answer) for answer in task.answers))


def _in_file(rng: random.Random, verb: str, task: Task) -> Task:
    """With another function before or behind it, or alone."""
    other = random_function(rng, False, verb)
    return Task(rng.choice((task.text, f"{other}\n{task.text}", f"{task.text}\n{other}")), task.answers)
