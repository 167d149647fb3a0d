"""The command line. Torch is imported by commands only.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganframe.errors import BadInput, Interrupted, RunFailed, Terminated
from ganframe.plugins.discovery import installed

app = typer.Typer(
    name="ganframe",
    help="Train generative adversarial networks, out of plugins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the rich one takes as long to import as all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)


plugins_app = typer.Typer(help="List, write and check plugins.", invoke_without_command=True, rich_markup_mode=None)


app.add_typer(plugins_app, name="plugins")


# Without emoji, because rich takes the `:100:` in `config.yaml:100:3` for one.
console = Console(highlight=False, emoji=False)


pipe = Console(highlight=False, emoji=False, width=1000)
"""Where tables go that no terminal shows: what is piped is searched, so its rows stay whole."""


DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a write can end with without the name of its file."""


ConfigArgument = Annotated[str, typer.Argument(help="A YAML file, or the name of a preset.")]


RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]


SetOption = Annotated[list[str], typer.Option("--set", help="Override: a.b=c, with a YAML value. Repeatable.")]


SeedOption = Annotated[int, typer.Option(help="The same seed gives the same samples.")]


DeviceOption = Annotated[str, typer.Option(help="A torch device, or auto.")]


def main() -> None:
    """Run the command line."""
    try:
        with _signals_raise():
            installed().add_commands(app)
            app()
    except (BadInput, RunFailed) as problem:
        _fail(str(problem), problem.exit_code)
    except _Signalled as signalled:
        _fail(str(signalled.problem), signalled.problem.exit_code)
    except OSError as problem:
        if problem.filename is None and problem.errno not in DISK_ERRORS:
            raise
        _fail(": ".join(filter(None, (problem.filename, problem.strerror))), RunFailed.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", Interrupted.exit_code)


class _Signalled(BaseException):
    """A signal that came while no run was under way; no plugin's `except Exception` can hold it up."""

    def __init__(self, problem: RunFailed) -> None:
        self.problem = problem


@contextlib.contextmanager
def _signals_raise() -> Generator[None, None, None]:
    """Let SIGINT and SIGTERM end what is inside as an exception, so that it is cleaned up and reported."""

    def end(number: int, _frame: object) -> NoReturn:
        raise _Signalled(Interrupted("interrupted") if number == signal.SIGINT else Terminated("terminated"))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, emoji=False, soft_wrap=True).print(f"[red]error:[/] {escape(message)}")
    sys.exit(code)


@app.command()
def train(
    config: ConfigArgument,
    overrides: SetOption = [],  # noqa: B006  typer's way to say that an option may be left out
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/NAME-TIME when left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    allow_changes: Annotated[
        list[str], typer.Option("--allow-changes", help="A setting that may differ when resuming: a.b. Repeatable.")
    ] = [],  # noqa: B006  as above
) -> None:
    """Train a config or preset.

    With --resume, CONFIG may be the run folder itself.
    """
    if allow_changes and not resume:
        raise BadInput("--allow-changes says how a run that goes on may differ", remedy="Add --resume.")
    if resume and (Path(config) / "config.yaml").is_file():
        out = out or Path(config)
        config = str(Path(config) / "config.yaml")
    from ganframe.config.presets import load  # noqa: PLC0415  nothing here is needed to print --help

    with _processes() as together:
        with together:
            loaded = load(config, overrides)
        from ganframe.cli.progress_bar import ProgressBar  # noqa: PLC0415  imports torch
        from ganframe.training.loop import train as run_training  # noqa: PLC0415  imports torch

        try:
            with loaded.document.errors():
                folder = run_training(
                    loaded.experiment,
                    out=out,
                    resume=resume,
                    allow_changes=allow_changes,
                    name=Path(config).stem,
                    hooks=[ProgressBar(console)],
                )
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the run can go on with --resume") from None
        _say(f"run      {folder.path}")
        _say(f"samples  {folder.samples}")
        _say(f"report   {folder.report}")


@contextlib.contextmanager
def _processes() -> Generator[contextlib.AbstractContextManager[None]]:
    """Join the processes that torchrun started, of which the first alone talks to the user."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield contextlib.nullcontext()  # so that a mistake in a config is found before torch is imported
        return
    from ganframe.distributed.process_group import process_group, together  # noqa: PLC0415  imports torch
    from ganframe.distributed.shard import is_main_process  # noqa: PLC0415  imports torch

    with process_group():
        console.quiet = not is_main_process()
        yield together()


@app.command()
def sample(
    run: RunArgument,
    count: Annotated[int, typer.Option(min=1, help="How many samples.")] = 100,
    seed: SeedOption = 0,
    label: Annotated[list[int], typer.Option(help="Class to draw; repeat for several. Every class by default.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="A .png grid, or a folder for one .png a sample.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw samples from a run."""
    from ganframe.evaluation.loaded_run import load  # noqa: PLC0415  imports torch
    from ganframe.evaluation.pictures import draw, draw_each  # noqa: PLC0415  imports torch

    trained = load(run, device=device)
    target = _new(out or run / f"samples-seed{seed}.png", ".png", "")
    labels = [label[index % len(label)] for index in range(count)] if label else None
    samples = trained.sample(count, seed=seed, labels=labels)
    if target.suffix == ".png":
        draw({"samples": samples}, target)
    else:
        draw_each(samples, target, labels)
    _say(str(target))


@app.command()
def interpolate(
    run: RunArgument,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of latents.")] = 10,
    steps: Annotated[int, typer.Option(min=2, help="Samples from one to the other.")] = 10,
    seed: SeedOption = 0,
    label: Annotated[list[int], typer.Option(help="Class of every row; repeat for several.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="The .png file.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw walks between pairs of latents."""
    from ganframe.evaluation.interpolation import interpolate as walk  # noqa: PLC0415  imports torch
    from ganframe.evaluation.loaded_run import load  # noqa: PLC0415  imports torch
    from ganframe.evaluation.pictures import draw  # noqa: PLC0415  imports torch

    trained = load(run, device=device)
    target = _new(out or run / f"interpolation-seed{seed}.png", ".png")
    labels = [label[row % len(label)] for row in range(rows)] if label else None
    draw({"samples": walk(trained, rows=rows, steps=steps, seed=seed, labels=labels)}, target, steps)
    _say(str(target))


@app.command()
def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str], typer.Option(help="A metric type; repeat for several. The run's own by default.")
    ] = [],  # noqa: B006
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Measure a run."""
    from ganframe.evaluation.metrics import measure_run  # noqa: PLC0415  imports torch

    for name, value in measure_run(run, metric, seed, device).items():
        _say(f"{name}: {value:.4g}")


@app.command()
def report(run: RunArgument) -> None:
    """Write the report of a run anew."""
    from ganframe.evaluation.report import write_report  # noqa: PLC0415  nothing here is needed to print --help
    from ganframe.runs.folder import RunFolder  # noqa: PLC0415

    _say(str(write_report(RunFolder.open(run))))


@app.command()
def export(
    run: RunArgument,
    player: Annotated[str, typer.Option(help="Which network.")] = "generator",
    out: Annotated[Path | None, typer.Option(help="A .safetensors or .pt2 file.")] = None,
) -> None:
    """Export a network as weights or as a program.

    A .safetensors file has the weights; a .pt2 file is a program that needs PyTorch alone.
    """
    from ganframe.evaluation.export import export as save  # noqa: PLC0415  imports torch
    from ganframe.evaluation.loaded_run import load  # noqa: PLC0415  imports torch

    trained = load(run, device="cpu")
    target = _new(out or run / f"{player}.safetensors", ".safetensors", ".pt2")
    save(trained, player, target)
    _say(str(target))


@app.command()
def presets() -> None:
    """List the installed presets."""
    from ganframe.config.presets import summaries  # noqa: PLC0415  reads every preset

    _print_table(("preset", "what", "package"), summaries())


@app.command()
def explain(config: ConfigArgument, overrides: SetOption = []) -> None:  # noqa: B006
    """Show what a config means, before anything trains.

    Players with shapes and parameters, named tensors, contests, terms, turns, and what a step costs.
    """
    from ganframe.config.presets import load  # noqa: PLC0415  nothing here is needed to print --help

    loaded = load(config, overrides)
    from ganframe.training.explain import explain as look  # noqa: PLC0415  imports torch

    with loaded.document.errors():
        explanation = look(loaded.experiment)
    if explanation.summary:
        _say(explanation.summary)
    for title, (header, *rows) in explanation.tables.items():
        console.print(f"\n[bold]{title}[/]")
        _print_table(header, rows)
    console.print("\n[bold]cost[/]")
    _say(f" {explanation.cost}")


@app.command()
def schema(
    out: Annotated[
        Path | None, typer.Option(help="A file, new or an older schema; the terminal when left out.")
    ] = None,
) -> None:
    """Print the JSON schema of configs, for editors to read.

    It covers every component that is installed.
    """
    from ganframe.config.schema import json_schema  # noqa: PLC0415  nothing here is needed to print --help

    text = json.dumps(json_schema(), indent=1)
    if out is None:
        sys.stdout.write(text + "\n")
    else:
        beginning = text[: text.index(",")].encode()
        older = out.is_file() and out.read_bytes().startswith(beginning)
        (out if older else _new(out)).write_text(text + "\n", encoding="utf-8")
        _say(str(out))


@app.command()
def doctor() -> None:
    """Say what this installation can do and what is wrong with it."""
    from ganframe.cli.doctor import examine  # noqa: PLC0415  imports torch

    findings = list(examine())
    for well, text in findings:
        console.print(f"{'[green]ok  [/]' if well else '[red]bad [/]'} {escape(text)}", soft_wrap=True)
    if not all(well for well, _ in findings):
        raise typer.Exit(1)


@plugins_app.callback()
def plugins(context: typer.Context) -> None:
    """List the installed plugins, and every type with its package, one line and source."""
    if context.invoked_subcommand:
        return
    rows = [
        (each.name, each.package, each.version, (f"BROKEN: {each.error}; " if each.error else "") + each.location())
        for each in installed().plugins
    ]
    # In whole lines, so that the paths can be copied or piped.
    lines = [("plugin", "package", "version", "loaded from"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        _say("   ".join(map(str.ljust, line, widths)).rstrip())
    kind = ""
    for cls, package in installed().registry:
        if cls.kind != kind:
            kind = cls.kind
            console.print(f"\n[bold]{kind}[/]")
        source = f" [dim]{escape(cls.paper)}[/]" if cls.paper else ""
        console.print(f"  {cls.type_name()} [dim]({package})[/] {escape(cls.summary())}{source}", soft_wrap=True)


@plugins_app.command("new")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package: my-gan.")],
    out: Annotated[Path, typer.Option(help="The folder in which to make it.")] = Path(),
) -> None:
    """Write a new plugin package.

    It installs, passes the conformance kit, and trains.
    """
    from ganframe.plugins.scaffold import write_plugin  # noqa: PLC0415  nothing here is needed to print --help

    folder = write_plugin(name, out)
    _say(f"wrote    {folder}")
    _say(f"install  pip install -e {folder}")
    _say(f"check    ganframe plugins check {name}")
    _say(f"train    ganframe train {name}-digits")


@plugins_app.command("check")
def check_plugin(package: Annotated[str, typer.Argument(help="An installed distribution or module.")]) -> None:
    """Run the conformance kit over everything that a package registers."""
    from ganframe.testing import run_checks  # noqa: PLC0415  imports torch

    failures = 0
    for result in run_checks(package):
        failures += result.error is not None
        mark = "[green]ok  [/]" if result.error is None else "[red]FAIL[/]"
        console.print(f"{mark} {escape(result.name)}", soft_wrap=True)
        if result.error is not None:
            _say(f"     {result.error}")
    if failures:
        raise RunFailed(f"{failures} checks failed")


def _say(text: str) -> None:
    """Print plain text as it is: paths stay whole, so that they can be copied or piped."""
    console.print(escape(text), soft_wrap=True)


def _new(path: Path, *endings: str) -> Path:
    """A path where nothing is yet, in a folder that there is; with one of the endings, where some are given."""
    if endings and path.suffix not in endings:
        wanted = " or ".join(ending or "nothing, for a folder" for ending in endings)
        raise BadInput(f"the name has to end in {wanted}", place=f"--out {path}")
    if path.exists():
        raise BadInput("this exists already", place=str(path), remedy="Choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(f"this folder cannot be made: {problem.strerror}", place=str(path.parent)) from None
    return path


def _print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 1))
    rows = list(rows)
    for title, *cells in zip(header, *rows, strict=True):
        table.add_column(title, no_wrap=not any(" " in cell for cell in cells), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    (console if console.is_terminal else pipe).print(table)
