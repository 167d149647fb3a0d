"""Images a second of each data set of images, against a plain PyTorch DataLoader over the same files.

The plain loader opens each file with Pillow, cuts out the middle, resizes with the same filter and makes a float tensor
in [-1, 1]: the same pixels, as is checked. Both load in one process and one thread, with batches of 64 in a shuffled
order. There are two ratios: of the batches as they are handed to a device, which are uint8 here and floats there, and
of float batches on the CPU, where making the floats of a large batch takes longer than reading them from packed data.

What is reported is the ratio of the CPU times of adjacent blocks of batches: single times are noise on a shared
machine, the ratio of neighbours is not.

    python tests/benchmarks/data_sources.py [--files 256] [--blocks 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ganframe.config.component_kinds import DatasetConfig
from ganframe.data.loader import BatchLoader
from ganframe.data.packing import pack
from ganframe.data.workers import fetch
from ganframe.randomness import Randomness

BATCH = 64
SIDES = (64, 256)
PHOTO = (512, 384)
"""Width and height of the files."""

CPU = torch.device("cpu")

Row = dict[str, float | str | int]
"""A row of the table."""


def write_photos(folder: Path, count: int) -> None:
    """Write JPEG files with shapes of every size and some noise, as photographs have them."""
    generator = np.random.default_rng(0)
    width, height = PHOTO
    for number in range(count):
        picture = np.zeros((height, width, 3))
        for scale in (8, 32, 128):
            coarse = generator.integers(0, 256, (max(2, height // scale), max(2, width // scale), 3), dtype=np.uint8)
            picture += np.asarray(Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC), dtype=float)
        picture = picture / 3 + generator.normal(0, 4, picture.shape)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


class PlainImages(TorchDataset[Tensor]):
    """A data set as a tutorial writes it."""

    def __init__(self, folder: Path, side: int) -> None:
        self.files, self.side = sorted(folder.glob("*.jpg")), side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as image:
            width, height = image.size
            cut = min(width, height)
            left, top = (width - cut) // 2, (height - cut) // 2
            square = image.convert("RGB").crop((left, top, left + cut, top + cut))
            small = square.resize((self.side, self.side), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous().float().div(127.5).sub(1)


def plain_batches(folder: Path, side: int) -> Iterator[Tensor]:
    """Yield batches of the plain loader without end."""
    loader = DataLoader(PlainImages(folder, side), batch_size=BATCH, shuffle=True)
    while True:
        yield from loader


def handed_over(config: DatasetConfig) -> Iterator[Tensor]:
    """Yield batches of a data set as a run hands them to its device."""
    source = BatchLoader(config.build(), BATCH, Randomness(0), CPU).dataset
    for batch in fetch(source, 0, 0, pin_memory=False):
        yield batch.batch["real"]


def as_floats(config: DatasetConfig) -> Iterator[Tensor]:
    """Yield batches of a data set as a run on the CPU gets them."""
    for batch in BatchLoader(config.build(), BATCH, Randomness(0), CPU).starting_at(0):
        yield batch["real"]


def image_folder(folder: Path, side: int, scratch: Path) -> DatasetConfig:
    """The files as they are."""
    settings = {"type": "image-folder", "path": folder, "resolution": side}
    config = DatasetConfig.from_value(settings)
    assert isinstance(config, DatasetConfig)
    return config


def packed(folder: Path, side: int, scratch: Path) -> DatasetConfig:
    """The files, packed before the clock starts."""
    source = image_folder(folder, side, scratch)
    pack(source.build(), source.spec(), scratch / f"packed-{side}", data="image-folder")
    config = DatasetConfig.from_value({"type": "packed", "path": scratch / f"packed-{side}"})
    assert isinstance(config, DatasetConfig)
    return config


SOURCES: dict[str, Callable[[Path, int, Path], DatasetConfig]] = {"image-folder": image_folder, "packed": packed}
"""For each type of data set, what writes the photographs in its form and returns the config that reads them."""

TARGETS = {"image-folder": 1.0, "packed": 20.0}
"""The least ratio that is asked for, by type."""


def check_pixels(config: DatasetConfig, folder: Path, side: int) -> None:
    """Compare the pixels of a few examples with those of the plain loader."""
    plain = PlainImages(folder, side)
    loaded = BatchLoader(config.build(), len(plain), Randomness(0), CPU)
    order = loaded.dataset.sampler.batch(0)
    real = next(loaded.starting_at(0))["real"]
    assert all(torch.equal(real[row], plain[order[row]]) for row in range(4))


def seconds(batches: Iterator[Tensor], count: int) -> float:
    """Return the seconds of CPU time that an image takes, over so many batches."""
    began = time.process_time()
    images = sum(len(batch) for batch in islice(batches, count))
    return (time.process_time() - began) / images


def ratios(ours: Iterator[Tensor], theirs: Iterator[Tensor], blocks: int) -> tuple[list[float], float]:
    """Return the ratios of the speeds, block by block, and the images a second of ours."""
    # A block of ours takes about as long as one batch of theirs, or a tenth of a second.
    own_count = max(1, round(0.1 / (seconds(ours, 2) * BATCH)))
    seconds(theirs, 1)
    found, times = list[float](), list[float]()
    for index in range(blocks):
        # Who goes first changes, so that whatever drifts favours neither.
        turn = dict[str, float]()
        for who in ("ours", "theirs") if index % 2 else ("theirs", "ours"):
            turn[who] = seconds(ours, own_count) if who == "ours" else seconds(theirs, 1)
        found.append(turn["theirs"] / turn["ours"])
        times.append(turn["ours"])
    return found, 1 / statistics.median(times)


def compare(config: DatasetConfig, name: str, folder: Path, side: int, blocks: int) -> list[Row]:
    """Compare a data set with the plain loader, for both kinds of batches."""
    check_pixels(config, folder, side)
    rows = list[Row]()
    for what, batches in (("handed over", handed_over(config)), ("floats on the CPU", as_floats(config))):
        found, speed = ratios(batches, plain_batches(folder, side), blocks)
        low, middle, high = statistics.quantiles(found, n=4)
        rows.append(
            {
                "source": name,
                "side": side,
                "batches": what,
                "ratio": round(middle, 3),
                "quartiles": f"{low:.2f} to {high:.2f}",
                "target": TARGETS.get(name, 0.0),
                "blocks": blocks,
                "images per second": round(speed),
            }
        )
    return rows


def main() -> None:
    """Print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = list[Row]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        write_photos(folder, arguments.files)
        print("speed / speed of a plain DataLoader with Pillow (median and quartiles of adjacent blocks)")
        for side in SIDES:
            for name, source in SOURCES.items():
                for row in compare(source(folder, side, Path(scratch)), name, folder, side, arguments.blocks):
                    results.append(row)
                    print(
                        f"  {name:12} {side:4}  {row['batches']:18} {row['ratio']:8.2f}  ({row['quartiles']})  "
                        f"{row['images per second']:,} images/s; target {row['target']}",
                        flush=True,
                    )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        versions = {"torch": torch.__version__, "pillow": PIL.__version__, "machine": platform.processor() or "cpu"}
        arguments.json.write_text(json.dumps({**versions, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
