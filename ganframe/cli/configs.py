"""`ganframe presets`, `ganframe explain` and `ganframe schema`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from ganframe.cli.options import ConfigArgument, SetOption, path_option
from ganframe.cli.output import console, new_path, print_line, print_table


def presets() -> None:
    """List the installed presets."""
    from ganframe.config.presets import summaries

    print_table(("preset", "what", "package"), summaries())


def explain(config: ConfigArgument, overrides: SetOption = []) -> None:
    """Show what a config means, before anything trains.

    Lists the data, the players with their shapes and parameter counts, named tensors, contests, terms, turns with their
    learning rates, balancers, augmentations, metrics, and the cost of a step.
    """
    from ganframe.config.presets import load

    loaded = load(config, overrides)
    from ganframe.training.explain import explain as explain_experiment  # after the config is read: imports torch

    with loaded.document.errors():
        explanation = explain_experiment(loaded.experiment)
    if explanation.summary:
        print_line(explanation.summary)
    for title, (header, *rows) in explanation.tables.items():
        console.print(f"\n[bold]{title}[/]")
        print_table(header, rows)
    console.print("\n[bold]cost[/]")
    print_line(f" {explanation.cost}")
    for warning in explanation.warnings:
        print_line(f" {warning}")


def schema(
    out: Annotated[Path | None, path_option(help="A file, new or an older schema; the terminal when left out.")] = None,
) -> None:
    """Print the JSON schema of configs, for editors to read.

    It covers every component that is installed.
    """
    from ganframe.config.json_schema import json_schema

    text = json.dumps(json_schema(), indent=1)
    if out is None:
        sys.stdout.write(text + "\n")
    else:
        first_entry = text[: text.index(",")].encode()
        is_older_schema = out.is_file() and out.read_bytes().startswith(first_entry)
        (out if is_older_schema else new_path(out)).write_text(text + "\n", encoding="utf-8")
        print_line(str(out))
