"""What the measures that run programs have in common: their options, whose fills are run, and the running itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.evaluation.infilling_file import UNPARSABLE, InfillingFileError, InfillingTask
from midfill.model.evaluation.sandbox import Limits, SandboxUnavailableError, Verdict, run_program

REFUSED = (
    "midfill eval {name} runs programs: the {num_tasks} of {path}, each with a fill that nobody has read, in a process "
    "with limits and without network, which does not stop a program written to break out. Nothing was run; give "
    "--allow-code-execution to allow it."
)

TasksFile = Annotated[Path, typer.Argument(metavar="FILE", help="Tasks as JSON lines, plain or .gz.")]
Allowed = Annotated[bool, typer.Option("--allow-code-execution", help="Run the programs of FILE on this machine.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many tasks, spread over the problems; all without it.")]
Workers = Annotated[int, typer.Option(min=1, help="Programs that run at once.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Of each fill, as `midfill fill --max-tokens`; the front chooses without it.")
]


class Fills(StrEnum):
    """Whose fills are run: the model's, or those that show whether the tests can tell right from wrong."""

    MODEL = "model"
    CANONICAL = "canonical"
    WRONG = "wrong"
    EMPTY = "empty"

    def of(self, task: InfillingTask) -> tuple[str, ...]:
        fixed = {Fills.CANONICAL: task.holes, Fills.WRONG: (UNPARSABLE,) * len(task.holes)}
        return fixed.get(self, ("",) * len(task.holes))


class Programs:
    """Runs filled tasks, `num_workers` at once."""

    def __init__(self, num_workers: int, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(num_workers)
        self._num_ahead = 2 * num_workers
        self._limits = limits

    def submit(self, task: InfillingTask, fills: Sequence[str]) -> Future[Verdict]:
        return self._pool.submit(run_program, task.filled(fills), self._limits, task.test)

    def verdicts(self, task: InfillingTask, fills: Sequence[tuple[str, ...]]) -> list[Verdict]:
        """One for each of `fills`; what is the same is run once."""
        running = {each: self.submit(task, each) for each in set(fills)}
        return [running[each].result() for each in fills]

    def ahead(self, tasks: Sequence[InfillingTask], fills: Fills) -> Callable[[InfillingTask], Verdict]:
        """The verdict on a task; those that come after it begin to run meanwhile."""
        order = {task.task_id: index for index, task in enumerate(tasks)}
        running: dict[str, Future[Verdict]] = {}

        def verdict(task: InfillingTask) -> Verdict:
            first = order[task.task_id]
            for later in tasks[first : first + self._num_ahead]:
                if later.task_id not in running:
                    running[later.task_id] = self.submit(later, fills.of(later))
            return running[task.task_id].result()

        return verdict

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def tasks_of(path: Path, read: Callable[[Path], list[InfillingTask]], name: str, allowed: bool) -> list[InfillingTask]:
    """The tasks of a file whose programs may be run. Leaves with exit code 2 if not, or if the file is wrong."""
    try:
        tasks = read(path)
    except InfillingFileError as error:
        raise typer.BadParameter(str(error)) from error
    if not allowed:
        print(REFUSED.format(name=name, num_tasks=len(tasks), path=path), file=sys.stderr)
        raise typer.Exit(2)
    return tasks


def digest_of(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


@contextmanager
def programs(num_workers: int) -> Iterator[Programs]:
    """Where programs are run. Leaves with exit code 1 on a system that has no sandbox."""
    running = Programs(num_workers, Limits())
    try:
        yield running
    except SandboxUnavailableError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    finally:
        running.close()
