"""The half-life of averages: constant, ramped up and scheduled, with every average worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from line_game import PAIRS, batch, begin, weights
from pydantic import ValidationError
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganframe import RunFailed, hookimpl, load_config, train
from ganframe.builtin.schedules import Linear, Piecewise
from ganframe.config.experiment import Ema, Train
from ganframe.config.settings import RunLength
from ganframe.config.without_effect import describe_without_effect
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.training.ema import make_averages
from ganframe.training.explain import explain


def moved(**settings: Any) -> tuple[list[float], list[float]]:
    """The maker's weight and its average after each of six steps of two images."""
    trainer = begin([batch(*pair) for pair in PAIRS[:6]], decay=0.0, train={"ema": Ema(**settings)})
    assert trainer.run.averages is not None
    live, averaged = list[float](), list[float]()
    for _ in range(6):
        trainer.step()
        live.append(weights(trainer)[1])
        averaged.append(trainer.run.averages.players["maker"].weight.item())
    return live, averaged


def test_the_images_of_all_accumulated_batches_count() -> None:
    settings = {"half_life_images": Linear(start=0, end=8, duration_images=16)}
    batches = [batch(*pair) for pair in PAIRS[:6]]
    trainer = begin(batches, decay=0.0, train={"ema": Ema(**settings), "gradient_accumulation_steps": 2})
    assert trainer.run.averages is not None
    live, averaged = list[float](), list[float]()
    for _ in range(3):
        trainer.step()
        live.append(weights(trainer)[1])
        averaged.append(trainer.run.averages.players["maker"].weight.item())
    # A step has four images. The half-life is 0, 2 and 4 images in the three steps.
    second = 0.5 ** (4 / 2) * live[0] + (1 - 0.5 ** (4 / 2)) * live[1]
    assert averaged == pytest.approx([live[0], second, 0.5 * second + 0.5 * live[2]])


def by_hand(live: list[float], half_lives: list[float]) -> list[float]:
    """The average, whose share of the past halves in each half-life; a step has two images."""
    averaged = live[:1]
    for weight, half_life in zip(live[1:], half_lives[1:], strict=True):
        share = 0.5 ** (2 / half_life) if half_life else 0.0
        averaged.append(share * averaged[-1] + (1 - share) * weight)
    return averaged


@pytest.mark.parametrize(
    ("settings", "half_lives"),
    [
        ({"half_life_images": 8}, [8, 8, 8, 8, 8, 8]),
        ({"half_life_images": 3, "ramp_up": 0.5}, [0, 1, 2, 3, 3, 3]),
        ({"half_life_images": 1e9, "ramp_up": 0.05}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"half_life_images": Linear(start=0, end=8, duration_images=8)}, [0, 2, 4, 6, 8, 8]),
        ({"half_life_images": Linear(start=0, end=8, duration_images=8), "ramp_up": 0.75}, [0, 1.5, 3, 4.5, 6, 7.5]),
    ],
)
def test_the_average_follows_its_half_life(settings: dict[str, Any], half_lives: list[float]) -> None:
    live, averaged = moved(**settings)
    assert averaged == pytest.approx(by_hand(live, half_lives))


def test_a_half_life_of_zero_is_the_live_network_to_the_bit() -> None:
    steps = {"steps": [{"images": 0, "value": 6}, {"images": 6, "value": 0}]}
    live, averaged = moved(half_life_images=Piecewise.model_validate(steps))
    assert averaged[3:] == live[3:]
    assert averaged[1:3] != live[1:3]


def test_a_constant_half_life_is_the_average_of_torch_to_the_bit() -> None:
    torch.manual_seed(0)
    network = nn.Linear(50, 50)
    averages = make_averages({"g": network}, Train(total_images=100, ema=Ema(half_life_images=7)), 3)
    expected = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5 ** (3 / 7)))
    assert averages is not None
    for _ in range(5):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        averages.update()
        expected.update_parameters(network)
    assert torch.equal(averages.players["g"].weight, expected.module.weight)
    assert torch.equal(averages.players["g"].bias, expected.module.bias)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"half_life_images": 0}, "a half-life of 0 averages nothing"),
        ({"half_life_images": -1}, "-1 is below 0"),
        ({"half_life_images": Linear(start=5, end=-1)}, "-1 is below 0"),
        ({"half_life_images": 5, "ramp_up": 0}, "greater than 0"),
    ],
)
def test_settings_that_average_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Ema(**settings)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"half_life_images": 1e12}, "100%"),
        ({"half_life_images": 1000}, "93%"),
        ({"half_life_images": 100}, None),
        ({"half_life_images": 1e12, "ramp_up": 0.05}, None),
        ({"half_life_images": Linear(start=1e12, end=1e12)}, "100%"),
        ({"half_life_images": Linear(start=0, end=1e12)}, None),
    ],
)
def test_an_average_that_cannot_move_is_described(settings: dict[str, Any], share: str | None) -> None:
    found = describe_without_effect(Train(total_images=100, ema=Ema(**settings)), RunLength(100, 10))
    assert len(found) == (share is not None)
    assert not found or f"half_life_images is so long that {share} of the average is still the weights" in found[0]


CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [8], latent: 4, output: linear}
  discriminator: {type: mlp, hidden: [8]}
losses: [non-saturating]
data: ring
train:
  images: 96
  batch_size: 8
  device: cpu
  ema: {half_life_images: {type: linear, start: 0, end: 60}, ramp_up: 0.4}
checkpoint: {every_images: 16}
"""


class Unplug:
    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        if step == 7:
            raise RunFailed("pulled the plug")


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    return str(file)


def test_an_interrupted_run_ends_with_the_same_averages(config: str, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(load_config(config), out=whole)
    with pytest.raises(RunFailed):
        train(load_config(config), out=parts, hooks=[Unplug()])
    train(load_config(config), out=parts, resume=True)
    (_, first), (_, second) = (load(list_checkpoints(run / "checkpoints")[0]) for run in (whole, parts))
    assert first["averages"].keys() == second["averages"].keys()
    assert all(torch.equal(tensor, second["averages"][name]) for name, tensor in first["averages"].items())
    players = first["player.generator"]
    assert not any(torch.equal(first["averages"][f"generator.module.{name}"], players[name]) for name in players)


def test_a_frozen_average_is_said_at_the_start_and_in_the_explanation(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = load_config(config, "train.ema={half_life_images: 1.0e+12}", "train.images=8")
    assert any("half_life_images is so long" in warning for warning in explain(long).warnings)
    assert explain(load_config(config)).warnings == []
    train(long, out=tmp_path / "run")
    assert "without effect: train.ema.half_life_images is so long" in capsys.readouterr().err
    saved = json.loads(json.dumps(long.dump()))["train"]["ema"]
    assert saved == {"half_life_images": 1e12}
