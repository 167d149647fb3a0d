"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigArgument = Annotated[str, typer.Argument(help="A YAML file, or the name of a preset.")]
RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]
SetOption = Annotated[list[str], typer.Option("--set", help="Override: a.b=c, with a YAML value. Repeatable.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same samples.")]
DeviceOption = Annotated[str, typer.Option(help="A torch device, or auto.")]
