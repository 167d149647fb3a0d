"""`ganframe evaluate`, `ganframe report` and `ganframe export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganframe.cli.options import CheckpointOption, DeviceOption, RunArgument, SeedOption, path_option
from ganframe.cli.output import new_path, print_line


def evaluate(
    run: RunArgument,
    metric: Annotated[
        list[str], typer.Option(help="A metric type; repeat for several. The run's own by default.")
    ] = [],
    seed: SeedOption = 0,
    checkpoint: CheckpointOption = "latest",
    device: DeviceOption = "auto",
) -> None:
    """Measure a trained run with metrics."""
    from ganframe.evaluation.metrics import measure_run

    measured = measure_run(run, metric, seed, device, checkpoint)
    for name, value in measured.results.items():
        print_line(f"{name}: {value:.4g}")
    for name, protocol in measured.protocols.items():
        print_line(f"how {name} was measured: " + ", ".join(f"{key} {value}" for key, value in protocol.items()))


def report(run: RunArgument) -> None:
    """Write the report of a run again."""
    from ganframe.evaluation.report import write_report
    from ganframe.runs.folder import RunFolder

    print_line(str(write_report(RunFolder.open(run))))


def export(
    run: RunArgument,
    player: Annotated[str, typer.Option(help="Which network.")] = "generator",
    out: Annotated[Path | None, path_option(help="A .safetensors or .pt2 file.")] = None,
    checkpoint: CheckpointOption = "latest",
) -> None:
    """Export a network as weights or as a program.

    A .safetensors file has the weights; a .pt2 file is a program (torch.export) that needs only PyTorch.
    """
    from ganframe.evaluation.export import export as export_player
    from ganframe.evaluation.loaded_run import load

    loaded_run = load(run, device="cpu", checkpoint=checkpoint)
    target = new_path(out or run / f"{player}.safetensors", ".safetensors", ".pt2")
    export_player(loaded_run, player, target)
    print_line(str(target))
