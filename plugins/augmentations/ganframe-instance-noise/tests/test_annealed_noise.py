"""Noise that is annealed over a run, and the density of data with noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_instance_noise import InstanceNoise
from pydantic import ValidationError

from ganframe import load_config, train
from ganframe.builtin.schedules import Linear
from ganframe.config import hookimpl
from ganframe.testing.runs import InterruptAfter, Interrupted

STEPS = 8

CONFIG = """
game: {type: adversarial, generator: {type: mlp, latent: 4, hidden: [8]}, discriminator: {type: mlp, hidden: [8]}}
losses: [non-saturating]
data: {type: ring, samples: 200}
augmentations: [{type: instance-noise, sigma: {type: linear, start: 0.4, end: 0}}]
train: {images: 128, batch_size: 16, device: cpu}
checkpoint: {every_images: 16}
snapshot: {every_images: 128, count: 4}
"""


class Record:
    """Records the sigma of each step, and the measured deviation of the noise."""

    def __init__(self) -> None:
        self.sigma: list[float] = []
        self.measured: list[float] = []

    @hookimpl
    def on_turn_end(self, run: Any, turn: Any, rounds: Any) -> None:
        if turn.name == "discriminator":
            (noise,) = run.assembly.augmentations
            added = noise(torch.zeros(4000, 2), rounds[0].randomness.generator("probe"))
            self.sigma.append(noise.sigma)
            self.measured.append(added.std().item())


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_the_noise_of_a_run_follows_its_schedule(config: str, tmp_path: Path):
    """A step has the value at the images seen before it: 0.4 (1 - k / 8) in step k."""
    record = Record()
    train(load_config(config), out=tmp_path / "run", hooks=[record])
    expected = [0.4 * (1 - step / STEPS) for step in range(STEPS)]
    assert record.sigma == pytest.approx(expected)
    assert record.measured == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("schedule", [{"start": 0.1, "end": 0.3}, {"start": 0.3, "end": 0.1, "images": 64}])
def test_other_schedules(config: str, tmp_path: Path, schedule: dict[str, float]):
    record = Record()
    settings = [f"augmentations.0.sigma.{name}={number}" for name, number in schedule.items()]
    train(load_config(config, *settings), out=tmp_path / "run", hooks=[record])
    length = schedule.get("images", 128)
    shares = [min(16 * step / length, 1) for step in range(STEPS)]
    assert record.sigma == pytest.approx(
        [schedule["start"] + share * (schedule["end"] - schedule["start"]) for share in shares]
    )


def test_a_resumed_run_continues_with_the_same_sigma(config: str, tmp_path: Path):
    whole, again = Record(), Record()
    train(load_config(config), out=tmp_path / "whole", hooks=[whole])
    with pytest.raises(Interrupted):
        train(load_config(config), out=tmp_path / "run", hooks=[InterruptAfter(5)])
    train(load_config(config), out=tmp_path / "run", resume=True, hooks=[again])
    assert again.sigma == whole.sigma[-len(again.sigma) :]
    assert 3 <= len(again.sigma) < STEPS
    assert again.measured == whole.measured[-len(again.measured) :]


@pytest.mark.parametrize("sigma", [0.3, 1.5])
@pytest.mark.parametrize("data", ["ring", "coin"])
def test_noise_adds_sigma_squared_to_the_variance(data: str, sigma: float):
    """Points on a circle of radius 1 have the variance 1/2 along each axis; -1 and 1 have the variance 1."""
    count = 200_000
    angle = torch.linspace(0, 2 * torch.pi, count + 1)[:-1]
    samples, variance = {
        "ring": (torch.stack([angle.cos(), angle.sin()], dim=1), 0.5),
        "coin": ((-1.0) ** torch.arange(count)[:, None].expand(count, 2), 1.0),
    }[data]
    found = InstanceNoise(sigma=sigma).build()(samples, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.var(dim=0), torch.full((2,), variance + sigma**2), rtol=0.01, atol=0)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(2), rtol=0, atol=0.02)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_the_density_of_a_point_with_noise_is_a_gaussian(sigma: float):
    """The share within sigma, 2 sigma and 3 sigma is 0.6827, 0.9545 and 0.9973."""
    noise = InstanceNoise(sigma=sigma).build()(torch.zeros(200_000, 1), torch.Generator().manual_seed(0))
    shares = [(noise.abs() < times * sigma).float().mean().item() for times in (1, 2, 3)]
    assert shares == pytest.approx([0.682689, 0.954500, 0.997300], abs=0.004)


def test_a_schedule_below_0_is_refused():
    with pytest.raises(ValidationError, match=r"-0\.1 is below 0"):
        InstanceNoise(sigma=Linear(start=0.2, end=-0.1))
