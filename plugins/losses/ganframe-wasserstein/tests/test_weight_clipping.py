"""Weight clipping: the box, when it is applied, and what a linear critic then measures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_wasserstein import Wasserstein, WeightClipping
from ganframe_wasserstein.clipping import Clipped
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import Run, load_config, train
from ganframe.config import TensorSpec, hookimpl
from ganframe.game import DiscriminatorOutput
from ganframe.testing.fakes import FakeDiscriminator

CONFIG = """
game:
  type: adversarial
  generator: {{type: mlp, latent: 2, hidden: [8], output: linear}}
  discriminator: {critic}
  discriminator_steps: 2
losses: [wasserstein]
data: {{type: ring, samples: 200}}
optimizers: {{discriminator: {{type: rmsprop, lr: 0.01}}, generator: {{type: rmsprop, lr: 0.01}}}}
train: {{images: 640, batch_size: 16, device: cpu}}
"""


CRITIC = "{{type: weight-clipping, of: {{type: mlp, hidden: [16]}}, bound: {bound}}}"


class Line(nn.Module):
    """C(x) = w x + b."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, dtype=torch.float64)

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.layer(sample).squeeze(1))


def sizes(network: nn.Module) -> list[float]:
    return [parameter.abs().max().item() for parameter in network.parameters()]


class Watch:
    """The largest parameter of each player after each step, and of the clipped critic after each turn."""

    def __init__(self) -> None:
        self.critic: list[float] = []
        self.turns: list[float] = []
        self.generator: list[float] = []

    @hookimpl(trylast=True)
    def on_turn_end(self, run: Run) -> None:
        (clipped,) = (module for module in run.game.players["discriminator"].modules() if isinstance(module, Clipped))
        self.turns.append(max(sizes(clipped)))

    @hookimpl
    def on_step_end(self, run: Run) -> None:
        self.critic.append(max(sizes(run.game.players["discriminator"])))
        self.generator.append(max(sizes(run.game.players["generator"])))


def watched(bound: Any, folder: Path, outer: str = "{critic}") -> Watch:
    file = folder / "config.yaml"
    file.write_text(CONFIG.format(critic=outer.replace("{critic}", CRITIC.format(bound=bound))))
    watch = Watch()
    train(load_config(str(file)), out=folder / "run", hooks=[watch])
    return watch


@pytest.mark.parametrize("bound", [0.01, 0.2])
def test_weights_stay_in_the_box_while_they_are_trained(bound: float, tmp_path: Path):
    watch = watched(bound, tmp_path)
    assert len(watch.turns) == 3 * len(watch.critic) == 60
    assert max(watch.turns) == pytest.approx(bound)
    assert max(watch.critic) == pytest.approx(bound)
    assert min(watch.generator) > 0.2


@pytest.mark.parametrize(
    "outer",
    [
        "{type: minibatch-stddev, of: {critic}}",
        "{type: class-head, classes: 8, of: {critic}}",
        "{type: class-head, classes: 8, of: {type: minibatch-stddev, of: {critic}}}",
    ],
)
def test_inside_other_transforms_only_its_own_parameters_are_clipped(outer: str, tmp_path: Path):
    watch = watched("{type: linear, start: 0.1, end: 0.0001}", tmp_path, outer)
    assert watch.turns[0] == pytest.approx(0.1)
    assert watch.turns[-1] == pytest.approx(0.1 - (0.1 - 0.0001) * 19 / 20, rel=1e-4)
    assert min(watch.critic) > 0.1


def test_the_bound_follows_a_schedule(tmp_path: Path):
    watch = watched("{type: linear, start: 0.1, end: 0.0001}", tmp_path)
    assert watch.critic[0] == pytest.approx(0.1)
    assert watch.critic == sorted(watch.critic, reverse=True)
    assert watch.critic[-1] == pytest.approx(0.1 - (0.1 - 0.0001) * 19 / 20, rel=1e-4)


def test_the_critic_is_in_the_box_when_it_is_built():
    torch.manual_seed(0)
    plain = FakeDiscriminator().build(sample=TensorSpec((5,)))
    torch.manual_seed(0)
    clipped = WeightClipping(of=FakeDiscriminator(), bound=0.05).build(sample=TensorSpec((5,)))
    assert max(sizes(plain)) > 0.05
    expected = [parameter.clamp(-0.05, 0.05) for parameter in plain.parameters()]
    assert all(map(torch.equal, clipped.parameters(), expected))


def test_frozen_parameters_are_left_alone():
    line = Line()
    nn.init.constant_(line.layer.weight, 7.0).requires_grad_(False)
    assert Clipped(line, 0.1).network.layer.weight.item() == 7


@pytest.mark.parametrize(("bound", "real", "fake"), [(0.01, (0.0, 1.0), (-1.5, 0.3)), (0.5, (2.0, -7.0), (3.0, 4.0))])
def test_a_linear_critic_measures_the_bound_times_the_difference_of_means(
    bound: float, real: tuple[float, ...], fake: tuple[float, ...]
):
    """sup over |w| <= c of E w x - E w y is c |E x - E y|."""
    critic, loss = Clipped(Line(), bound), Wasserstein().build()
    optimizer = torch.optim.RMSprop(critic.parameters(), lr=0.01)
    sides = [torch.tensor(side, dtype=torch.float64)[:, None] for side in (real, fake)]
    for _ in range(200):
        optimizer.zero_grad()
        loss.discriminator(*map(critic, sides)).backward()
        optimizer.step()
        critic.clip()
    estimate = -loss.discriminator(*map(critic, sides)).item()
    assert estimate == pytest.approx(bound * abs(sum(real) - sum(fake)) / 2, rel=1e-9)


def test_other_attributes_of_the_critic_are_still_there():
    line = Line()
    line.extra = 3
    assert Clipped(line, 0.1).extra == 3
    with pytest.raises(AttributeError):
        _ = Clipped(line, 0.1).missing


@pytest.mark.parametrize("bound", [0.0, -0.01, float("inf"), {"type": "linear", "start": 0.1, "end": 0}])
def test_other_bounds_are_refused(bound: Any):
    with pytest.raises(ValidationError):
        WeightClipping(of=FakeDiscriminator(), bound=bound)
