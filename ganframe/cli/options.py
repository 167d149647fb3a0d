"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganframe.config.arguments import user_path


def path_option(*names: str, help: str) -> Any:
    """Return an option that takes a path, in which `~` is expanded: a shell does not do that in `--out=~/runs`."""
    return typer.Option(*names, parser=user_path, metavar="PATH", help=help)


ConfigArgument = Annotated[str, typer.Argument(help="A YAML file, or the name of a preset.")]
RunArgument = Annotated[Path, typer.Argument(parser=user_path, metavar="RUN", help="A run folder.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Override: a.b=c, with a YAML value. Repeatable.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same samples.")]
CheckpointOption = Annotated[str, typer.Option(help="latest, or best: the one that evaluate.best of the config keeps.")]
DeviceOption = Annotated[str, typer.Option(help="A torch device, or auto.")]
