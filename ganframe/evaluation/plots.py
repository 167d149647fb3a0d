"""Plots of tensors that are no images: numbers, points of the plane, sounds and series. Each returns a PNG file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from ganframe.evaluation.sound import RANGE_DB, spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = 6
"""The largest number of sounds or series in a plot."""

BINS = 50
"""The number of bars of a histogram."""

CHANNELS = 8
"""The largest number of channels of a series that are drawn."""

COLOURS = ("tab:gray", "tab:red", "tab:blue", "tab:green")
"""The colours of tensors that are drawn in one plot."""


def histogram(tensors: Mapping[str, Tensor]) -> bytes:
    """Return a plot of how often numbers occur, as densities.

    Args:
        tensors: Numbers `(B, 1)`, by name.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot(ylabel="density")
    for (name, numbers), colour in zip(tensors.items(), COLOURS, strict=False):
        axes.hist(numbers.flatten().tolist(), bins=BINS, density=True, alpha=0.5, label=name, color=colour)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(tensors))
    return _png(figure)


def scatter(tensors: Mapping[str, Tensor]) -> bytes:
    """Return a plot of points.

    Args:
        tensors: Points `(B, 2)`, by name.
    """
    from matplotlib.figure import Figure  # slow to import, and images do not need it

    figure = Figure(figsize=(5, 5), dpi=100)
    axes = figure.add_subplot(aspect="equal")
    for (name, points), colour in zip(tensors.items(), COLOURS, strict=False):
        axes.scatter(*points.T.tolist(), s=4, alpha=0.5, label=name, color=colour, linewidths=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(tensors))
    return _png(figure)


def curves(tensors: Mapping[str, Tensor], sample_rates: Mapping[str, int]) -> bytes:
    """Return a plot of the first examples of sounds and series.

    A sound is drawn as a waveform and a spectrogram, a series as one curve for each of its first channels.

    Args:
        tensors: `(B, C, T)`, by name.
        sample_rates: Samples per second of the tensors that are sounds, by name.
    """
    from matplotlib.figure import Figure

    panels = [(name, is_spectrum) for name in tensors for is_spectrum in (False, True)[: 1 + (name in sample_rates)]]
    examples = min(EXAMPLES, *map(len, tensors.values()))
    columns = len(panels) if len(panels) > 1 else min(3, examples)
    rows = -(-examples * len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 1.7 * rows), dpi=100, layout="constrained")
    for example in range(examples):
        for position, (name, is_spectrum) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, example * len(panels) + position + 1)
            axes.tick_params(labelsize=6)
            if example * len(panels) + position < columns:
                axes.set_title(name, fontsize=8)
            if is_spectrum:
                _draw_spectrogram(axes, tensors[name][example], sample_rates[name])
            else:
                _draw_curves(axes, tensors[name][example], sample_rates.get(name))
    return _png(figure)


def _draw_curves(axes: Axes, values: Tensor, sample_rate: int | None) -> None:
    times = [index / (sample_rate or 1) for index in range(values.shape[1])]
    for channel in values[:CHANNELS]:
        axes.plot(times, channel.tolist(), linewidth=0.7)
    axes.margins(x=0)
    if sample_rate is not None:
        axes.set_ylim(-1.05, 1.05)
        axes.set_xlabel("s", fontsize=6, labelpad=0)


def _draw_spectrogram(axes: Axes, sound: Tensor, sample_rate: int) -> None:
    seconds = sound.shape[1] / sample_rate
    levels = spectrogram(sound).tolist()
    extent = (0.0, seconds, 0.0, sample_rate / 2000)
    axes.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=-RANGE_DB, vmax=0, cmap="magma")
    axes.set_xlabel("s", fontsize=6, labelpad=0)
    axes.set_ylabel("kHz", fontsize=6, labelpad=0)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
