"""Checkpoints keep the pools: a resumed run ends with the same weights and the same pools."""

from typing import Literal

import pytest
import torch
from ganframe_cyclegan import CycleGame

from ganframe.config import Checkpoint, DatasetConfig, Experiment, TensorSpec, Train
from ganframe.data import TensorData
from ganframe.plugins.discovery import installed
from ganframe.testing.fakes import RANDOMNESS, FakeDiscriminator, FakeGenerator
from ganframe.testing.runs import FakeLoss, train_whole_and_resumed

IMAGE = TensorSpec((1, 2, 2))


class FakeDomains(DatasetConfig):
    """Noise in two domains."""

    type: Literal["fake-domains"] = "fake-domains"

    def spec(self):
        return {"real_a": IMAGE, "real_b": IMAGE}

    def build(self):
        return TensorData({name: RANDOMNESS.uniform(name, (50, *IMAGE.shape)) for name in self.spec()})


@pytest.fixture
def experiment(monkeypatch):
    registry = installed().registry
    for cls in (FakeDomains, FakeLoss, FakeGenerator, FakeDiscriminator):
        name = cls.type_name()
        monkeypatch.setitem(registry.classes, (cls.kind, name), cls)
        monkeypatch.setitem(registry.aliases, (cls.kind, name), name)
        monkeypatch.setitem(registry.packages, (cls.kind, name), "ganframe")
    return Experiment(
        game=CycleGame(generator=FakeGenerator(from_sample=True), discriminator=FakeDiscriminator(), pool=5),
        losses=(FakeLoss(),),
        data=FakeDomains(),
        train=Train(images=40, batch_size=4, device="cpu"),
        checkpoint=Checkpoint(every_images=8),
    )


def test_a_resumed_run_ends_with_the_same_weights_and_pools(experiment, tmp_path):
    whole, resumed = train_whole_and_resumed(experiment, tmp_path, stop_after=7)
    assert whole["memory"].keys() == {"pool_a", "pool_b"}
    assert whole["memory"]["pool_a"].shape == (5, 1, 2, 2)
    for section in ("memory", *(name for name in whole if name.startswith("player."))):
        for name, tensor in whole[section].items():
            assert torch.equal(tensor, resumed[section][name]), (section, name)
