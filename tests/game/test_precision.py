"""Losses and penalties compute in float32 or better, whatever the precision of the networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganframe.config.terms import LossConfig, RegularizerConfig
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.loss_term import LossTerm
from ganframe.game.regularizer_term import RegularizerTerm
from ganframe.game.round import Round
from ganframe.plugins.discovery import installed
from ganframe.testing.fakes import (
    BATCH,
    CLASSES,
    FakeGame,
    example_config,
    make_round,
    random_batch,
    with_built_players,
)

LOSSES = sorted((cls for cls, _ in installed().registry if issubclass(cls, LossConfig)), key=lambda cls: cls.__name__)
REGULARIZERS = sorted(
    (cls for cls, _ in installed().registry if issubclass(cls, RegularizerConfig)), key=lambda cls: cls.__name__
)
OF_BF16 = [side.bfloat16().double() for side in torch.randn(2, BATCH, generator=torch.Generator().manual_seed(3)) * 2]
"""Logits of reals and of fakes, which bf16 has exactly."""


class Given(nn.Module):
    """Says what it is given: the first call is that for reals or for fakes, as the mean of the sample says."""

    def __init__(self, config: LossConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype

    def forward(self, sample: Tensor, condition: Any = None) -> DiscriminatorOutput:
        logits = OF_BF16[int(sample.mean() < 0)].to(self.dtype)
        classes = logits[:, None] * nn.functional.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).to(self.dtype)
        made = self.config.example_output(logits) or DiscriminatorOutput(logits, (logits[:, None],), classes)
        return dataclasses.replace(made, logits=made.logits.to(self.dtype))


def values(config: LossConfig, dtype: torch.dtype) -> list[Tensor]:
    """The loss of the discriminator's and that of the generator's turn."""
    game = with_built_players(FakeGame())
    game.set_players({**game.players, "discriminator": Given(config, dtype)})
    batch = random_batch(game.data)
    batch |= {"real": batch["real"].abs(), "fake": -batch["fake"].abs()}
    term = LossTerm("loss", (), config)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return [term.value(make_round(game, batch, turn), turn) for turn in game.turns]


@pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.type_name())
def test_a_loss_of_bf16_logits_is_computed_in_float32(cls: type[LossConfig], tmp_path: Path) -> None:
    config = example_config(cls, tmp_path)
    assert isinstance(config, LossConfig)
    for found, exact in zip(values(config, torch.bfloat16), values(config, torch.float64), strict=True):
        assert found.dtype == torch.float32
        assert exact.dtype == torch.float64, "nothing may be cast down"
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)


class Dtypes(nn.Module):
    """A head and the whole, in a dtype."""

    head_names = ("coarse", "fine")

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        logits = sample.flatten(1).mean(1).to(self.dtype)
        head = DiscriminatorOutput(logits, (logits[:, None],), logits[:, None])
        heads = DiscriminatorOutput.of_heads([head, dataclasses.replace(head)])
        return dataclasses.replace(heads, class_logits=logits[:, None])


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_logits_are_float32_or_better_and_features_keep_their_dtype(given: torch.dtype, seen: torch.dtype) -> None:
    game: Game = with_built_players(FakeGame())
    game.set_players({**game.players, "discriminator": Dtypes(given)})
    game_round: Round = make_round(game, random_batch(game.data))
    output = game_round.discriminator_output(game.contests[0], "real")
    for each in (output, *output.heads):
        assert each.class_logits is not None
        assert (each.logits.dtype, each.class_logits.dtype) == (seen, seen)
        assert {feature.dtype for feature in each.features} == {given}
    assert {logits.dtype for logits in game_round.logits.values()} == {seen}


@pytest.mark.parametrize("cls", REGULARIZERS, ids=lambda cls: cls.type_name())
def test_a_regularizer_under_bf16_is_a_float32_number(cls: type[RegularizerConfig], tmp_path: Path) -> None:
    config = example_config(cls, tmp_path)
    assert isinstance(config, RegularizerConfig)
    term = RegularizerTerm("term", (), config)
    names = (*term.needs.tensors, *term.needs.requires_grad_tensors)
    game = with_built_players(FakeGame(names, config.example_specs()))
    turn = game.turns[0 if config.side == "discriminator" else 1]
    batch = random_batch(game.data)
    with torch.autocast("cpu", torch.bfloat16):
        game_round = make_round(
            game,
            batch,
            turn,
            grad_wrt_sides=term.needs.grad_wrt_sides,
            requires_grad_tensors=frozenset(term.needs.requires_grad_tensors),
        )
        assert term.value(game_round, turn).dtype == torch.float32
