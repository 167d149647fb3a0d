"""Make the package's data file from the 64 x 64 pairs: `python make_data.py fluent_pairs_64.npz`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "src/ganframe_fluent_emoji/data/fluent_emoji_32.npz"
HELD_OUT = 160
"""Number of emoji that are held out, a tenth."""


def halve(pixels: np.ndarray) -> np.ndarray:
    """Return images `(N, 2H, 2W, C)` as `(N, H, W, C)`, each pixel the mean of the four that it covers."""
    count, height, width, channels = pixels.shape
    blocks = pixels.reshape(count, height // 2, 2, width // 2, 2, channels).astype(np.uint16)
    return ((blocks.sum(axis=(2, 4)) + 2) // 4).astype(np.uint8)


def choose_held_out(line: np.ndarray) -> np.ndarray:
    """Choose a random tenth of the emoji, among those whose line drawing no other emoji shares."""
    _, groups, counts = np.unique(line.reshape(len(line), -1), axis=0, return_inverse=True, return_counts=True)
    unique = np.flatnonzero(counts[groups] == 1)
    held_out = np.zeros(len(line), dtype=bool)
    held_out[np.random.default_rng(0).choice(unique, HELD_OUT, replace=False)] = True
    return held_out


def main() -> None:
    """Read the file named on the command line and write the package's data file."""
    with np.load(sys.argv[1], allow_pickle=False) as arrays:
        line, colour, names = (arrays[name] for name in ("line", "colour", "names"))
    held_out = choose_held_out(line)
    np.savez_compressed(TARGET, line=halve(line)[..., 0], colour=halve(colour), names=names, held_out=held_out)


if __name__ == "__main__":
    main()
