"""Checks of losses, label policies and regularizers."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig
from ganframe.game.contest import Side
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.objective import Objective
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.testing.fakes import BATCH, CLASSES, SEEDED, FakeGame, batch_of, round_of, with_built_players


def _verdict(logits: Tensor) -> DiscriminatorOutput:
    labels = torch.arange(len(logits)) % CLASSES
    class_logits = logits[:, None] * torch.nn.functional.one_hot(labels, CLASSES).to(logits.dtype)
    return DiscriminatorOutput(logits, (logits[:, None],), class_logits, logits[:, None], labels)


def _sides(config: LossConfig) -> tuple[Any, Any]:
    loss = config.build()
    return loss.discriminator, loss.generator


def finite_at_extremes(config: LossConfig) -> None:
    """Values and gradients are finite at logits of +-1e4 in float32 and +-1e3 in bf16."""
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        for real, fake in ((size, size), (size, -size), (-size, size), (-size, -size), (0.0, 0.0)):
            for score in _sides(config):
                logits = [torch.full((BATCH,), each, dtype=dtype, requires_grad=True) for each in (real, fake)]
                value = score(*map(_verdict, logits))
                value.backward()
                assert value.ndim == 0, "a loss is a scalar"
                assert bool(value.isfinite()), f"the value at real {real}, fake {fake} in {dtype} is {float(value)}"
                assert all(each.grad is None or bool(each.grad.isfinite().all()) for each in logits)


def gradients_are_right(config: LossConfig) -> None:
    """Gradients agree with finite differences in float64."""
    for score in _sides(config):
        logits = tuple(
            (SEEDED.normal(name, (BATCH,)) * 2 + 0.05).double().requires_grad_() for name in ("real", "fake")
        )
        assert torch.autograd.gradcheck(
            lambda real, fake, score=score: score(_verdict(real), _verdict(fake)) + 0 * (real.sum() + fake.sum()),
            logits,
        )


def _pulls(score: Any) -> tuple[Tensor, Tensor]:
    real, fake = (torch.full((BATCH,), 0.1, requires_grad=True) for _ in range(2))
    score(_verdict(real), _verdict(fake)).backward()
    return tuple(torch.zeros(BATCH) if each.grad is None else each.grad for each in (real, fake))  # pyright: ignore[reportReturnType]


def discriminator_pulls_apart(config: LossConfig) -> None:
    """Where reals and fakes look alike, the discriminator's step raises real logits and lowers fake ones."""
    if not config.higher_is_real:
        return
    real, fake = _pulls(_sides(config)[0])
    assert bool((real < 0).all()), "real logits are not raised"
    assert bool((fake > 0).all()), "fake logits are not lowered"


def generator_raises_fakes(config: LossConfig) -> None:
    """The generator's step raises the logits of fakes."""
    if not config.higher_is_real:
        return
    _, fake = _pulls(_sides(config)[1])
    assert bool((fake < 0).all())


def targets_stay_in_range(config: LabelPolicyConfig) -> None:
    """Targets keep their shape and stay in [0, 1]; the same draws give the same targets."""
    policy = config.build()
    for real in (True, False):
        target = torch.full((1000,), float(real))
        changed = policy.forward(target, real, SEEDED.generator("policy"))
        assert changed.shape == target.shape
        assert bool(((changed >= 0) & (changed <= 1)).all())
        assert torch.equal(changed, policy.forward(target, real, SEEDED.generator("policy")))
        assert torch.equal(target, torch.full((1000,), float(real))), "the targets were changed in place"


class _Case:
    """A regularizer in the turn that it belongs to."""

    def __init__(self, config: RegularizerConfig) -> None:
        self.game = with_built_players(FakeGame((*config.tensors(), *config.requires_grad_tensors())))
        side = 0 if config.side == "discriminator" else 1
        named = [turn for turn in self.game.turns if turn.name in (config.turns or ())]
        self.turn: Turn = named[0] if named else self.game.turns[side]
        self.live = config.build()
        self.inputs: frozenset[Side] = config.grad_wrt_sides
        self.requires_grad_tensors = frozenset(config.requires_grad_tensors())

    def round(self, batch: dict[str, Tensor]) -> Round:
        return round_of(
            self.game, batch, self.turn, grad_wrt_sides=self.inputs, requires_grad_tensors=self.requires_grad_tensors
        )

    def value(self, batch: dict[str, Tensor] | None = None) -> Tensor:
        return self.live.forward(self.round(batch or batch_of(self.game.data)))


def finite_scalar(config: RegularizerConfig) -> None:
    """The penalty is a finite scalar."""
    value = _Case(config).value()
    assert value.ndim == 0
    assert bool(value.isfinite())


def zero_by_theory(config: RegularizerConfig) -> None:
    """The penalty is 0 in the case that the class names."""
    case = _Case(config)
    batch = batch_of(case.game.data)
    match config.zero_when:
        case None:
            return
        case "tensors are equal":
            same = batch["real"]
            batch = {name: same if each.shape == same.shape else each for name, each in batch.items()}
        case "samples are equal":
            batch = {name: each[:1].expand_as(each) for name, each in batch.items()}
        case "the judge is flat" | "the judge has slope one":
            _make_linear(case.game, slope=float(config.zero_when == "the judge has slope one"))
    assert abs(float(case.value(batch).detach())) < 1e-9


class _Linear(torch.nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        flat = sample.double().flatten(1)
        return DiscriminatorOutput(self.slope * flat.sum(dim=1) / flat.shape[1] ** 0.5)


def _make_linear(game: Game, slope: float) -> None:
    game.set_players(game.players | {"discriminator": _Linear(slope)})


class _Terms:
    """As much of an experiment as an objective reads."""

    def __init__(self, *regularizers: RegularizerConfig) -> None:
        self.losses = ()
        self.regularizers = regularizers


def _objective(case: _Case, *regularizers: RegularizerConfig) -> Objective:
    everywhere = tuple(turn.name for turn in case.game.turns)
    joined = [each.model_copy(update={"turns": everywhere}) for each in regularizers]
    return Objective(cast(Any, _Terms(*joined)), case.game)


def _total(case: _Case, objective: Objective, count: int = 0) -> float:
    game_round = case.round(batch_of(case.game.data))
    return float(objective(game_round, case.turn, TrainingProgress(count, 0, 1)).total.detach())


def linear_in_weight(config: RegularizerConfig) -> None:
    """Three times the weight is three times the contribution."""
    case = _Case(config)
    one, three = (_total(case, _objective(case, config.model_copy(update={"weight": weight}))) for weight in (1.0, 3.0))
    assert abs(three - 3 * one) <= 1e-5 * max(abs(three), 1e-6)


def lazy_keeps_the_mean(config: RegularizerConfig) -> None:
    """Taken each fourth turn, the mean contribution is that of every turn."""
    case = _Case(config)
    eager = _total(case, _objective(case, config.model_copy(update={"weight": 1.0, "every": 1})))
    lazy = _objective(case, config.model_copy(update={"weight": 1.0, "every": 4}))
    mean = sum(_total(case, lazy, count) for count in range(4)) / 4
    assert abs(mean - eager) <= 1e-5 * max(abs(eager), 1e-6)


def frozen_players_get_no_gradient(config: RegularizerConfig) -> None:
    """In its turn the term leaves no gradient with players who do not move."""
    case = _Case(config)
    with case.game.only_trainable(case.turn.players):
        value = case.value()
        if value.requires_grad:
            value.backward()
    frozen = set(case.game.players) - set(case.turn.players)
    assert all(each.grad is None for name in frozen for each in case.game.players[name].parameters())


def mean_over_examples(config: LossConfig) -> None:
    """Over a batch the loss is the mean of that over its halves, unless its class is `batch_coupled`."""
    real, fake = ((SEEDED.normal(name, (BATCH,)) * 2).double() for name in ("real", "fake"))
    halves = [slice(0, BATCH // 2), slice(BATCH // 2, BATCH)]
    for score in () if config.batch_coupled else _sides(config):
        whole = score(_verdict(real), _verdict(fake))
        parts = [score(_verdict(real[half]), _verdict(fake[half])) for half in halves]
        assert torch.allclose(whole, torch.stack(parts).mean(), rtol=1e-9, atol=1e-9), "say `batch_coupled = True`"


CHECKS = {
    "loss": {
        "finite at extreme logits": finite_at_extremes,
        "float64 gradcheck": gradients_are_right,
        "the discriminator pulls reals and fakes apart": discriminator_pulls_apart,
        "the generator raises fake logits": generator_raises_fakes,
        "a mean over examples": mean_over_examples,
    },
    "label policy": {"targets stay in range and are seeded": targets_stay_in_range},
    "regularizer": {
        "finite scalar": finite_scalar,
        "zero where theory says so": zero_by_theory,
        "linear in its weight": linear_in_weight,
        "a lazy interval keeps the mean": lazy_keeps_the_mean,
        "no stray gradients to frozen players": frozen_players_get_no_gradient,
    },
}
