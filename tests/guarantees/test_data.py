"""Broken image files end up in a list instead of ending the run, up to a share of the files; sound ones are decoded to
the right colours; and the data come in the same order with any number of loader workers, also after a resume. A worker
that dies ends the run with what is known of it, and the run can be resumed.

Runs train on images that were cut, overwritten, emptied, renamed, linked in circles, or made to unpack to billions of
pixels, among sound images of every mode, whose colours are compared with what the definitions of the formats give.
Workers are killed, and data sets raise, in the middle of runs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_folders import ImageFolder, PairedFolders, UnpairedFolders
from images import BROKEN, GOOD, write_corpus
from memory import ENVIRONMENT, measured
from PIL import Image
from torch import Tensor

from ganframe import BadInput, RunFailed, hookimpl, load_config, train
from ganframe.data.loader import BatchLoader
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.data.unreadable_files import Quarantine
from ganframe.distributed.shard import WHOLE_BATCH
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import list_checkpoints, load

# Four workers on fewer cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SEED = Randomness(3)
CPU = torch.device("cpu")
CONFIG = """
game:
  type: adversarial
  generator: {{type: mlp, hidden: [8], latent: 4}}
  discriminator: {{type: mlp, hidden: [8]}}
losses: [non-saturating]
data: {{type: image-folder, path: {path}, resolution: 8, flip: true}}
train: {{images: 240, batch_size: 8, device: cpu}}
checkpoint: {{every_images: 64}}
snapshot: {{count: 4}}
loggers: []
"""


def write_config(path: Path, folder: Path) -> Path:
    path.write_text(CONFIG.format(path=folder))
    return path


def command(config: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ganframe", "train", str(config), "--out", str(out), *more]


def entries(run: Path) -> list[dict[str, object]]:
    """The quarantine of a run, without the times."""
    lines = [json.loads(line) for line in (run / "quarantine.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


# What the files of a folder are worth.


@pytest.mark.parametrize("count", [160, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_run_goes_on_over_broken_images_and_lists_them(count: int, tmp_path: Path, figures) -> None:
    canary = tmp_path / "canary"
    expected = write_corpus(tmp_path / "images", count, canary)
    config = write_config(tmp_path / "config.yaml", tmp_path / "images")
    settings = [f"train.images={len(expected)}", "train.batch_size=1", "data.max_unreadable=0.6"]
    # What Pillow would start for PostScript.
    interpreter = tmp_path / "bin" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch {canary}\n")
    interpreter.chmod(0o755)
    path = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
    arguments = command(config, tmp_path / "run", *(f"--set={each}" for each in settings))
    code, errors, peak = measured(arguments, PATH=path)
    assert (code, errors.count("\n")) == (0, 1)
    said = int(re.findall(r"^left out: (\d+) files that cannot be read", errors)[0])
    assert not canary.exists()
    listed = {Path(str(entry["file"])).name for entry in entries(tmp_path / "run")}
    assert len(listed) == len(entries(tmp_path / "run"))
    assert {name for name, what in expected.items() if what is BROKEN} <= listed
    assert not {name for name, what in expected.items() if isinstance(what, tuple)} & listed
    assert all(entry["reason"] for entry in entries(tmp_path / "run"))
    assert said <= len(listed)  # some show only when they are decoded
    # PyTorch takes 300 to 500 MiB; the largest image that Pillow's limit lets pass takes twice 4 bytes a pixel.
    assert peak < 1500
    figures.count("files, sound and broken, in runs over folders", len(expected))
    figures.count("of them quarantined", len(listed))
    figures.worst("peak memory of such a run, MiB", round(peak))


def test_sound_images_have_the_colours_that_their_formats_define(tmp_path: Path, figures) -> None:
    for name, (suffix, make, colour) in GOOD.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"x{suffix}").write_bytes(make())
        pixels = ImageFolder(path=folder, resolution=4).build().fetch([0], SEED)["real"][0].float()
        tolerance = 4 if "JPEG" in name and suffix == ".jpg" and not name.startswith("PNG") else 0.75
        assert pixels.flatten(1).T.tolist() == [pytest.approx(colour, abs=tolerance)] * 16, name
    figures.count("kinds of sound images decoded to the right colours", len(GOOD))


# EXIF's table: what stands where row 0 and column 0 of the stored image are. A B over C D, as each is to be seen.
TURNED = {1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB", 5: "ACBD", 6: "CADB", 7: "DBCA", 8: "BDAC"}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_images_are_turned_as_their_exif_says(orientation: int, suffix: str, tmp_path: Path, figures) -> None:
    shades = {"A": 0, "B": 80, "C": 160, "D": 240}
    stored = np.zeros((16, 16), dtype=np.uint8)
    for letter, (row, column) in zip("ABCD", ((0, 0), (0, 8), (8, 0), (8, 8)), strict=True):
        stored[row : row + 8, column : column + 8] = shades[letter]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "jpg" else {}
    Image.fromarray(stored).save(tmp_path / f"x.{suffix}", exif=exif, **options)
    given = ImageFolder(path=tmp_path, resolution=16, channels=1).build().fetch([0], SEED)["real"][0, 0]
    seen = [int(given[row, column]) for row in (4, 12) for column in (4, 12)]
    assert seen == pytest.approx([shades[letter] for letter in TURNED[orientation]], abs=6)
    figures.count("images with an EXIF orientation, upright")


# What is read instead of a broken file, and in which order.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images in two classes, of which three are broken; grey says which is which."""
    for number in range(40):
        file = tmp_path / "images" / ("x" if number < 20 else "y") / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 6 * number, dtype=np.uint8)).save(file)
    for broken in ("x/003", "x/004", "y/039"):
        cut(tmp_path / "images" / f"{broken}.png")
    return tmp_path / "images"


def cut(file: Path) -> None:
    """Spoil the pixels of a PNG and leave its header whole."""
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"IDAT") + 6])


def numbers(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0] / 6).round().int().tolist()


def test_the_next_readable_image_stands_in_with_its_own_label(folder: Path) -> None:
    data = ImageFolder(path=folder, resolution=8, labels=True, max_unreadable=0.1).build()
    batch = data.fetch([2, 3, 4, 5, 39, 19], SEED)
    assert numbers(batch["real"]) == [2, 5, 5, 5, 0, 19]
    assert batch["label"].tolist() == [0, 0, 0, 0, 0, 0]


def test_the_next_whole_pair_stands_in(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "x"
    whole.mkdir(parents=True)
    for number in range(20):
        Image.fromarray(np.full((8, 8), 6 * number, dtype=np.uint8)).save(whole / f"{number:03d}.png")
    cut(whole / "005.png")
    data = PairedFolders(source=folder / "x", target=whole, resolution=8, max_unreadable=0.1).build()
    batch = data.fetch([2, 3, 6], SEED)
    assert numbers(batch["source"]) == numbers(batch["target"]) == [2, 6, 6]


def test_each_domain_has_stand_ins_of_its_own(folder: Path) -> None:
    data = UnpairedFolders(a=folder / "x", b=folder / "y", resolution=8, max_unreadable=0.1).build()
    drawn = [data.fetch(range(20), SEED.at(number)) for number in range(10)]
    assert all(numbers(batch["real_a"])[2:6] == [2, 5, 5, 5] for batch in drawn)
    assert {number for batch in drawn for number in numbers(batch["real_b"])} == set(range(20, 39))


@pytest.mark.parametrize("first", [0, 7])
def test_any_number_of_workers_gives_the_same_batches_and_the_same_list(
    first: int, folder: Path, tmp_path: Path, figures
) -> None:
    data = ImageFolder(path=folder, resolution=8, labels=True, flip=True, max_unreadable=0.1).build()

    def drawn(workers: int) -> tuple[list[dict[str, Tensor]], list[dict[str, object]]]:
        run = tmp_path / f"{first} {workers}"
        run.mkdir()
        batches = BatchLoader(data, 8, SEED, CPU, workers, quarantine=Quarantine(run / "quarantine.jsonl"))
        return list(islice(batches.starting_at(first), 12)), entries(run)

    alone, listed = drawn(0)
    order = EpochShuffleSampler(40, 8, SEED, WHOLE_BATCH)
    for entry in listed:
        index = int(str(entry["file"])[-7:-4])
        assert {index, index - 1} & set(order.batch(int(str(entry["batch"]))))  # met itself, or as a stand-in
    assert [str(entry["file"])[-9:] for entry in sorted(listed, key=lambda entry: str(entry["file"]))] == [
        "x/003.png",
        "x/004.png",
        "y/039.png",
    ]
    for workers in (1, 2, 4):
        batches, same = drawn(workers)
        assert same == listed
        for mine, theirs in zip(batches, alone, strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
            figures.count("batches from loader workers, the same as without")


class PowerCut:
    """Ends a run at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def on_step_end(self, step: int) -> None:
        """End it."""
        if step == self.step:
            raise RunFailed("the lights went out")


def state(run: Path) -> dict[str, object]:
    _, sections = load(list_checkpoints(run / "checkpoints")[0])
    return sections


def assert_same(mine: object, theirs: object) -> None:
    if isinstance(theirs, Tensor):
        assert isinstance(mine, Tensor)
        assert torch.equal(mine, theirs)
    elif isinstance(theirs, dict):
        assert isinstance(mine, dict)
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_same(mine[key], value)
    else:
        assert mine == theirs


@pytest.mark.parametrize(("before", "after"), [(2, 0), pytest.param(0, 4, marks=pytest.mark.slow)])
def test_a_run_resumed_with_other_workers_is_the_same_run(
    before: int, after: int, folder: Path, tmp_path: Path, figures
) -> None:
    config = write_config(tmp_path / "config.yaml", folder)
    share = "data.max_unreadable=0.1"
    train(load_config(str(config), share), out=tmp_path / "whole")
    with pytest.raises(RunFailed, match="lights"):
        cut_short = load_config(str(config), share, f"train.workers={before}")
        train(cut_short, out=tmp_path / "cut", hooks=[PowerCut(21)])
    goes_on = load_config(str(config), share, f"train.workers={after}")
    train(goes_on, out=tmp_path / "cut", resume=True, allow_changes=["train.workers"])
    assert_same(state(tmp_path / "cut"), state(tmp_path / "whole"))
    assert entries(tmp_path / "cut") == entries(tmp_path / "whole")
    figures.count("runs resumed with another number of workers, the same bit for bit")


# Too many broken files.


def test_too_many_broken_files_are_refused_when_the_data_is_opened(folder: Path, tmp_path: Path, cli) -> None:
    for broken in ("x/001", "x/002"):
        (folder / f"{broken}.png").write_bytes(b"no image")
    config = write_config(tmp_path / "config.yaml", folder)
    outcome = cli("train", config, "--out", tmp_path / "run", "--set", "data.max_unreadable=0.04")
    assert outcome.code == 2
    assert "2 of 40 files cannot be read, and `max_unreadable: 0.04` allows 1: " in outcome.err
    assert f"{folder / 'x' / '001.png'} (this is not a readable image); {folder / 'x' / '002.png'}" in outcome.err
    assert "raise `max_unreadable`" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_ends_at_too_many_broken_files_and_goes_on_once_they_are_mended(
    workers: int, folder: Path, tmp_path: Path, cli, figures
) -> None:
    """All workers count together; a run that ended so has lost nothing."""
    sound = {file: file.read_bytes() for file in folder.rglob("*.png")}
    config = write_config(tmp_path / "config.yaml", folder)
    settings = ["--set", "data.max_unreadable=0.1", "--set", f"train.workers={workers}"]
    assert cli("train", config, "--out", tmp_path / "whole", *settings).code == 0
    for number in (10, 11):
        cut(folder / "x" / f"{number:03d}.png")
    run = tmp_path / "run"
    outcome = cli("train", config, "--out", run, *settings)
    assert outcome.code == 2
    listed = entries(run)
    assert len(listed) == 5
    assert f"{config}:7:1: data: 5 of 40 files cannot be read, and `max_unreadable: 0.1` allows 4: " in outcome.err
    assert f"{listed[-1]['file']} ({listed[-1]['reason']}); {run / 'quarantine.jsonl'} lists them all" in outcome.err
    for file, content in sound.items():
        file.write_bytes(content)
    assert cli("train", run, "--resume").code == 0
    assert_same(state(run), state(tmp_path / "whole"))
    assert entries(run) == entries(tmp_path / "whole")
    figures.count("runs ended at the limit and resumed once the files were mended")


def test_a_folder_that_vanishes_does_not_take_long_to_refuse(folder: Path, tmp_path: Path) -> None:
    data = ImageFolder(path=folder, resolution=8, max_unreadable=0.1).build()
    for file in folder.rglob("*.png"):
        file.unlink()
    batches = BatchLoader(data, 8, SEED, CPU, quarantine=Quarantine(tmp_path / "quarantine.jsonl")).starting_at(0)
    with pytest.raises(BadInput, match=r"5 of 40 files .* allows 4: .*No such file"):
        next(batches)
    with pytest.raises(BadInput, match="No such file or directory, and none of the 4 behind it can be read"):
        data.fetch([0], SEED)


# Workers and data sets that fail.


class Failing:
    """A data set that fails at one example.

    Args:
        how: In which way.
    """

    def __init__(self, how: str) -> None:
        self.how = how

    def __len__(self) -> int:
        """A hundred examples."""
        return 100

    def fetch(self, indices: list[int], randomness: Randomness) -> dict[str, Tensor]:
        """Numbers, or the failure."""
        if 42 in indices:
            if self.how == "raises":
                raise ValueError("a shape that nobody foresaw")
            if self.how == "has no memory":
                raise MemoryError
            if self.how == "gives no tensors":
                return {"real": indices}  # type: ignore[dict-item]
            if self.how == "leaves":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGINT if self.how == "is interrupted" else signal.SIGKILL)
        return {"real": torch.tensor(indices).float()}


def exhaust(batches: Iterator[dict[str, Tensor]]) -> None:
    for _ in islice(batches, 100):
        pass


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize(
    ("how", "what"),
    [("raises", "ValueError: a shape that nobody foresaw"), ("has no memory", "MemoryError")],
)
def test_a_data_set_that_fails_is_named_with_its_examples(how: str, what: str, workers: int, figures) -> None:
    batches = BatchLoader(Failing(how), 5, SEED, CPU, workers)
    number = next(each for each in range(20) if 42 in batches.dataset.sampler.batch(each))
    with pytest.raises(RunFailed) as caught:
        exhaust(batches.starting_at(0))
    examples = ", ".join(map(str, batches.dataset.sampler.batch(number)))
    assert str(caught.value).startswith(
        f"the data set failed at batch {number} of {Failing.__module__}.Failing, the examples {examples}: {what} ("
    )
    assert "test_data.py:" in str(caught.value)
    assert "Traceback" in caught.value.__notes__[0]
    figures.count("data sets that failed, named with their examples")


@pytest.mark.timeout(120)
def test_a_batch_that_cannot_be_sent_does_not_hang_the_run() -> None:
    with pytest.raises(BadInput, match=r"Failing.fetch returned list for 'real'"):
        exhaust(BatchLoader(Failing("gives no tensors"), 5, SEED, CPU, workers=1).starting_at(0))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("is killed", r"was killed by SIGKILL, as happens when memory runs out\)"),
        ("leaves", r"ended with code 3\)"),
    ],
)
def test_a_worker_that_dies_is_reported(how: str, what: str, workers: int, figures) -> None:
    said = rf"a loader worker died \(process \d+ {what} while the run waited for batch \d+ of .*Failing, the examples "
    said += r"\d+, "
    with pytest.raises(RunFailed, match=said):
        exhaust(BatchLoader(Failing(how), 5, SEED, CPU, workers).starting_at(0))
    figures.count("loader workers that died, reported")


def test_a_worker_leaves_interrupts_to_the_run() -> None:
    """A terminal sends them to all processes, and the step that is under way still needs its batches."""
    exhaust(BatchLoader(Failing("is interrupted"), 5, SEED, CPU, workers=1).starting_at(0))


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def started(arguments: list[str], steps: int, run: Path) -> subprocess.Popen[str]:
    """A run in a process group of its own, once it has taken some steps."""
    process = subprocess.Popen(
        [*arguments, "--set=loggers=[{type: jsonl, every: 1}]"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(6000):
        log = run / "scalars.jsonl"
        if log.is_file() and log.read_bytes().count(b"\n") >= steps:
            return process
        time.sleep(0.01)
    raise AssertionError("the run takes no steps")


@pytest.mark.timeout(200)
def test_a_run_whose_worker_is_killed_ends_and_goes_on(folder: Path, tmp_path: Path, figures) -> None:
    config, run = write_config(tmp_path / "config.yaml", folder), tmp_path / "run"
    settings = ["--set=data.max_unreadable=0.1", "--set=train.workers=2", "--set=train.images=8000"]
    process = started(command(config, run, *settings, "--set=checkpoint.every_images=8"), 5, run)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: a loader worker died (process " in errors
    assert "was killed by SIGKILL" in errors
    assert "Traceback" not in errors
    at = load(list_checkpoints(run / "checkpoints")[0])[0]
    shorter = [f"train.images={8 * (at + 5)}", "data.max_unreadable=0.1"]
    changes = ["train.images", "train.workers", "checkpoint", "loggers"]
    train(load_config(str(config), *shorter), out=run, resume=True, allow_changes=changes)
    train(load_config(str(config), *shorter), out=tmp_path / "whole")
    assert_same(state(run), state(tmp_path / "whole"))
    figures.count("runs whose worker was killed, resumed bit for bit")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_ctrl_c_in_a_terminal_ends_a_run_with_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    config, run = write_config(tmp_path / "config.yaml", folder), tmp_path / "run"
    settings = ["--set=data.max_unreadable=0.1", "--set=train.workers=2", "--set=train.images=100_000"]
    process = started(command(config, run, *settings, "--set=train.accumulate=8"), 2, run)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "error: interrupted; the run can go on with --resume\n")
    assert len(list_checkpoints(run / "checkpoints")) == 2
