"""`ganframe sample` and `ganframe interpolate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganframe.cli.options import DeviceOption, RunArgument, SeedOption
from ganframe.cli.output import new_path, print_line


def sample(
    run: RunArgument,
    count: Annotated[int, typer.Option(min=1, help="How many samples.")] = 100,
    seed: SeedOption = 0,
    label: Annotated[list[int], typer.Option(help="Class to draw; repeat for several. Every class by default.")] = [],
    out: Annotated[Path | None, typer.Option(help="A .png grid, or a folder for one .png a sample.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw samples from a trained run."""
    from ganframe.evaluation.loaded_run import load
    from ganframe.evaluation.pictures import draw, save_images

    loaded_run = load(run, device=device)
    target = new_path(out or run / f"samples-seed{seed}.png", ".png", "")
    labels = [label[index % len(label)] for index in range(count)] if label else None
    samples = loaded_run.sample(count, seed=seed, labels=labels)
    if target.suffix == ".png":
        draw({"samples": samples}, target)
    else:
        save_images(samples, target, labels)
    print_line(str(target))


def interpolate(
    run: RunArgument,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of latents.")] = 10,
    steps: Annotated[int, typer.Option(min=2, help="Samples from one to the other.")] = 10,
    seed: SeedOption = 0,
    label: Annotated[list[int], typer.Option(help="Class of every row; repeat for several.")] = [],
    out: Annotated[Path | None, typer.Option(help="The .png file.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw samples at even steps between pairs of latents."""
    from ganframe.evaluation.interpolation import interpolate as interpolate_run
    from ganframe.evaluation.loaded_run import load
    from ganframe.evaluation.pictures import draw

    loaded_run = load(run, device=device)
    target = new_path(out or run / f"interpolation-seed{seed}.png", ".png")
    labels = [label[row % len(label)] for row in range(rows)] if label else None
    samples = interpolate_run(loaded_run, rows=rows, steps=steps, seed=seed, labels=labels)
    draw({"samples": samples}, target, steps)
    print_line(str(target))
