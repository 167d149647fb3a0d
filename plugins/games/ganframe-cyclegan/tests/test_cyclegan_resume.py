"""The pools survive an interruption: a resumed run ends with the same weights and the same pools."""

from typing import Literal

import pytest
import torch
from ganframe_cyclegan import CycleGame

from ganframe import RunFailed, train
from ganframe.config import Checkpoint, DatasetConfig, Experiment, TensorSpec, Train, hookimpl
from ganframe.data import TensorData
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoints import load_latest
from ganframe.testing.fakes import SEEDED, FakeDiscriminator, FakeGenerator
from ganframe.testing.runs import FakeLoss

IMAGE = TensorSpec((1, 2, 2))


class TwoStubDomains(DatasetConfig):
    """Noise in two domains."""

    type: Literal["two-stub-domains"] = "two-stub-domains"

    def spec(self):
        return {"real_a": IMAGE, "real_b": IMAGE}

    def build(self):
        return TensorData({name: SEEDED.uniform(name, (50, *IMAGE.shape)) for name in self.spec()})


class StopAfter:
    def __init__(self, step):
        self.step = step

    @hookimpl
    def on_step_end(self, step):
        if step == self.step:
            raise RunFailed("stopped")


@pytest.fixture
def experiment(monkeypatch):
    registry = installed().registry
    for cls in (TwoStubDomains, FakeLoss, FakeGenerator, FakeDiscriminator):
        name = cls.type_name()
        monkeypatch.setitem(registry.classes, (cls.kind, name), cls)
        monkeypatch.setitem(registry.aliases, (cls.kind, name), name)
        monkeypatch.setitem(registry.packages, (cls.kind, name), "ganframe")
    return Experiment(
        game=CycleGame(generator=FakeGenerator(from_sample=True), discriminator=FakeDiscriminator(), pool=5),
        losses=(FakeLoss(),),
        data=TwoStubDomains(),
        train=Train(images=40, batch_size=4, device="cpu"),
        checkpoint=Checkpoint(every_images=8),
    )


def state(folder):
    _, sections = load_latest(folder.checkpoints)
    return {room: tree for room, tree in sections.items() if room.startswith("player.") or room == "memory"}


def test_resumed_runs_end_alike(experiment, tmp_path):
    straight = state(train(experiment, out=tmp_path / "straight"))
    with pytest.raises(RunFailed):
        train(experiment, out=tmp_path / "broken", hooks=[StopAfter(7)])
    resumed = state(train(experiment, out=tmp_path / "broken", resume=True))
    assert straight["memory"].keys() == {"pool_a", "pool_b"}
    assert straight["memory"]["pool_a"].shape == (5, 1, 2, 2)
    for room, tree in straight.items():
        for name, each in tree.items():
            assert torch.equal(each, resumed[room][name]), (room, name)
