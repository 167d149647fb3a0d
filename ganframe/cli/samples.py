"""`ganframe sample`, `ganframe augment`, `ganframe interpolate` and `ganframe translate`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganframe.cli.options import CheckpointOption, DeviceOption, RunArgument, SeedOption, path_option
from ganframe.cli.output import new_path, print_line, progress, track
from ganframe.config.tensor_specs import MAX_LISTED_CLASSES
from ganframe.errors import BadInput

MAX_PICTURE_VALUES = 2**29
"""The largest number of values of all samples of a picture, which are in memory together: 2 GiB."""

if TYPE_CHECKING:
    from ganframe.evaluation.loaded_run import LoadedRun


def sample(
    run: RunArgument,
    count: Annotated[int, typer.Option(min=1, help="How many samples.")] = 100,
    seed: SeedOption = 0,
    label: Annotated[
        list[str], typer.Option(help="Name or number of a class to draw; repeat for several. Every class by default.")
    ] = [],
    out: Annotated[
        Path | None, path_option(help="A .png picture, an .npz file, or a folder for one file a sample.")
    ] = None,
    checkpoint: CheckpointOption = "latest",
    device: DeviceOption = "auto",
) -> None:
    """Draw samples from a trained run."""
    import torch

    from ganframe.evaluation.loaded_run import load
    from ganframe.evaluation.pictures import can_draw, draw, label_columns
    from ganframe.evaluation.sample_files import save_arrays, save_samples
    from ganframe.evaluation.sound import sample_rates

    loaded_run = load(run, device=device, checkpoint=checkpoint)
    target = None if out is None else new_path(out, ".png", ".npz", "")
    chosen = _chosen_classes(loaded_run, label)
    labels = [chosen[index % len(chosen)] for index in range(count)] if chosen else loaded_run.balanced_labels(count)
    name, label_spec = loaded_run.game.output, loaded_run.label_spec()
    drawn = (batch[name] for batch in loaded_run.batches(count, (name,), seed=seed, labels=labels))
    first = next(drawn)
    rates = sample_rates(loaded_run.game.data, {"samples": first})
    fits_in_picture = first[0].numel() * count <= MAX_PICTURE_VALUES
    if target is None:
        is_picture = fits_in_picture and can_draw({"samples": first})
        target = new_path(run / f"samples-seed{seed}{'.png' if is_picture else '.npz'}")
    batches = track(itertools.chain([first], drawn), count, "samples")
    if target.suffix == ".png":
        if not fits_in_picture:
            remedy = "Draw fewer, or save them to a folder or an .npz file: --out FOLDER, --out FILE.npz."
            raise BadInput(f"{count:,} samples are too many for a picture", place="--count", remedy=remedy)
        columns = None if labels is None else label_columns(len(chosen) or len(set(labels)), count)
        draw({"samples": torch.cat(list(batches))}, target, columns, rates)
    elif target.suffix == ".npz":
        save_arrays(batches, count, target, labels)
    else:
        spec, rate = label_spec[1] if label_spec else None, rates.get("samples")
        save_samples(batches, target, labels=labels, label_spec=spec, sample_rate=rate)
    _print_classes(loaded_run, labels)
    print_line(str(target))


def augment(
    run: RunArgument,
    out: Annotated[Path, path_option(help="A new folder, with a subfolder for each class.")],
    per_class: Annotated[int | None, typer.Option(min=1, help="How many samples of each class.")] = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="As many of each class as it lacks to the largest class of the data.")
    ] = False,
    label: Annotated[
        list[str], typer.Option(help="Name or number of a class; repeat for several. Every class by default.")
    ] = [],
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Enlarge or balance a labelled image folder with samples.

    Writes an image folder that can be trained on. Its files can be copied into the folder of the training images.
    """
    from ganframe.distributed.notices import print_notice
    from ganframe.evaluation.augment_folder import augment as augment_folder
    from ganframe.evaluation.loaded_run import load

    if (per_class is None) != balance:
        message = "samples are counted by --per-class or by --balance"
        raise BadInput(message, remedy="Give one of the two: --per-class 100, or --balance.")
    loaded_run = load(run, device=device)
    chosen = _chosen_classes(loaded_run, label) or None
    new_path(out, "")
    with progress("samples") as show:
        counts = augment_folder(
            loaded_run, out, per_class=per_class, balance=balance, labels=chosen, seed=seed, progress=show
        )
    listed = [f"{count:,} of {name}" for name, count in counts.items()][:MAX_LISTED_CLASSES]
    more = f" and {len(counts) - len(listed):,} more classes" if len(counts) > len(listed) else ""
    print_notice("samples", ", ".join(listed) + more)
    print_line(str(out))


def translate(
    run: RunArgument,
    source: Annotated[Path, path_option("--input", help="An image, or a folder with images.")],
    target: Annotated[Path, path_option("--output", help="A new folder for the translations.")],
    to: Annotated[str | None, typer.Option(help="Tensor to make, where the game has several translations.")] = None,
    label: Annotated[str | None, typer.Option(help="Name or number of the class to translate to.")] = None,
    seed: SeedOption = 0,
    checkpoint: CheckpointOption = "latest",
    device: DeviceOption = "auto",
) -> None:
    """Translate images with a trained run.

    Neither targets nor the training data are needed.
    """
    from ganframe.evaluation.loaded_run import load
    from ganframe.evaluation.translation import translate as translate_images

    loaded_run = load(run, device=device, checkpoint=checkpoint)
    chosen = _chosen_classes(loaded_run, [] if label is None else [label])
    new_path(target, option="--output")
    with progress("images") as show:
        translate_images(
            loaded_run, source, target, to=to, label=chosen[0] if chosen else None, seed=seed, progress=show
        )
    print_line(str(target))


def _chosen_classes(loaded_run: LoadedRun, label: list[str]) -> list[int]:
    """Return the numbers of the classes that `--label` names; empty if the option is not given."""
    from ganframe.evaluation.labels import parse_labels

    if not label:
        return []
    label_spec = loaded_run.label_spec()
    if label_spec is None:
        raise BadInput("this run was not conditioned on labels", place="--label")
    try:
        return parse_labels(label, label_spec[1])
    except BadInput as problem:
        raise BadInput(problem.message, place="--label", remedy=problem.remedy) from None


def _print_classes(loaded_run: LoadedRun, labels: list[int] | None) -> None:
    """Print to stderr which number stands for which class."""
    from ganframe.config.tensor_specs import describe_classes
    from ganframe.distributed.notices import print_notice

    label_spec = loaded_run.label_spec()
    if labels is not None and label_spec is not None:
        print_notice("classes", describe_classes(labels, label_spec[1]))


def interpolate(
    run: RunArgument,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of latents.")] = 10,
    steps: Annotated[int, typer.Option(min=2, help="Samples from one to the other.")] = 10,
    seed: SeedOption = 0,
    label: Annotated[list[str], typer.Option(help="Name or number of the class of rows; repeat for several.")] = [],
    out: Annotated[Path | None, path_option(help="The .png file.")] = None,
    checkpoint: CheckpointOption = "latest",
    device: DeviceOption = "auto",
) -> None:
    """Draw samples at even steps between pairs of latents."""
    from ganframe.evaluation.interpolation import interpolate as interpolate_run
    from ganframe.evaluation.loaded_run import load
    from ganframe.evaluation.pictures import draw
    from ganframe.evaluation.sound import sample_rates

    loaded_run = load(run, device=device, checkpoint=checkpoint)
    target = new_path(out or run / f"interpolation-seed{seed}.png", ".png")
    chosen = _chosen_classes(loaded_run, label)
    labels = [chosen[row % len(chosen)] for row in range(rows)] if chosen else loaded_run.balanced_labels(rows)
    samples = {"samples": interpolate_run(loaded_run, rows=rows, steps=steps, seed=seed, labels=labels)}
    draw(samples, target, steps, sample_rates(loaded_run.game.data, samples))
    _print_classes(loaded_run, labels)
    print_line(str(target))
