"""`midfill eval`: what the model is worth, printed by the commands that the model card names."""

from __future__ import annotations

import sys

import typer

from midfill.model.evaluation import (
    calibration,
    compare,
    executable,
    in_domain,
    length,
    make_holes,
    repair,
    rewriting,
    several_holes,
    typing,
)
from midfill.model.measuring.records import RecordMismatchError
from midfill.model.wire.errors import CheckpointError

app = typer.Typer(no_args_is_help=True, help="Measure what the model is worth.", add_completion=False)
app.command("in-domain")(in_domain.command)
app.command("length")(length.command)
app.command("compare")(compare.command)
app.command("calibration")(calibration.command)
app.command("typing")(typing.command)
app.command("executable")(executable.command)
app.command("holes")(several_holes.command)
app.command("make-holes")(make_holes.command)
app.command("repair")(repair.command)
app.command("rewriting")(rewriting.command)


def main() -> None:
    """Run one command; exit code 1 and one sentence where a checkpoint or a record cannot be used."""
    try:
        app(prog_name="midfill eval")
    except (CheckpointError, RecordMismatchError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
