"""Historical averaging: its mean by hand, its effect on an orbit, and its state over a resume."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from ganframe_feature_matching import HistoricalAveraging
from ganframe_feature_matching.history import HistoricalAveragePenalty
from torch import Tensor, nn

from ganframe import load_config
from ganframe.game import Contest, Game, Randomness, Round, Turn
from ganframe.testing.runs import train_whole_and_resumed

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, latent: 2, hidden: [8], output: linear}
  discriminator: {type: mlp, hidden: [8]}
  discriminator_steps: 2
losses: [non-saturating]
regularizers: [{type: historical-averaging, weight: 0.1, every: 3}]
data: {type: ring, samples: 100}
train: {images: 192, batch_size: 8, device: cpu}
checkpoint: {every_images: 16}
"""


class Pair(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))


class Parameters(nn.Module):
    def __init__(self, *values: float) -> None:
        super().__init__()
        self.trained = nn.Parameter(torch.tensor(values, dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)


class Play:
    """A game whose parameters are set by hand."""

    def __init__(self, discriminator: Parameters, generator: Parameters) -> None:
        self.game = Pair({})
        self.game.set_players({"discriminator": discriminator, "generator": generator})
        self.term = cast(HistoricalAveragePenalty, HistoricalAveraging().build())

    def value(self, turn: int = 0, weights: dict[str, dict[str, Tensor]] | None = None) -> Tensor:
        game_round = Round(self.game, {}, size=1, device=torch.device("cpu"), randomness=Randomness(0))
        game_round = game_round.in_turn(self.game.turns[turn]).with_discriminator_weights(weights or {})
        with self.game.only_trainable(self.game.turns[turn].players):
            return self.term.forward(game_round)

    def move(self, turn: int, *values: float) -> None:
        (player,) = self.game.turns[turn].players
        self.game.players[player].trained.data = torch.tensor(values, dtype=torch.float64)
        self.term.on_turn_end(cast(Any, SimpleNamespace(game=self.game)), self.game.turns[turn])


@pytest.mark.parametrize("path", [[(1.0, 0.0), (3.0, 0.0), (2.0, 6.0)], [(0.5, -1.0), (0.25, 4.0), (-3.0, 2.0)]])
def test_the_distance_to_the_mean_of_all_values_so_far(path: list[tuple[float, float]]):
    play = Play(Parameters(*path[0]), Parameters(7.0))
    assert play.value().item() == 0
    for count in (2, 3):
        play.move(0, *path[count - 1])
        means = [sum(axis) / count for axis in zip(*path[:count], strict=True)]
        expected = sum((value - mean) ** 2 for value, mean in zip(path[count - 1], means, strict=True))
        assert play.value().item() == pytest.approx(expected)


def test_every_player_has_a_history_of_its_own_steps():
    play = Play(Parameters(0.0), Parameters(10.0))
    play.value(0), play.value(1)
    play.move(0, 4.0)
    assert play.value(0).item() == pytest.approx(2**2)
    assert play.value(1).item() == 0
    play.move(1, 16.0)
    assert play.value(0).item() == pytest.approx(2**2)
    assert play.value(1).item() == pytest.approx(3**2)
    assert play.term.counts == {"discriminator": 2, "generator": 2}


def test_the_gradient_is_twice_the_distance_and_the_mean_stands_still():
    play = Play(Parameters(1.0, 2.0), Parameters(0.0))
    play.value()
    play.move(0, 3.0, -2.0)
    play.value().backward()
    assert play.game.players["discriminator"].trained.grad.tolist() == [2.0, -4.0]
    assert play.game.players["discriminator"].frozen.grad is None
    assert list(play.term.means["discriminator"]) == ["trained"]


def test_gradcheck_in_the_weights_that_a_turn_looks_ahead_with():
    play = Play(Parameters(1.0, 2.0), Parameters(0.0))
    play.value()
    ahead = torch.tensor([0.3, -5.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda weight: play.value(0, {"discriminator": {"trained": weight}}), ahead)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_parameters(dtype: torch.dtype, size: float):
    discriminator = Parameters(0.0)
    discriminator.trained = nn.Parameter(torch.tensor([size], dtype=dtype))
    play = Play(discriminator, Parameters(0.0))
    play.value()
    discriminator.trained.data = -discriminator.trained.data
    found = play.value()
    found.backward()
    assert bool(found.isfinite())
    assert bool(discriminator.trained.grad.isfinite().all())


@pytest.mark.parametrize(("weight", "grows"), [(0.0, True), (1.0, False)])
def test_an_orbit_is_damped(weight: float, grows: bool):
    """Simultaneous descent on theta psi spirals outwards by sqrt(1 + h^2) a step; the term turns it inwards."""
    play, h = Play(Parameters(1.0), Parameters(1.0)), 0.1
    psi, theta = (play.game.players[name].trained for name in ("discriminator", "generator"))
    for _ in range(200):
        slopes = (theta.item(), -psi.item())
        moved: list[float] = []
        for turn, (parameter, slope) in enumerate(zip((psi, theta), slopes, strict=True)):
            parameter.grad = None
            play.value(turn).backward()
            moved.append(parameter.item() - h * (slope + weight * parameter.grad.item()))
        for turn, value in enumerate(moved):
            play.move(turn, value)
    radius = (psi.item() ** 2 + theta.item() ** 2) ** 0.5
    if grows:
        assert radius == pytest.approx(2**0.5 * 1.01**100, rel=1e-9)
    else:
        assert radius < 1


def test_the_mean_survives_a_resume_bit_for_bit(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    whole, resumed = train_whole_and_resumed(load_config(str(file)), tmp_path, stop_after=7)
    term = "term.historical-averaging"
    assert whole[term]["counts"] == resumed[term]["counts"] == {"discriminator": 25, "generator": 13}
    for player, means in whole[term]["means"].items():
        now = whole[f"player.{player}"]
        assert any(not torch.equal(mean, now[name]) for name, mean in means.items())
        assert all(torch.equal(mean, resumed[term]["means"][player][name]) for name, mean in means.items())
        assert all(torch.equal(tensor, resumed[f"player.{player}"][name]) for name, tensor in now.items())
