"""Interpolation between latents."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.config.arguments import check_whole_number
from ganframe.errors import BadInput
from ganframe.evaluation.labels import Labels, class_numbers
from ganframe.evaluation.loaded_run import LoadedRun


def interpolate(loaded: LoadedRun, *, rows: int, steps: int, seed: int = 0, labels: Labels | None = None) -> Tensor:
    """Return samples along great circles between pairs of random latents (White 2016, arXiv:1609.04468).

    Args:
        loaded: The run.
        rows: Number of pairs of latents. Each pair gives one row of samples.
        steps: Number of samples in a row, including those of the two latents; at least 2.
        seed: The seed of the latents.
        labels: The number or the name of one class for each row, if the game is conditional; when None, the rows cycle
            through the classes.

    Returns:
        Samples `(rows * steps, ...)`, row by row.

    Raises:
        BadInput: When the game has no latents, the labels do not fit the game or are not one for each row, or there are
            fewer than 1 row or 2 steps.
    """
    check_whole_number("rows", rows)
    check_whole_number("steps", steps)
    if rows < 1 or steps < 2:
        raise BadInput(f"{rows} rows of {steps} samples cannot be drawn", remedy="Ask for 1 row and 2 steps at least.")
    if "latent" not in loaded.game.makers:
        raise BadInput("this game has no latents to walk between")
    ends = loaded.tensors(2 * rows, ("latent",), seed=seed)["latent"].unflatten(0, (2, rows))
    walk = torch.stack([slerp(ends[0], ends[1], step / (steps - 1)) for step in range(steps)], dim=1)
    chosen = loaded.balanced_labels(rows) if labels is None else labels
    label = loaded.label_spec()
    if chosen is not None and label is not None:
        chosen = class_numbers(chosen, label[1]).repeat_interleave(steps)
    return loaded.sample(rows * steps, seed=seed, labels=chosen, inputs={"latent": walk.flatten(0, 1)})


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Return the points on great circles from start points to end points (spherical interpolation).

    Args:
        start: The start points, `(B, ...)`.
        end: The end points, `(B, ...)`.
        share: How far along each circle the point is, from 0 for the start to 1 for the end.
    """
    flat_start, flat_end = start.flatten(1).double(), end.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(flat_start, flat_end).clamp(-1, 1)
    angle = cosine.acos()[:, None]
    weights = [((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()]
    # Two points on one line with the origin, as latents of a single number always are, have no unique great circle:
    # interpolate between them linearly.
    straight = angle.sin() < 1e-6
    first, second = (torch.where(straight, part, arc) for part, arc in zip((1 - share, share), weights, strict=True))
    mixed = first * flat_start + second * flat_end
    return mixed.to(start.dtype).reshape(start.shape)
