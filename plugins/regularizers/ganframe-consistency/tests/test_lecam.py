"""LeCam regularization: its anchors and its value by hand, and its state over a resume."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from ganframe_consistency import LeCam
from ganframe_consistency.lecam import LeCamPenalty
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe import load_config
from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn
from ganframe.testing.runs import train_whole_and_resumed

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, latent: 2, hidden: [8], output: linear}
  discriminator: {type: mlp, hidden: [8]}
  discriminator_steps: 2
losses: [hinge]
regularizers: [{type: lecam, weight: 0.3, every: 2}]
data: {type: ring, samples: 100}
train: {images: 192, batch_size: 8, device: cpu}
checkpoint: {every_images: 16}
"""


class TwoContests(Game):
    inputs = ()
    contests = (
        Contest("discriminator", real="real", fake="fake"),
        Contest("discriminator", real="fake", fake="real", name="swapped"),
    )
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))


class OneContest(TwoContests):
    contests = TwoContests.contests[:1]


class Identity(nn.Module):
    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(sample)


class Play:
    """Turns with given logits."""

    def __init__(self, decay: float = 0.99, game: type[Game] = OneContest) -> None:
        self.game = game({})
        self.game.set_players({"discriminator": Identity(), "generator": nn.Identity()})
        self.term = cast(LeCamPenalty, LeCam(decay=decay).build())

    def turn(self, real: Any, fake: Any, number: int = 0) -> Tensor:
        batch = {
            name: logits if isinstance(logits, Tensor) else torch.tensor(logits, dtype=torch.float64)
            for name, logits in (("real", real), ("fake", fake))
        }
        turn = self.game.turns[number]
        game_round = Round(self.game, batch, size=2, device=torch.device("cpu"), randomness=Randomness(0)).in_turn(turn)
        value = self.term.forward(game_round)
        self.term.on_turn_end(cast(Any, SimpleNamespace(game=self.game)), turn, [game_round])
        return value


def by_hand(turns: list[tuple[list[float], list[float]]], decay: float) -> float:
    """Return the last turn's penalty, with the anchors as weighted means over all turns."""
    weights = [decay ** (len(turns) - 1 - index) for index in range(len(turns))]

    def anchor(side: int) -> float:
        means = [sum(turn[side]) / len(turn[side]) for turn in turns]
        return sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)

    a_real, a_fake = anchor(0), anchor(1)
    real, fake = turns[-1]
    above = sum(max(logit - a_fake, 0) ** 2 for logit in real) / len(real)
    return above + sum(max(a_real - logit, 0) ** 2 for logit in fake) / len(fake)


@pytest.mark.parametrize("decay", [0.99, 0.5, 0.0])
@pytest.mark.parametrize(
    "turns",
    [
        [([1.0, 2.0], [-1.0, 0.0]), ([3.0, -2.0], [0.5, -4.0]), ([0.0, 0.1], [2.0, 0.2])],
        [([-5.0, 0.25], [3.0, 1.0]), ([2.0, 2.5], [-0.75, -1.0])],
    ],
)
def test_the_anchors_are_unbiased_averages_of_all_turns(turns: Any, decay: float):
    play = Play(decay)
    for count, sides in enumerate(turns, start=1):
        assert play.turn(*sides).item() == pytest.approx(by_hand(turns[:count], decay))


def test_the_first_turn_has_its_own_means_as_anchors():
    """Reals 1 and 3 against the mean -1 of fakes: 2^2 and 4^2; fakes -2 and 0 against 2: 4^2 and 2^2."""
    assert Play().turn([1.0, 3.0], [-2.0, 0.0]).item() == pytest.approx(10 + 10)


def test_equal_logits_and_fakes_above_reals_cost_nothing():
    assert Play().turn([0.5, 0.5], [0.5, 0.5]).item() == 0
    assert Play().turn([-1.0, -1.0], [1.0, 1.0]).item() == 0


def test_contests_have_anchors_of_their_own():
    """The swapped contest has reals below fakes, which costs nothing."""
    play = Play(game=TwoContests)
    assert play.turn([1.0, 3.0], [-2.0, 0.0]).item() == pytest.approx(20)
    assert play.term.sums["discriminator"]["real"].item() == pytest.approx(0.02)
    assert play.term.sums["swapped"]["real"].item() == pytest.approx(-0.01)


def test_turns_of_the_generator_leave_the_anchors_alone():
    play = Play()
    play.turn([1.0, 3.0], [-2.0, 0.0])
    before = (dict(play.term.sums["discriminator"]), dict(play.term.shares))
    play.turn([9.0, 9.0], [9.0, 9.0], number=1)
    assert (play.term.sums["discriminator"], play.term.shares) == before


def test_gradcheck_with_anchors_of_the_past():
    """The current turn hardly counts in the anchors, through which no gradient passes."""

    def value(real: Tensor, fake: Tensor) -> Tensor:
        play = Play(0.99)
        for _ in range(20):
            play.turn([0.0, 0.4], [-0.3, 0.1])
        play.term.decay = 1 - 1e-12
        return play.turn(real, fake)

    sides = (torch.tensor(logits, dtype=torch.float64, requires_grad=True) for logits in ([1.0, 2.0], [-1.0, 0.1]))
    assert torch.autograd.gradcheck(value, tuple(sides))


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_logits(dtype: torch.dtype, size: float):
    for real, fake in ((size, -size), (-size, size), (size, size)):
        sides = [torch.full((2,), logit, dtype=dtype, requires_grad=True) for logit in (real, fake)]
        found = Play().turn(*sides)
        found.backward()
        assert bool(found.isfinite())
        assert all(bool(side.grad.isfinite().all()) for side in sides)


def test_the_anchors_survive_a_resume_bit_for_bit(tmp_path: Path):
    """Every turn of the discriminator counts, also those that the lazy term skips."""
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    whole, resumed = train_whole_and_resumed(load_config(str(file)), tmp_path, stop_after=7)
    kept, other = whole["term.lecam"], resumed["term.lecam"]
    assert kept["shares"] == other["shares"] == {"discriminator": pytest.approx(1 - 0.99**24)}
    for side in ("real", "fake"):
        assert torch.equal(kept["sums"]["discriminator"][side], other["sums"]["discriminator"][side])
    player, resumed_player = whole["player.discriminator"], resumed["player.discriminator"]
    assert all(torch.equal(tensor, resumed_player[name]) for name, tensor in player.items())


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_other_decays_are_refused(decay: float):
    with pytest.raises(ValidationError):
        LeCam(decay=decay)
