"""Walks between latents."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.errors import BadInput
from ganframe.evaluation.loaded_run import LoadedRun


def interpolate(trained: LoadedRun, *, rows: int, steps: int, seed: int = 0, labels: list[int] | None = None) -> Tensor:
    """Samples along great circles between pairs of latents (White 2016, arXiv:1609.04468).

    Args:
        trained: The run.
        rows: Pairs of latents.
        steps: Samples in a row, its ends included; at least 2.
        seed: Which latents.
        labels: A class for each row of a conditional game; every class in turn when None.

    Returns:
        Samples `(rows * steps, ...)`, row by row.

    Raises:
        BadInput: When the game has no latents.
    """
    if "latent" not in trained.game.makers:
        raise BadInput("this game has no latents to walk between")
    ends = trained.tensors(2 * rows, ("latent",), seed=seed)["latent"].unflatten(0, (2, rows))
    walk = torch.stack([slerp(ends[0], ends[1], step / (steps - 1)) for step in range(steps)], dim=1)
    label = trained.label()
    classes = [row % label[1] for row in range(rows)] if labels is None and label else labels
    repeated = None if classes is None else torch.tensor(classes).repeat_interleave(steps)
    return trained.sample(rows * steps, seed=seed, labels=repeated, inputs={"latent": walk.flatten(0, 1)})


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at `share` of the way from `start` to `end`, both `(B, ...)`, along the circle through both."""
    flat_start, flat_end = start.flatten(1).double(), end.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(flat_start, flat_end).clamp(-1, 1)
    angle = cosine.acos()[:, None]
    weights = [((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()]
    # On one line with the origin, as latents of one number always are, there is no one circle: go straight.
    straight = angle.sin() < 1e-6
    first, second = (torch.where(straight, part, arc) for part, arc in zip((1 - share, share), weights, strict=True))
    mixed = first * flat_start + second * flat_end
    return mixed.to(start.dtype).reshape(start.shape)
