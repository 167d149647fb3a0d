"""Properties that hold on every device; `make gpu` runs the CUDA half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ganframe import RunFailed, hookimpl, load, load_config, train
from ganframe.data import images_as_floats
from ganframe.runs import checkpoint_files

CONFIG = """
game:
  type: adversarial
  generator: {type: dcgan, channels: 8, latent: 16}
  discriminator: {type: dcgan, channels: 8}
  condition: label
  share_round: true
losses: [non-saturating]
regularizers: [{type: r1, weight: 0.1, every: 2}]
data: digits
train: {images: 128, batch_size: 16, ema: {half_life_images: 100}}
checkpoint: {every_images: 32}
snapshot: {count: 4}
"""


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def deterministic() -> object:
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


class StopAfter:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        if step == self.step:
            raise RunFailed("pulled the plug")


def weights(run: Path) -> dict[str, Tensor]:
    _, sections = checkpoint_files.load(checkpoint_files.list_checkpoints(run / "checkpoints")[0])
    return sections["player.generator"]


@pytest.mark.usefixtures("deterministic")
def test_a_resumed_run_ends_bit_identical(config: str, tmp_path: Path, device: str) -> None:
    on_device = f"train.device={device}"
    train(load_config(config, on_device), out=tmp_path / "whole")
    with pytest.raises(RunFailed):
        train(load_config(config, on_device), out=tmp_path / "cut", hooks=[StopAfter(5)])
    train(load_config(config, on_device), out=tmp_path / "cut", resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


@pytest.mark.parametrize("mode", ["train.precision=bf16", "train.channels_last=true"])
def test_fast_modes_train_and_sample(config: str, tmp_path: Path, device: str, mode: str) -> None:
    run = train(load_config(config, f"train.device={device}", mode), out=tmp_path / "run")
    trained = load(run.path, device=device)
    samples = trained.sample(12, seed=3)
    assert samples.shape == (12, 1, 28, 28)
    assert samples.dtype == torch.float32
    assert float(samples.abs().max()) <= 1
    assert torch.equal(samples, trained.sample(12, seed=3))
    assert not torch.equal(samples, trained.sample(12, seed=4))


def test_labels_are_obeyed_in_their_order(config: str, tmp_path: Path, device: str) -> None:
    run = train(load_config(config, f"train.device={device}"), out=tmp_path / "run")
    trained = load(run.path, device=device)
    latent = torch.zeros(3, 16)
    of = {label: trained.sample(3, labels=[label] * 3, inputs={"latent": latent})[0] for label in (2, 7)}
    mixed = trained.sample(3, labels=[7, 2, 7], inputs={"latent": latent})
    torch.testing.assert_close(mixed, torch.stack([of[7], of[2], of[7]]))
    assert not torch.allclose(of[2], of[7])


def test_images_become_the_same_floats_on_every_device(device: str) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    expected = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    floats = images_as_floats({"real": pixels.to(device)})["real"]
    assert floats.device.type == device
    assert floats.cpu().numpy().tobytes() == expected.tobytes()
