"""Checks of losses, label policies and regularizers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig
from ganframe.errors import BadInput, describe
from ganframe.game.contest import Side
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.objective import Objective
from ganframe.game.round import Round
from ganframe.game.term_needs import find_needs
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.testing.fakes import BATCH, CLASSES, RANDOMNESS, FakeGame, make_round, random_batch, with_built_players

UNEQUAL = "two builds of the term from one seed give different values; draw from `game_round.randomness` only"


def _output(logits: Tensor) -> DiscriminatorOutput:
    labels = torch.arange(len(logits)) % CLASSES
    class_logits = logits[:, None] * torch.nn.functional.one_hot(labels, CLASSES).to(logits.dtype)
    return DiscriminatorOutput(logits, (logits[:, None],), class_logits, logits[:, None], labels)


def _scores(config: LossConfig) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """Return the discriminator loss and the generator loss, as functions of the logits of reals and of fakes."""
    loss = config.build()

    def of_logits(score: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda real, fake: score(*(config.example_output(side) or _output(side) for side in (real, fake)))

    return [of_logits(loss.discriminator), of_logits(loss.generator)]


def finite_at_extremes(config: LossConfig) -> None:
    """The loss is a scalar. It and its gradients are finite at logits of +-1e4 in float32 and +-1e3 in bf16."""
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        for real, fake in ((size, size), (size, -size), (-size, size), (-size, -size), (0.0, 0.0)):
            for score in _scores(config):
                logits = [torch.full((BATCH,), value, dtype=dtype, requires_grad=True) for value in (real, fake)]
                loss = score(*logits)
                assert loss.ndim == 0, "a loss must be a scalar, such as the mean over the batch"
                assert loss.requires_grad, "a loss must depend on the logits: do not detach them or convert the loss"
                loss.backward()
                assert bool(loss.isfinite()), f"the loss at real {real}, fake {fake} in {dtype} is {float(loss)}"
                finite = all(side.grad is None or bool(side.grad.isfinite().all()) for side in logits)
                assert finite, f"a gradient at real {real}, fake {fake} in {dtype} is not finite: use softplus or clamp"


def gradients_are_right(config: LossConfig) -> None:
    """The gradients of the loss agree with finite differences in float64."""
    for score in _scores(config):
        logits = tuple(
            (RANDOMNESS.normal(name, (BATCH,)) * 2 + 0.05).double().requires_grad_() for name in ("real", "fake")
        )
        assert torch.autograd.gradcheck(
            lambda real, fake, score=score: score(real, fake) + 0 * (real.sum() + fake.sum()), logits
        ), "the gradient is not that of the value: do not detach parts, or override `example_output` of the config"


def _logit_gradients(score: Any) -> tuple[Tensor, Tensor]:
    real, fake = (torch.full((BATCH,), 0.1, requires_grad=True) for _ in range(2))
    score(real, fake).backward()
    return tuple(torch.zeros(BATCH) if side.grad is None else side.grad for side in (real, fake))  # pyright: ignore[reportReturnType]


def discriminator_pulls_apart(config: LossConfig) -> None:
    """From equal logits, a gradient step on the discriminator's loss raises logits of reals and lowers those of fakes.

    Not checked if `higher_is_real` is False.
    """
    if not config.higher_is_real:
        return
    real, fake = _logit_gradients(_scores(config)[0])
    assert bool((real < 0).all()), "real logits are not raised; where they should not be, set `higher_is_real = False`"
    assert bool((fake > 0).all()), "fake logits are not lowered; where they should not be, set `higher_is_real = False`"


def generator_raises_fakes(config: LossConfig) -> None:
    """A gradient step on the generator's loss raises the logits of fakes.

    Not checked if `higher_is_real` is False.
    """
    if not config.higher_is_real:
        return
    _, fake = _logit_gradients(_scores(config)[1])
    assert bool((fake < 0).all()), "fake logits are not raised; where they should not be, set `higher_is_real = False`"


def targets_stay_in_range(config: LabelPolicyConfig) -> None:
    """The new targets have the same shape as the old ones, are in [0, 1], and are the same for the same seed.

    The old targets are not changed in place.
    """
    policy = config.build()
    for real in (True, False):
        target = torch.full((1000,), float(real))
        changed = policy.forward(target, real, RANDOMNESS.generator("policy"))
        assert changed.shape == target.shape, f"targets {tuple(target.shape)} became {tuple(changed.shape)}"
        assert bool(((changed >= 0) & (changed <= 1)).all()), "targets leave [0, 1]: clamp them"
        again = policy.forward(target, real, RANDOMNESS.generator("policy"))
        assert torch.equal(changed, again), "two calls differ: draw from the generator that is given, and from no other"
        assert torch.equal(target, torch.full((1000,), float(real))), "the targets were changed in place"


class _RegularizerCase:
    """A regularizer, a stand-in game with the tensors that it reads, and a turn in which it takes part."""

    def __init__(self, config: RegularizerConfig) -> None:
        needs, self.config = find_needs(config), config
        names, specs = (*needs.tensors, *needs.requires_grad_tensors), config.example_specs()
        self.game = with_built_players(FakeGame(names, specs))
        self.guessed = sorted({*names} - specs.keys() - {"label"})
        side = 0 if config.side == "discriminator" else 1
        chosen = [turn for turn in self.game.turns if turn.name in (config.turns or ())]
        self.turn: Turn = chosen[0] if chosen else self.game.turns[side]
        self.live = config.build()
        self.grad_wrt_sides: frozenset[Side] = needs.grad_wrt_sides
        self.requires_grad_tensors = frozenset(needs.requires_grad_tensors)

    def make_round(self, batch: dict[str, Tensor]) -> Round:
        return make_round(
            self.game,
            batch,
            self.turn,
            grad_wrt_sides=self.grad_wrt_sides,
            requires_grad_tensors=self.requires_grad_tensors,
        )

    def value(self, batch: dict[str, Tensor] | None = None) -> Tensor:
        with self.naming_the_remedy():
            return self.live.forward(self.make_round(batch or self.batch()))

    @contextmanager
    def naming_the_remedy(self) -> Generator[None, None, None]:
        """If the term fails, and the kit guessed that tensors are images, add to the error how to declare them."""
        try:
            yield
        except (AssertionError, BadInput):
            raise
        except Exception as problem:
            if not self.guessed:
                raise
            names = ", ".join(map(repr, self.guessed))
            raise AssertionError(
                f"the term fails with images as {names} ({describe(problem)}). If it reads anything else there, let "
                f"`example_specs` of the config tell so: {{{self.guessed[0]!r}: TensorSpec((), classes={CLASSES})}} "
                "are class labels"
            ) from problem

    def batch(self) -> dict[str, Tensor]:
        """Return a batch without the tensors that the game can make, so that gradients reach the generator."""
        made = {"latent", "fake"} - set(self.config.example_specs())
        return {name: value for name, value in random_batch(self.game.data).items() if name not in made}


def finite_scalar(config: RegularizerConfig) -> None:
    """The value is a finite scalar."""
    value = _RegularizerCase(config).value()
    assert value.ndim == 0, "a regularizer must be a scalar, such as the mean over the batch"
    assert bool(value.isfinite()), f"the value is {float(value)}"


def depends_on_something(config: RegularizerConfig) -> None:
    """The value depends on a player, on a parameter of the term itself, or on a tensor that it reads.

    Otherwise, as with detached tensors, the term trains nothing.
    """
    case = _RegularizerCase(config)
    batch = case.batch()
    for value in batch.values():
        value.requires_grad_(value.is_floating_point())
    assert case.value(batch).requires_grad, "the value has no gradient: do not detach what it is computed from"


def _trained(live: object) -> dict[str, torch.nn.Parameter]:
    """Return the trainable parameters of a term itself, by name."""
    parameters = dict(live.named_parameters()) if isinstance(live, torch.nn.Module) else {}
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}


def _assert_trained(live: object) -> None:
    missing = [name for name, parameter in _trained(live).items() if parameter.grad is None]
    assert not missing, (
        f"no gradient: {', '.join(missing)}. Leave them out, or freeze them with `requires_grad_(False)`"
    )


def regularizer_parameters_learn(config: RegularizerConfig) -> None:
    """Every parameter of the term gets a gradient from its value. Not checked if the term has no parameters."""
    case = _RegularizerCase(config)
    if _trained(case.live):
        case.value().backward()
        _assert_trained(case.live)


def loss_parameters_learn(config: LossConfig) -> None:
    """Every parameter of the loss gets a gradient from it in some turn. Not checked if the loss has no parameters."""
    loss: Any = config.build()
    for score in (loss.discriminator, loss.generator) if _trained(loss) else ():
        real, fake = (RANDOMNESS.normal(name, (BATCH,)) for name in ("real", "fake"))
        score(*(config.example_output(side) or _output(side) for side in (real, fake))).backward()
    _assert_trained(loss)


def state_round_trip(config: LossConfig | RegularizerConfig) -> None:
    """A second term that loads the state dict of the first has an equal state. Not checked if there is no state."""
    first, second = config.build(), config.build()
    if not (isinstance(first, torch.nn.Module) and isinstance(second, torch.nn.Module)):
        return
    if isinstance(config, RegularizerConfig):  # its state may depend on data that it has seen
        case = _RegularizerCase(config)
        case.live = cast(Any, first)
        case.value()
    saved = first.state_dict()
    if not saved:
        return
    second.load_state_dict(saved)
    loaded = second.state_dict()
    different = [name for name, value in saved.items() if not _equal(value, loaded[name])]
    assert not different, f"not restored: {', '.join(different)}"


def _equal(value: Any, other: Any) -> bool:
    """Return whether two entries of a state dict are equal; they may be nested dictionaries."""
    if isinstance(value, Tensor):
        return torch.equal(value, other)
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value)
        return pairs.keys() == other.keys() and all(_equal(each, other[name]) for name, each in pairs.items())
    return value == other


def zero_by_theory(config: RegularizerConfig) -> None:
    """The value is 0 in the case that the config class names in `zero_when`, such as a constant discriminator.

    Not checked if `zero_when` is None.
    """
    case = _RegularizerCase(config)
    batch = random_batch(case.game.data)
    match config.zero_when:
        case None:
            return
        case "tensors are equal":
            one = batch[(*config.tensors(), "real")[0]]
            batch = {name: one if tensor.shape == one.shape else tensor for name, tensor in batch.items()}
        case "samples are equal":
            batch = {name: tensor[:1].expand_as(tensor) for name, tensor in batch.items()}
        case "discriminator is constant":
            _set_linear_discriminator(case.game, gradient_norm=0.0)
        case "discriminator gradient has norm one":
            _set_linear_discriminator(case.game, gradient_norm=1.0)
    value = float(case.value(batch).detach())
    assert abs(value) < 1e-9, f"the value is {value} where `zero_when` says that it is 0; leave it None if it is not"


class _LinearDiscriminator(torch.nn.Module):
    def __init__(self, gradient_norm: float) -> None:
        super().__init__()
        self.gradient_norm = torch.nn.Parameter(torch.tensor(gradient_norm, dtype=torch.float64))

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        flat = sample.double().flatten(1)
        return DiscriminatorOutput(self.gradient_norm * flat.sum(dim=1) / flat.shape[1] ** 0.5)


def _set_linear_discriminator(game: Game, gradient_norm: float) -> None:
    game.set_players(game.players | {"discriminator": _LinearDiscriminator(gradient_norm)})


class _ExperimentTerms:
    """A stand-in for `Experiment`, with only the fields that `Objective` reads."""

    def __init__(self, *regularizers: RegularizerConfig) -> None:
        self.seed = 0
        self.losses = ()
        self.regularizers = regularizers


def _objective(case: _RegularizerCase, *regularizers: RegularizerConfig) -> Objective:
    turns = tuple(turn.name for turn in case.game.turns)
    in_all_turns = [regularizer.model_copy(update={"turns": turns}) for regularizer in regularizers]
    return Objective(cast(Any, _ExperimentTerms(*in_all_turns)), case.game)


def _total(case: _RegularizerCase, objective: Objective, turn_count: int = 0) -> float:
    game_round = case.make_round(case.batch())
    with case.naming_the_remedy():
        return float(objective(game_round, case.turn, TrainingProgress(turn_count, 0, 1)).total.detach())


def linear_in_weight(config: RegularizerConfig) -> None:
    """Tripling the weight triples the contribution to the objective."""
    case = _RegularizerCase(config)
    one, three = (_total(case, _objective(case, config.model_copy(update={"weight": weight}))) for weight in (1.0, 3.0))
    assert abs(three - 3 * one) <= 1e-5 * max(abs(three), 1e-6), f"{UNEQUAL}: {three}, not 3 times {one}"


def lazy_keeps_the_mean(config: RegularizerConfig) -> None:
    """The mean contribution to the objective over four turns is the same with `every: 4` as with `every: 1`."""
    case = _RegularizerCase(config)
    eager = _total(case, _objective(case, config.model_copy(update={"weight": 1.0, "every": 1})))
    lazy = _objective(case, config.model_copy(update={"weight": 1.0, "every": 4}))
    mean = sum(_total(case, lazy, count) for count in range(4)) / 4
    assert abs(mean - eager) <= 1e-5 * max(abs(eager), 1e-6), f"{UNEQUAL}: {mean}, not {eager}"


def frozen_players_get_no_gradient(config: RegularizerConfig) -> None:
    """The regularizer does not give a gradient to players that do not train in the turn."""
    case = _RegularizerCase(config)
    with case.game.only_trainable(case.turn.players):
        value = case.value()
        if value.requires_grad:
            value.backward()
    frozen = set(case.game.players) - set(case.turn.players)
    parameters = [parameter for name in frozen for parameter in case.game.players[name].parameters()]
    stray = any(parameter.grad is not None for parameter in parameters)
    assert not stray, "a frozen player gets a gradient: leave `requires_grad` of its parameters as it is"


def mean_over_examples(config: LossConfig) -> None:
    """The loss of a batch is the mean of the losses of its two halves.

    Not checked if `batch_coupled` is True.
    """
    real, fake = ((RANDOMNESS.normal(name, (BATCH,)) * 2).double() for name in ("real", "fake"))
    halves = [slice(0, BATCH // 2), slice(BATCH // 2, BATCH)]
    for score in () if find_needs(config).batch_coupled else _scores(config):
        whole = score(real, fake)
        parts = [score(real[half], fake[half]) for half in halves]
        assert torch.allclose(whole, torch.stack(parts).mean(), rtol=1e-9, atol=1e-9), "set `batch_coupled = True`"


CHECKS = {
    "loss": {
        "finite at extreme logits": finite_at_extremes,
        "float64 gradcheck": gradients_are_right,
        "the discriminator pulls reals and fakes apart": discriminator_pulls_apart,
        "the generator raises fake logits": generator_raises_fakes,
        "a mean over examples": mean_over_examples,
        "parameters of its own get a gradient": loss_parameters_learn,
        "state round trip": state_round_trip,
    },
    "label policy": {"targets stay in range and are seeded": targets_stay_in_range},
    "regularizer": {
        "finite scalar": finite_scalar,
        "depends on what it reads": depends_on_something,
        "parameters of its own get a gradient": regularizer_parameters_learn,
        "state round trip": state_round_trip,
        "zero where theory says so": zero_by_theory,
        "linear in its weight": linear_in_weight,
        "a lazy interval keeps the mean": lazy_keeps_the_mean,
        "no stray gradients to frozen players": frozen_players_get_no_gradient,
    },
}
