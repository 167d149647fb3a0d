"""Terms that wrap other terms: what they need, which settings of theirs hold, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
import torch
from line_game import (
    JUDGE_LR,
    MAKER_LR,
    PAIRS,
    Between,
    Columns,
    G,
    LineConfig,
    OfJudge,
    OnlyFake,
    Path1,
    Square,
    SquareLoss,
    Unbounded,
    W,
    batch,
    begin,
    judge_slope,
    maker_slope,
    mean,
    plain_step,
    weights,
)
from pydantic import Field
from torch import Tensor, nn

from ganframe import BadInput, hookimpl
from ganframe.builtin.optimizers import SGD
from ganframe.builtin.schedules import Linear
from ganframe.config.component_kinds import AugmentationConfig, GameConfig, OptimizerConfig
from ganframe.config.experiment import Experiment
from ganframe.config.schedules import Bounds, Scheduled, initial_value
from ganframe.config.tensor_specs import DataSpec
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.game.term_needs import find_needs
from ganframe.training.assembly import assemble
from ganframe.training.components import nested_components
from ganframe.training.scheduled_settings import ScheduledSettings


class Tempered(LossConfig):
    """Least squares of the logits over a temperature."""

    type: Literal["tempered"] = "tempered"
    temperature: Annotated[Scheduled, Bounds(ge=0)] = 1.0

    def build(self) -> Any:
        return TemperedLoss(initial_value(self.temperature))


class TemperedLoss(SquareLoss):
    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.seen = list[float]()

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        self.seen.append(self.temperature)
        return super().discriminator(real, fake)


class Sum(LossConfig):
    """The weighted sum of losses."""

    type: Literal["sum"] = "sum"
    applies = frozenset({"weight"})
    of: tuple[LossConfig, ...] = ()

    def build(self) -> Any:
        return SumLoss([(loss, Weighted(loss)) for loss in self.of])


class Weighted:
    """A loss with its weight, both of which may follow a schedule."""

    def __init__(self, config: LossConfig) -> None:
        self.weight, self.loss = initial_value(config.weight), config.build()

    @property
    def temperature(self) -> float:
        return self.loss.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self.loss.temperature = value


class SumLoss:
    def __init__(self, nested: list[tuple[LossConfig, Weighted]]) -> None:
        self.nested = tuple(nested)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return torch.stack([each.weight * each.loss.discriminator(real, fake) for _, each in self.nested]).sum()

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return torch.stack([each.weight * each.loss.generator(real, fake) for _, each in self.nested]).sum()


class Held(LossConfig):
    """Other losses, of which it applies nothing and hands over nothing."""

    type: Literal["held"] = "held"
    of: LossConfig | None = None
    named: dict[str, LossConfig] = Field(default_factory=dict[str, LossConfig])

    def build(self) -> Any:
        return SquareLoss()


class Twice(RegularizerConfig):
    """Twice another regularizer."""

    type: Literal["twice"] = "twice"
    of: RegularizerConfig

    def build(self) -> Any:
        inner = self.of.build()

        class Double:
            def forward(self, game_round: Round) -> Tensor:
                return 2 * inner.forward(game_round)

        return Double()


def problem(build: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as raised:
        build()
    return raised.value


# What nested terms need is met.


def test_a_composite_of_two_losses_is_their_sum_by_the_weights_that_it_applies() -> None:
    """3 times least squares and half the mean of w * g * z, whose slopes are the means of g * z and of w * z."""
    trainer = begin([batch(*PAIRS[0])], losses=(Sum(of=(Square(weight=3), OnlyFake(weight=0.5))),))
    trainer.step()
    latent = PAIRS[0][1]
    w = W - JUDGE_LR * (3 * judge_slope(W, G, *PAIRS[0]) + 0.5 * mean([G * z for z in latent]))
    g = G - MAKER_LR * (3 * maker_slope(w, G, latent) + 0.5 * mean([w * z for z in latent]))
    assert weights(trainer) == pytest.approx((w, g))


@pytest.mark.parametrize("share_round", [False, True])
def test_the_gradient_of_a_nested_regularizer_reaches_the_generator(share_round: bool) -> None:
    """Twice the square of the slope g of a fake by its latent: its gradient is 4 g."""
    trainer = begin([batch(*PAIRS[0])], regularizers=(Twice(of=Path1()),), game=LineConfig(share_round=share_round))
    trainer.step()
    w, g = plain_step(W, G, PAIRS[0])
    assert weights(trainer) == pytest.approx((w, g - MAKER_LR * 4 * G))


def test_needs_are_those_of_all_nested_terms_at_any_depth() -> None:
    class Reading(Square):
        type: Literal["reading"] = "reading"  # pyright: ignore[reportIncompatibleVariableOverride]
        requires_outputs = frozenset({"features"})
        batch_coupled = True

    class Asking(Path1):
        type: Literal["asking"] = "asking"  # pyright: ignore[reportIncompatibleVariableOverride]
        requires_outputs = frozenset({"class_logits"})
        requires_methods = frozenset({"log_prob"})
        inner: Held | None = None

        def tensors(self) -> tuple[str, ...]:
            return ("fake",)

    plain = find_needs(Held())
    assert (plain.tensors, plain.requires_grad_tensors, plain.requires_outputs) == ((), (), frozenset())
    assert not (plain.batch_coupled or plain.needs_double_backward or plain.differentiates_discriminator)
    assert plain.takes_targets
    needs = find_needs(Twice(of=Asking(inner=Held(named={"a": Reading()}))))
    assert needs.tensors == ("fake",)
    assert needs.requires_grad_tensors == ("latent",)
    assert needs.requires_outputs == {"class_logits", "features"}
    assert needs.requires_methods == {"log_prob"}
    assert needs.batch_coupled
    assert needs.needs_double_backward
    assert not needs.differentiates_discriminator
    assert find_needs(Twice(of=OfJudge())).grad_wrt_sides == {"fake"}
    assert find_needs(Twice(of=OfJudge())).differentiates_discriminator
    assert find_needs(Twice(of=Between())).differentiates_discriminator
    assert not find_needs(Held(of=Unbounded())).takes_targets


class Smooth(LabelPolicyConfig):
    """Leaves targets as they are."""

    type: Literal["smooth"] = "smooth"

    def build(self) -> Any:
        class Policy:
            def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
                return target

        return Policy()


def test_what_a_nested_term_needs_and_the_game_lacks_is_refused() -> None:
    class Deep(Path1):
        type: Literal["deep"] = "deep"  # pyright: ignore[reportIncompatibleVariableOverride]

        def tensors(self) -> tuple[str, ...]:
            return ("depth",)

    class Wide(Square):
        type: Literal["wide"] = "wide"  # pyright: ignore[reportIncompatibleVariableOverride]
        requires_outputs = frozenset({"features"})

    class Choosy(Square):
        type: Literal["choosy"] = "choosy"  # pyright: ignore[reportIncompatibleVariableOverride]

        def check(self, game: Game) -> None:
            raise BadInput("not this game", path=("setting",))

    found = problem(lambda: begin(regularizers=(Twice(of=Deep()),)))
    assert (found.message, found.path) == (
        "'twice' reads the tensor 'depth', which the game does not have",
        ("regularizers", 0),
    )
    found = problem(lambda: begin(losses=(Held(of=Wide()),)))
    assert found.message == "'held' reads features, which 'line-judge' does not give"
    found = problem(lambda: begin(losses=(Held(named={"a": Choosy()}),)))
    assert (found.message, found.path) == ("not this game", ("losses", 0, "named", "a", "setting"))
    found = problem(lambda: begin(losses=(Held(of=Unbounded(), label_policies=(Smooth(),)),)))
    assert found.path == ("losses", 0, "label_policies")


# Settings of nested terms.


@pytest.mark.parametrize(
    "settings",
    [
        {"weight": 2},
        {"weight": Linear(start=1, end=0)},
        {"every": 2},
        {"turns": ("making",)},
        {"contests": ("judge",)},
        {"from_images": 5},
        {"until_images": 9},
        {"label_policies": (Smooth(),)},
    ],
)
def test_a_setting_that_only_the_objective_applies_is_refused_in_a_nested_term(settings: dict[str, Any]) -> None:
    name = next(iter(settings))
    for losses, path in (
        ((Held(of=Square(**settings)),), (0, "of")),
        ((Square(), Held(named={"a": Square(**settings)})), (1, "named", "a")),
        ((Sum(of=(Square(), Held(of=Square(**settings)))),), (0, "of", 1, "of")),
    ):
        found = problem(lambda losses=losses: begin(losses=losses))
        assert found.message == f"'held' does not apply '{name}' of the loss 'square'"
        assert found.path == ("losses", *path, name)
    begin(losses=(Held(of=Square(weight=1.0, every=1, from_images=0)),))


def test_a_term_may_say_which_of_them_it_applies() -> None:
    begin(losses=(Sum(of=(Square(weight=7),)),))
    assert problem(lambda: begin(losses=(Sum(of=(Square(every=7),)),))).path == ("losses", 0, "of", 0, "every")


# Schedules in nested components.

RAMP = Linear(start=0, end=50)
"""Half the number of images seen, in a run of 100."""


@pytest.mark.parametrize(
    ("losses", "path"),
    [
        ((Held(of=Tempered(temperature=RAMP)),), (0, "of")),
        ((Held(named={"a": Tempered(temperature=RAMP)}),), (0, "named", "a")),
        ((Square(), Sum(of=(Held(of=Tempered(temperature=RAMP)),))), (1, "of", 0, "of")),
    ],
)
def test_a_schedule_of_what_is_out_of_reach_is_refused(losses: Any, path: tuple[Any, ...]) -> None:
    found = problem(lambda: begin(losses=losses))
    assert found.message == "a setting of the loss 'tempered' cannot follow a schedule here"
    assert found.path == ("losses", *path, "temperature")


def test_a_schedule_of_what_is_handed_over_is_followed() -> None:
    given = (Sum(of=(Tempered(temperature=RAMP), Tempered(temperature=4.0))),)
    trainer = begin([batch(*pair) for pair in PAIRS[:3]], losses=given)
    for _ in range(3):
        trainer.step()
    first, second = (each.loss.seen for _, each in trainer.objective.terms[0].live.nested)  # pyright: ignore
    assert first == [0, 1, 2]
    assert second == [4, 4, 4]


def test_a_scheduled_weight_of_a_nested_term_is_followed_where_it_is_applied() -> None:
    """The weight is 0 in the first step, so that nobody moves, and 1 in the second."""
    trainer = begin([batch(*pair) for pair in PAIRS[:2]], losses=(Sum(of=(Square(weight=RAMP),)),))
    trainer.step()
    assert weights(trainer) == (W, G)
    trainer.step()
    assert weights(trainer) == pytest.approx(plain_step(W, G, PAIRS[1]))


class Scaled(Columns):
    """Data of another size."""

    type: Literal["scaled"] = "scaled"  # pyright: ignore[reportIncompatibleVariableOverride]
    size: Scheduled = 1.0


class Around(OptimizerConfig):
    """Another optimizer."""

    type: Literal["around"] = "around"
    of: OptimizerConfig

    def build(self, parameters: Any) -> Any:
        return self.of.build(parameters)


def test_a_schedule_of_what_no_step_changes_is_refused_wherever_it_is() -> None:
    found = problem(lambda: begin(data=Scaled(size=RAMP)))
    assert found.path == ("data", "size")
    found = problem(lambda: begin(optimizers={"judging": Around(of=SGD(lr=RAMP))}))
    assert found.path == ("optimizers", "judging", "of", "lr")
    begin(optimizers={"judging": SGD(lr=RAMP)}, data=Scaled(size=2.0))


# What nested objects hold.


class Quiet(AugmentationConfig):
    """Changes nothing and has a buffer."""

    type: Literal["quiet"] = "quiet"
    heard: bool = False

    def build(self) -> nn.Module:
        built = Listening() if self.heard else nn.Identity()
        built.register_buffer("noise", torch.ones(2))
        return built


class Listening(nn.Identity):
    turns = 0

    @hookimpl
    def on_turn_end(self) -> None:
        self.turns += 1


class Augmented(RegularizerConfig):
    """Reads nothing of what it holds."""

    type: Literal["augmented"] = "augmented"
    of: AugmentationConfig
    registered: bool = True

    def build(self) -> Any:
        return Holder(self)


class Holder(nn.Module):
    def __init__(self, config: Augmented) -> None:
        super().__init__()
        child = config.of.build()
        self.children_by_name = [child]
        if config.registered:
            self.child = child
        self.nested = ((config.of, child),)

    def forward(self, game_round: Round) -> Tensor:
        return game_round.game.players["maker"].weight * 0


def test_a_nested_object_with_state_has_to_be_a_submodule() -> None:
    trainer = begin(regularizers=(Augmented(of=Quiet()),))
    state = trainer.objective.stateful_terms()["augmented"].state_dict()
    assert list(state) == ["child.noise"]
    found = problem(lambda: begin(regularizers=(Augmented(of=Quiet(), registered=False),)))
    assert "'quiet' has parameters or buffers, but is no submodule of 'augmented'" in found.message
    assert found.path == ("regularizers", 0, "of")


def test_a_nested_object_with_hooks_listens() -> None:
    trainer = begin(regularizers=(Augmented(of=Quiet(heard=True)),))
    child = trainer.objective.terms[1].live.child  # pyright: ignore
    assert trainer.run.assembly.listeners() == [child]


# Games inside games, and networks inside networks.


class Paced(LineConfig):
    """The game on a line, with a pace."""

    type: Literal["paced"] = "paced"  # pyright: ignore[reportIncompatibleVariableOverride]
    pace: Scheduled = 1.0


class Outer(GameConfig):
    """Plays the game that it holds."""

    type: Literal["outer"] = "outer"
    of: GameConfig

    def build(self, data: DataSpec) -> Game:
        return self.of.build(data)


def test_a_schedule_in_a_game_inside_a_game_is_refused_unless_it_is_handed_over() -> None:
    found = problem(lambda: begin(game=Outer(of=Paced(pace=RAMP))))  # pyright: ignore[reportArgumentType]
    assert found.path == ("game", "of", "pace")
    assert found.message == "a setting of the game 'paced' cannot follow a schedule here"
    begin(game=Outer(of=Paced(pace=2.0)))  # pyright: ignore[reportArgumentType]


def test_a_schedule_in_a_network_inside_a_network_is_followed() -> None:
    """Dropout falls from 0.5 to 0 in a network below another transform."""
    noisy = {
        "type": "sampling-noise",
        "of": {"type": "mlp", "hidden": [8], "latent": 4},
        "dropout": {"type": "linear", "start": 0.5, "end": 0},
    }
    experiment = Experiment.model_validate(
        {
            "game": {
                "type": "adversarial",
                "generator": {"type": "spectral-norm", "of": noisy},
                "discriminator": {"type": "mlp", "hidden": [8]},
            },
            "losses": ["non-saturating"],
            "data": "digits",
            "train": {"total_images": 100, "device": "cpu"},
        }
    )
    assembly = assemble(experiment)
    own = list(assembly.own_components())
    schedules = ScheduledSettings(own, nested_components(own))
    found = [each for each in assembly.game.players["generator"].modules() if type(each).__name__ == "Noisy"]
    assert len(found) == 1
    for images, dropout in ((0, 0.5), (50, 0.25), (100, 0.0)):
        schedules.apply(images, 100)
        assert found[0].dropout == dropout
