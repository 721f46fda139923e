"""A toy language that is valid Python, and the requests and right answers that it gives rise to.

A file is one or two functions of two names. A name has one word or two, so it is one token long or three; what belongs
in a hole can be read from the rest of its function, on either side. Instructions swap the two names of an operation or
make it another one. One in eight pairs of names is never trained on.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace

WORDS = ("alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta")
SIGNS = {"add": "+", "sub": "-", "mul": "*"}
HOLE = "⟨⟩"
SWAP = "swap the names"
OTHERWISE = {"add": "make it add", "sub": "make it subtract", "mul": "make it multiply"}


@dataclass(frozen=True)
class Function:
    verb: str
    first: str
    second: str

    @property
    def expression(self) -> str:
        return f"{self.first} {SIGNS[self.verb]} {self.second}"

    @property
    def swapped(self) -> str:
        sign = SIGNS[self.verb]
        return f"def {self.verb}({self.first}, {self.second}):\n    return {self.second} {sign} {self.first}\n"

    def __str__(self) -> str:
        return f"def {self.verb}({self.first}, {self.second}):\n    return {self.expression}\n"


@dataclass(frozen=True)
class Task:
    """text: with a mark at each hole; answers: what belongs there; old: what stood in a hole that is rewritten."""

    text: str
    answers: tuple[str, ...]
    old: str | None = None
    instruction: str | None = None

    @property
    def file(self) -> str:
        """The text with the answers in place."""
        pieces = self.text.split(HOLE)
        return pieces[0] + "".join(answer + piece for answer, piece in zip(self.answers, pieces[1:], strict=True))


def random_name(rng: random.Random, *others: str) -> str:
    """One that is not among `others`."""
    while (name := "_".join(rng.sample(WORDS, rng.choice((1, 1, 2))))) in others:
        pass
    return name


def random_function(rng: random.Random, is_unseen: bool = False, other_verbs: tuple[str, ...] = ()) -> Function:
    verb = rng.choice([verb for verb in SIGNS if verb not in other_verbs])
    while True:
        first = random_name(rng)
        second = random_name(rng, first)
        if (zlib.crc32(f"{first} {second}".encode()) % 8 == 0) == is_unseen:
            return Function(verb, first, second)


def random_source(rng: random.Random, num_functions: int) -> str:
    return "\n".join(str(random_function(rng)) for _ in range(num_functions))


def one_hole(rng: random.Random, is_unseen: bool = False) -> Task:
    """A name, a sign or an operation, which the rest of the function determines."""
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
            (f"{header}    return {HOLE}\n", function.expression),
        )
    )
    return _in_file(rng, function, Task(text, (answer,)))


def joint_holes(rng: random.Random, is_unseen: bool = False) -> Task:
    """A name in the header and in the body: any will do that is not the other name, but it must be the same twice."""
    function = random_function(rng, is_unseen)
    sign = SIGNS[function.verb]
    if rng.random() < 0.5:
        text = f"def {function.verb}({HOLE}, {function.second}):\n    return {HOLE} {sign} {function.second}\n"
        return _in_file(rng, function, Task(text, (function.first, function.first)))
    text = f"def {function.verb}({function.first}, {HOLE}):\n    return {function.first} {sign} {HOLE}\n"
    return _in_file(rng, function, Task(text, (function.second, function.second)))


def are_joint_answers(task: Task, answers: tuple[str, ...]) -> bool:
    first, second = answers
    used = task.text.split("(")[1].split(")")[0].replace(HOLE, "").replace(", ", "")
    return first == second != used and all(word in WORDS for word in first.split("_"))


def rewriting(rng: random.Random, is_unseen: bool = False) -> Task:
    """A function whose operation swaps its names, at request or in want of one, or becomes another."""
    function = random_function(rng, is_unseen)
    old = str(function).rstrip()
    if rng.random() < 0.5:
        new, instruction = function.swapped.rstrip(), rng.choice((SWAP, None))
    else:
        verb = rng.choice([verb for verb in SIGNS if verb != function.verb])
        new, instruction = str(replace(function, verb=verb)).rstrip(), OTHERWISE[verb]
    return _in_file(rng, function, Task(f"{HOLE}\n", (new,), old, instruction))


def two_rewritten(rng: random.Random, is_unseen: bool = False) -> Task:
    """Two functions that swap their names: longer than one canvas."""
    first = random_function(rng, is_unseen)
    second = random_function(rng, is_unseen, (first.verb,))
    old, new = (f"{one}\n{other}".rstrip() for one, other in ((first, second), (first.swapped, second.swapped)))
    return Task(f"{HOLE}\n", (new,), old, SWAP)


def _in_file(rng: random.Random, function: Function, task: Task) -> Task:
    """With another function before or behind it, or alone."""
    other = str(random_function(rng, other_verbs=(function.verb,)))
    text = rng.choice((task.text, f"{other}\n{task.text}", f"{task.text}\n{other}"))
    return Task(text, task.answers, task.old, task.instruction)
