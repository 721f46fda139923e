"""The commands a person types, as typer reads them. Each one parses its options and calls its own module."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midfill.lsp_server.cli import MODEL_PROGRAMS, main
from midfill.lsp_server.terminal.errors import BAD_INPUT, INTERRUPTED, TerminalError, bad_input

if TYPE_CHECKING:
    from midfill.lsp_server.terminal.output import Output

app = typer.Typer(
    name="midfill",
    help="Fill holes in code with a diffusion model that stays loaded on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure midfill on this machine.", no_args_is_help=True)

EndpointOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A resident elsewhere: http(s)://host:port or unix:/path.sock."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DiffOption = Annotated[bool, typer.Option("--diff", help="Print a unified diff (`git apply` takes it).")]
RecordOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep a replay of the canvas: a page (.html) or a moving picture (.svg)."),
]
PlainOption = Annotated[bool, typer.Option("--plain", help="No colour and nothing that moves.")]


def run(arguments: list[str]) -> int:
    """One command; its sentence on stderr when it fails."""
    try:
        app(arguments, prog_name="midfill")
    except TerminalError as error:
        print(f"midfill: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("midfill: stopped; what was not finished was not written.", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else BAD_INPUT if stop.code else 0
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"midfill {importlib.metadata.version('midfill')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(plain: PlainOption = False, endpoint: EndpointOption = None) -> None:
    """Show a ghost text, a joint fill of several holes and a region denoised again, on a bundled file."""
    from midfill.lsp_server.terminal.demo import run_demo

    run_demo(plain=plain, endpoint=endpoint)


@app.command()
def fill(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The source file to fill.")],
    at: Annotated[
        str | None, typer.Option(metavar="LINE:COL", help="Fill at this place (from 1, in characters).")
    ] = None,
    lines: Annotated[
        str | None, typer.Option(metavar="A-B", help="Write these lines anew (from 1, inclusive).")
    ] = None,
    function: Annotated[
        int | None, typer.Option(metavar="LINE", min=1, help="Fill the holes of the function around this line.")
    ] = None,
    bodies: Annotated[
        bool, typer.Option("--bodies", help="Fill the bodies that are only `...`, `pass` or a TODO comment.")
    ] = False,
    candidates: Annotated[
        int | None, typer.Option(min=1, max=16, help="How many answers to choose the best from (default 4).")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, max=1024, help="The longest a fill may get.")] = None,
    json: JsonOption = False,
    diff: DiffOption = False,
    write: Annotated[bool, typer.Option("--write", help="Write the fills into the file.")] = False,
    endpoint: EndpointOption = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A checkpoint's folder or OWNER/MODEL, not the embedded model.")
    ] = None,
    marker: Annotated[str, typer.Option(metavar="TEXT", help="What marks a hole.")] = "<fill>",
    seed: Annotated[int | None, typer.Option(help="For the same answer again.")] = None,
    record: RecordOption = None,
) -> None:
    """Fill the holes of a file: its markers, or where it has none its empty bodies; a place, lines, a function."""
    from midfill.lsp_server.terminal.fill import FillOptions, run_fill
    from midfill.lsp_server.terminal.targets import Target

    run_fill(
        FillOptions(
            file=file,
            target=Target(at=at, lines=lines, function=function, bodies=bodies, marker=marker),
            candidates=candidates,
            max_tokens=max_tokens,
            output=_output(json=json, diff=diff, write=write),
            endpoint=endpoint,
            model=model,
            seed=seed,
            record=record,
        )
    )


@app.command()
def rewrite(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The source file.", show_default=False)] = None,
    lines: Annotated[
        str | None, typer.Option(metavar="A-B", help="The lines to write again (from 1, inclusive).")
    ] = None,
    verb: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the model has learnt to do; --verbs lists it.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What is to become of the lines, for a model that follows one.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(metavar="S", help="The share of the old text that is noised first, above 0 and at most 1."),
    ] = None,
    candidate: Annotated[int, typer.Option(metavar="N", min=1, max=16, help="Which version, best first, from 1.")] = 1,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Another one brings other versions.")
    ] = 0,
    verbs: Annotated[bool, typer.Option("--verbs", help="List what the loaded model has learnt to do.")] = False,
    json: JsonOption = False,
    diff: DiffOption = False,
    write: Annotated[bool, typer.Option("--write", help="Write the new version into the file.")] = False,
    endpoint: EndpointOption = None,
    record: RecordOption = None,
) -> None:
    """Write lines of a file again: by a verb or an instruction, or, with neither, another version of them."""
    from midfill.lsp_server.terminal.rewrite import RewriteOptions, run_list_verbs, run_rewrite
    from midfill.lsp_server.text.rewriting import Wish

    if verbs:
        run_list_verbs(endpoint, as_json=json)
        return
    if file is None or lines is None:
        raise bad_input("Say what to write again: midfill rewrite FILE --lines A-B.")
    run_rewrite(
        RewriteOptions(
            file=file,
            lines=lines,
            wish=Wish(verb, instruction, strength, seed, max(candidate, Wish.candidates)),
            candidate=candidate,
            output=_output(json=json, diff=diff, write=write),
            endpoint=endpoint,
            record=record,
        )
    )


def _output(*, json: bool, diff: bool, write: bool) -> Output:
    if json + diff + write > 1:
        raise bad_input("--json, --diff and --write exclude each other; give one of them.")
    return "json" if json else "diff" if diff else "write" if write else "show"


@app.command()
def status(json: JsonOption = False) -> None:
    """Which resident models run for you, on what, since when, and how large they are."""
    from midfill.lsp_server.terminal.status import run_status

    run_status(as_json=json)


@app.command()
def stats(json: JsonOption = False) -> None:
    """How many suggestions were shown, accepted, and kept; counted on this machine only."""
    from midfill.lsp_server.terminal.stats import run_stats

    run_stats(as_json=json)


@app.command()
def models(json: JsonOption = False) -> None:
    """Which models can be used, what memory each takes, whether this machine has it, and how to choose one."""
    from midfill.lsp_server.terminal.models import run_models

    run_models(as_json=json)


@app.command()
def tune(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder of a repository.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to learn, measuring apart.")] = 5.0,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Learn nothing from these, beside what midfill.exclude has by default."),
    ] = None,
    holes: Annotated[int, typer.Option(min=1, help="Lines, and as many rests of lines, to measure with.")] = 100,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the result also where it did not help.")] = False,
    model: Annotated[str, typer.Option(metavar="NAME", help="`embedded` or a checkpoint's folder.")] = "embedded",
    seed: Annotated[int, typer.Option(help="Decides which files are measured with.")] = 0,
) -> None:
    """Adapt the embedded model to your repository, and say what files that it did not learn from gain by that."""
    from midfill.lsp_server.terminal.tune import TuneOptions, run_tune

    raise typer.Exit(run_tune(path, exclude or (), TuneOptions(model, minutes, holes, keep, seed)))


@app.command()
def doctor(
    json: JsonOption = False,
    endpoint: EndpointOption = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Try this model: its memory, loading, a step's milliseconds, one fill."),
    ] = None,
) -> None:
    """Check everything midfill needs, and say how to mend what is wrong."""
    from midfill.lsp_server.terminal.doctor import run_doctor

    raise typer.Exit(run_doctor(as_json=json, endpoint=endpoint, model=model))


@bench.command()
def latency(
    json: JsonOption = False,
    runs: Annotated[int, typer.Option(min=1, max=50, help="Starts of each server; the median counts.")] = 5,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Type this file instead of the built-in one.")
    ] = None,
    endpoint: EndpointOption = None,
) -> None:
    """How long a person waits: starting, typing, jumping; and what it costs."""
    from midfill.lsp_server.terminal.bench import run_latency

    run_latency(as_json=json, num_runs=runs, file=file, endpoint=endpoint)


@bench.command()
def load(
    json: JsonOption = False,
    people: Annotated[int, typer.Option(min=1, max=1000, help="How many type at once.")] = 8,
    seconds: Annotated[float, typer.Option(min=1, help="How long they type.")] = 30,
    scatter: Annotated[
        bool, typer.Option("--scatter", help="Ask any replica of a cluster, not the one that knows the document.")
    ] = False,
    endpoint: EndpointOption = None,
) -> None:
    """What an endpoint gives many people who type at once."""
    from midfill.lsp_server.terminal.bench_load import run_load

    run_load(as_json=json, people=people, seconds=seconds, scatter=scatter, endpoint=endpoint)


app.add_typer(bench, name="bench")


def _other_program(name: str, purpose: str, group: typer.Typer = app) -> None:
    """List a command in `--help` that `main` hands over before typer is asked."""

    def command(context: typer.Context) -> None:
        raise typer.Exit(main([*context.command_path.split()[1:], *context.args]))

    group.command(
        name,
        help=purpose,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(command)


_other_program("gemma", "What DiffusionGemma costs here, with random weights.", bench)
_other_program("lsp", "The language server, as editors start it (stdio).")
for _name, _purpose in zip(
    MODEL_PROGRAMS,
    ("The resident model.", "Train the embedded model.", "Measure how well the model fills."),
    strict=True,
):
    _other_program(_name, _purpose)
