"""The latents of each prior, against bounds and moments worked out by hand."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from ganframe_adversarial import AdversarialGame
from torch import Tensor

from ganframe.game import Randomness, Round
from ganframe.testing.fakes import CPU, IMAGE, FakeDiscriminator, FakeGenerator, with_built_players

SIZE = 1000


def latents(prior: Literal["normal", "uniform"], seed: int = 0) -> Tensor:
    config = AdversarialGame(generator=FakeGenerator(), discriminator=FakeDiscriminator(), prior=prior)
    game = with_built_players(config.build({"real": IMAGE}))
    return Round(game, {}, size=SIZE, device=CPU, randomness=Randomness(seed))["latent"]


def test_uniform_latents_fill_the_interval_from_minus_one_to_one() -> None:
    drawn = latents("uniform")
    assert drawn.shape == (SIZE, 3)
    assert -1 <= drawn.min() < -0.99
    assert 0.99 < drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(0, abs=0.05)
    assert drawn.var().item() == pytest.approx(1 / 3, abs=0.02)


def test_normal_latents_have_variance_one() -> None:
    drawn = latents("normal")
    assert drawn.shape == (SIZE, 3)
    assert drawn.abs().max() > 2
    assert drawn.mean().item() == pytest.approx(0, abs=0.1)
    assert drawn.var().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_latents_depend_on_the_seed_of_the_round(prior: Literal["normal", "uniform"]) -> None:
    assert torch.equal(latents(prior), latents(prior))
    assert not torch.equal(latents(prior), latents(prior, seed=1))
