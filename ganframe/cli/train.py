"""`ganframe train`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from ganframe.cli.options import ConfigArgument, SetOption, path_option
from ganframe.cli.output import console, print_line
from ganframe.config.arguments import user_path
from ganframe.distributed.standard_streams import forgiving_streams
from ganframe.errors import BadInput, Interrupted


def train(
    config: ConfigArgument,
    overrides: SetOption = [],
    out: Annotated[Path | None, path_option(help="The run folder; runs/NAME-TIME when left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint of the run.")] = False,
    allow_changes: Annotated[
        list[str],
        typer.Option("--allow-changes", help="A setting that may differ when resuming: a.b, or data. Repeatable."),
    ] = [],
    break_lock: Annotated[
        bool, typer.Option("--break-lock", help="Resume a run that a process of another machine has locked.")
    ] = False,
) -> None:
    """Train a config or preset.

    With --resume, CONFIG may be the run folder itself.
    """
    for option, given in (("--allow-changes", allow_changes), ("--break-lock", break_lock)):
        if given and not resume:
            raise BadInput(f"{option} needs --resume", remedy="Add --resume.")
    path = user_path(config)
    if resume and (path / "config.yaml").is_file():
        out = out or path
        config = str(path / "config.yaml")
    from ganframe.config.presets import load

    with forgiving_streams(), _join_processes() as failing_together:
        with failing_together:
            loaded = load(config, overrides)
        from ganframe.api import train as run_training
        from ganframe.cli.progress_bar import ProgressBar

        try:
            with loaded.document.errors():
                folder = run_training(
                    loaded.experiment,
                    out=out,
                    resume=resume,
                    allow_changes=allow_changes,
                    break_lock=break_lock,
                    name=path.stem,
                    hooks=[ProgressBar(console)],
                )
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the run can go on with --resume") from None
        print_line(f"run      {folder.path}")
        print_line(f"samples  {folder.samples}")
        print_line(f"report   {folder.report}")


@contextlib.contextmanager
def _join_processes() -> Generator[contextlib.AbstractContextManager[None]]:
    """Join the processes that torchrun started, and silence all but the first.

    Yields:
        A context manager, inside which a BadInput of one process ends all of them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield contextlib.nullcontext()  # without torch, so that a mistake in a config is found before torch is imported
        return
    from ganframe.distributed.process_group import fail_together, process_group
    from ganframe.distributed.shard import is_main_process

    with process_group():
        console.quiet = not is_main_process()
        yield fail_together()
