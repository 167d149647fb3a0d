"""A run whose weights are not finite loads, but nothing is made, measured or exported with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ganframe
from ganframe import BadInput, load
from ganframe.evaluation.export import export
from ganframe.evaluation.interpolation import interpolate
from ganframe.evaluation.metrics import measure_run
from ganframe.evaluation.translation import translate
from ganframe.runs.checkpoint_files import list_checkpoints, save
from ganframe.runs.checkpoint_files import load as load_checkpoint

BAD = [float("nan"), float("inf"), float("-inf")]


def spoil(run: Path, section: str, number: float) -> str:
    """Make one number of each tensor of a section not finite, under a valid manifest; return a tensor's name."""
    folder = list_checkpoints(run / "checkpoints")[0]
    step, sections = load_checkpoint(folder)
    tensors = {name: value for name, value in sections[section].items() if value.is_floating_point()}
    for tensor in tensors.values():
        tensor.view(-1)[-1] = number
    save(run / "checkpoints", step, sections, keep=2)
    return next(iter(tensors)).removeprefix("generator.module.")


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_run, tmp_path / "run"))


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize(("section", "player"), [("averages", "generator"), ("player.discriminator", "discriminator")])
def test_every_use_is_refused_by_name(run: Path, section: str, player: str, number: float, tmp_path: Path) -> None:
    name = spoil(run, section, number)
    loaded = load(run)
    uses: list[Callable[[], Any]] = [
        lambda: loaded.sample(3),
        lambda: loaded.tensors(3, ["latent"]),
        lambda: interpolate(loaded, rows=1, steps=2),
        lambda: export(loaded, "generator", tmp_path / "generator.safetensors"),
        lambda: export(loaded, "generator", tmp_path / "generator.pt2"),
        lambda: measure_run(run, ["label-agreement"], 0, "cpu"),
    ]
    for use in uses:
        with pytest.raises(BadInput) as raised:
            use()
        assert raised.value.message.startswith("weights of this run are not finite")
        assert f"the player {player!r} ({name}, " in raised.value.message
        assert raised.value.place == str(list_checkpoints(run / "checkpoints")[0])
        assert raised.value.remedy
    assert not list(tmp_path.glob("generator*"))


@pytest.mark.parametrize(
    "command",
    [
        ("sample", "--count", "2"),
        ("interpolate", "--rows", "1"),
        ("evaluate", "--metric", "label-agreement"),
        ("export",),
    ],
)
def test_commands_end_with_2_and_write_nothing(run: Path, command: tuple[str, ...], cli: Any) -> None:
    spoil(run, "averages", float("nan"))
    before = sorted(run.rglob("*"))
    outcome = cli(command[0], run, *command[1:])
    assert (outcome.code, outcome.out) == (2, "")
    assert "the player 'generator'" in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(run.rglob("*")) == before


def test_the_checkpoint_before_it_is_used_once_it_is_removed(run: Path) -> None:
    folder = list_checkpoints(run / "checkpoints")[0]
    step, sections = load_checkpoint(folder)
    save(run / "checkpoints", step - 1, sections, keep=2)  # the same weights
    spoil(run, "averages", float("nan"))
    with pytest.raises(BadInput) as raised:
        load(run).sample(1)
    shutil.rmtree(raised.value.place)
    assert load(run).sample(1).isfinite().all()


TRANSLATION = """
game:
  type: paired
  generator: {type: unet, channels: 2, depth: 2}
  discriminator: {type: patchgan, receptive_field: 16, channels: 2}
losses: [non-saturating]
data: fluent-emoji
train: {images: 2, batch_size: 2, device: cpu}
snapshot: {count: 2}
"""


def test_translations_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(TRANSLATION)
    run = ganframe.train(ganframe.load_config(str(config)), out=tmp_path / "run").path
    spoil(run, "player.generator", float("nan"))
    source = tmp_path / "images"
    source.mkdir()
    shutil.copy(run / "samples.png", source / "one.png")
    with pytest.raises(BadInput, match="the player 'generator'"):
        translate(load(run), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
