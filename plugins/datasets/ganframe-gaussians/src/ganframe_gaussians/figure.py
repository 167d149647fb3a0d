"""The picture of a game in one dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ganframe_gaussians.densities import VALUE_OF_EQUAL_DENSITIES, Densities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADROOM = 2.0
"""Height of the axis of densities, in units of the highest density of the data. It does not follow the samples, so that
pictures of a run can be compared."""

VISIBLE = 0.03
"""The smallest sum of both densities at which the optimal discriminator is drawn, in the same units."""


def draw_figure(densities: Densities) -> Tensor:
    """Return the picture as one image `(1, 3, H, W)` in [-1, 1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(make_figure(densities))
    canvas.draw()
    pixels = torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3])
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def make_figure(densities: Densities) -> Figure:
    """Return the picture of both densities, the discriminator and the optimal one.

    The optimal discriminator is left out where both densities are next to nothing, so that the estimate of one of them
    decides it.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, figure 1, whose line styles it has: data dotted and black, samples
        solid and green, discriminator dashed and blue.
    """
    from matplotlib.figure import Figure  # slow to import, and measuring does not need it

    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    x = densities.x.numpy()
    known = (densities.p + densities.q) > VISIBLE * densities.p.max()
    optimal = densities.optimal.where(known, torch.nan)
    right.axhline(0.5, color="lightgray", linewidth=0.8)
    lines = [
        *left.plot(x, densities.p.numpy(), color="black", linestyle=":", linewidth=2, label="p(x), data"),
        *left.plot(x, densities.q.numpy(), color="tab:green", linewidth=2, label="q(x), samples"),
        *right.plot(x, optimal.numpy(), color="tab:orange", linewidth=1.5, label="optimal D*(x) = p/(p+q)"),
        *right.plot(x, densities.discriminator.numpy(), color="tab:blue", linestyle="--", linewidth=2, label="D(x)"),
    ]
    left.set(xlabel="x", ylabel="density", xlim=(x[0], x[-1]), ylim=(0, HEADROOM * float(densities.p.max())))
    right.set(ylabel="probability of real", ylim=(0, 1))
    left.set_title(
        f"V = {densities.value():.3f} (-2 log 2 = {VALUE_OF_EQUAL_DENSITIES:.3f})    JSD = {densities.jsd():.4f}"
    )
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False)
    return figure
