"""Optimizers of players and parameter groups, and clipping: weights worked out by hand on a line, refusals, resumes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import line_game
import pytest
import torch
from line_game import (
    PAIRS,
    Calls,
    G,
    LineConfig,
    W,
    batch,
    begin,
    judge_slope,
    maker_slope,
    mean,
    weights,
)
from pydantic import ValidationError
from ranks import pretend_ranks
from torch import Tensor, nn

from ganframe import BadInput, RunFailed, hookimpl
from ganframe.builtin.optimizers import SGD, Adam
from ganframe.builtin.schedules import Linear
from ganframe.config.component_kinds import OptimizerConfig
from ganframe.game.wrapper import Wrapper
from ganframe.runs.checkpoint_files import list_checkpoints, load, save
from ganframe.runs.folder import RunFolder
from ganframe.training import gradient_clipping, save_and_restore
from ganframe.training.explain import _turns  # pyright: ignore[reportPrivateUsage]
from ganframe.training.gradient_clipping import clip_gradient_norm
from ganframe.training.optimizers import TurnOptimizer
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run
from ganframe.training.step import Trainer

REAL, LATENT = PAIRS[0]
BOTH = LineConfig(trains_both=True)
A, B = 0.5, 0.25


class Shifted(nn.Module):
    """Gives `a * latent + b`, with a group for each."""

    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(A))
        self.b = nn.Parameter(torch.tensor(B))

    def forward(self, source: Tensor) -> Tensor:
        return self.a * source + self.b

    def parameter_groups(self) -> Mapping[str, Iterable[nn.Parameter]]:
        return {"scale": [self.a], "shift": [self.b], "all": self.parameters()}


@pytest.fixture
def shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker has two parameters, each a group."""
    monkeypatch.setattr(line_game.MakerConfig, "build", lambda self, **given: Shifted())


def shifted_slopes(w: float, a: float, b: float, latent: list[float]) -> tuple[float, float]:
    """The slopes of the mean of (w (a z + b) - 1)^2 by a and b."""
    outer = [2 * (w * (a * z + b) - 1) * w for z in latent]
    return mean([each * z for each, z in zip(outer, latent, strict=True)]), mean(outer)


def both(trainer: Trainer) -> tuple[float, float]:
    maker: Any = trainer.game.players["maker"]
    return maker.a.item(), maker.b.item()


def maker_slope_of_judging(w: float, g: float, latent: list[float]) -> float:
    """The slope of the judge's loss by the maker's weight."""
    return mean([2 * w * w * g * z * z for z in latent])


def problem(build: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as raised:
        build()
    return raised.value


# Optimizers of single players.


@pytest.mark.parametrize("key", ["judging.maker", "maker"])
def test_players_of_one_turn_move_at_rates_of_their_own(key: str) -> None:
    rest = {"making": None} if key == "maker" else {"making": SGD(lr=0)}
    calls = Calls(lambda run, _turn, _rounds: weights(trainer))
    trainer = begin(
        [batch(REAL, LATENT)], [calls], game=BOTH, optimizers={"judging": SGD(lr=0.1), key: SGD(lr=0.3), **rest}
    )
    scalars = trainer.step()
    slopes = judge_slope(W, G, REAL, LATENT), maker_slope_of_judging(W, G, LATENT)
    assert calls.seen[0] == pytest.approx((W - 0.1 * slopes[0], G - 0.3 * slopes[1]))
    assert scalars["judging/gradient norm"] == pytest.approx(math.hypot(*slopes))


def test_a_player_alone_has_an_optimizer_in_each_turn_that_trains_it() -> None:
    trainer = begin([batch(REAL, LATENT)], game=BOTH, optimizers={"making": None, "maker": SGD(lr=0.3)})
    assert list(trainer.run.optimizers) == ["judging", "judging.maker", "making.maker"]
    trainer.step()
    w = W - line_game.JUDGE_LR * judge_slope(W, G, REAL, LATENT)
    g = G - 0.3 * maker_slope_of_judging(W, G, LATENT)
    assert weights(trainer) == pytest.approx((w, g - 0.3 * maker_slope(w, g, LATENT)))


def test_the_optimizer_of_a_player_in_a_turn_goes_before_that_of_the_player() -> None:
    configs = {"making": None, "maker": SGD(lr=0.3), "judging.maker": SGD(lr=0.2)}
    found = begin(game=BOTH, optimizers=configs).run.assembly.optimizer_configs()
    assert found == {"judging": SGD(lr=0.1), "judging.maker": SGD(lr=0.2), "making.maker": SGD(lr=0.3)}


def test_a_turn_that_no_player_leaves_keeps_its_optimizer_under_its_name() -> None:
    run = begin(game=BOTH).run
    assert list(run.optimizers) == ["judging", "making"]
    assert all(len(each.param_groups) == 1 for each in run.optimizers.values())
    (group,) = run.optimizers["judging"].param_groups
    assert [each.item() for each in group["params"]] == [W, G]


class Weighed(line_game.Watch):
    """A term with a parameter of its own."""

    type: Any = "weighed"

    def build(self) -> Any:
        return nn.Linear(1, 1, bias=False)


def test_the_parameters_of_terms_stay_with_the_optimizer_of_the_turn() -> None:
    run = begin(regularizers=(Weighed(),), optimizers={"making": SGD(lr=1), "making.maker": SGD(lr=2)}).run
    live: Any = run.assembly.objective.terms[1].live
    (own,), (maker,) = (run.optimizers[name].param_groups[0]["params"] for name in ("making", "making.maker"))
    assert own is live.weight
    assert maker is run.game.players["maker"].weight


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("artist", "the game has no turn 'artist'; it has: judging, making"),
        ("artist.maker", "the game has no turn 'artist.maker'; it has: judging, making"),
        ("making.judge", "the turn 'making' does not train 'judge'; it trains: maker"),
    ],
)
def test_an_optimizer_of_nobody_is_refused(name: str, message: str) -> None:
    found = problem(lambda: begin(optimizers={name: SGD()}))
    assert (found.path, found.message) == (("optimizers", name), message)
    assert found.remedy == "Name a turn, or one of the players that train: judge, maker."


def test_an_optimizer_that_is_left_without_players_is_refused() -> None:
    found = problem(lambda: begin(optimizers={"making": SGD(), "making.maker": SGD()}))
    assert found.path == ("optimizers", "making")
    assert found.message.endswith("all players of the turn have one of their own")
    found = problem(lambda: begin(optimizers={"making": None, "making.maker": SGD(), "maker": SGD()}))
    assert found.path == ("optimizers", "maker")
    assert found.message.endswith("the player has another one in each of its turns")


# Parameter groups.


@pytest.mark.usefixtures("shifted")
def test_a_group_moves_at_its_own_rate() -> None:
    making = SGD(lr=0.5, groups={"shift": {"lr": 0.005}})
    trainer = begin([batch(REAL, LATENT)], optimizers={"judging": SGD(lr=0), "making": making})
    trainer.step()
    of_a, of_b = shifted_slopes(W, A, B, LATENT)
    assert both(trainer) == pytest.approx((A - 0.5 * of_a, B - 0.005 * of_b))


@pytest.mark.usefixtures("shifted")
def test_a_group_has_all_settings_of_its_own_and_the_others_of_its_optimizer() -> None:
    making = Adam(lr=0.5, betas=(0.0, 0.9), groups={"shift": {"eps": 0.25, "betas": [0.25, 0.5]}})
    plain, group = begin(optimizers={"making": making}).run.optimizers["making"].param_groups
    assert [(each["lr"], each["betas"], each["eps"]) for each in (plain, group)] == [
        (0.5, (0.0, 0.9), 1e-8),
        (0.5, (0.25, 0.5), 0.25),
    ]


@pytest.mark.usefixtures("shifted")
def test_a_group_may_have_all_parameters() -> None:
    making = SGD(lr=0.5, momentum=0.5, groups={"all": {"lr": 0.125}})
    trainer = begin([batch(REAL, LATENT)], optimizers={"judging": SGD(lr=0), "making": making})
    trainer.step()
    of_a, of_b = shifted_slopes(W, A, B, LATENT)
    assert both(trainer) == pytest.approx((A - 0.125 * of_a, B - 0.125 * of_b))


@pytest.mark.usefixtures("shifted")
@pytest.mark.parametrize(
    ("making", "rates"),
    [
        # Images 0, 2 and 4 of 8 before the steps.
        (SGD(lr=0.5, groups={"shift": {"lr": Linear(start=0.8, end=0)}}), [(0.5, 0.8), (0.5, 0.6), (0.5, 0.4)]),
        (SGD(lr=Linear(start=0.8, end=0), groups={"shift": {"lr": 0.5}}), [(0.8, 0.5), (0.6, 0.5), (0.4, 0.5)]),
        (SGD(lr=Linear(start=0.8, end=0), groups={"shift": {"momentum": 0.5}}), [(0.8, 0.8), (0.6, 0.6), (0.4, 0.4)]),
    ],
)
def test_a_group_follows_a_schedule_of_its_own_or_that_of_its_optimizer(
    making: SGD, rates: list[tuple[float, float]]
) -> None:
    seen = Calls(lambda run, turn, _rounds: [group["lr"] for group in run.optimizers[turn.name].param_groups])
    trainer = begin([batch(REAL, LATENT)] * 3, [seen], optimizers={"making": making}, train={"images": 8})
    for _ in rates:
        trainer.step()
    found = [each for each in seen.seen if len(each) == 2]
    assert found == [pytest.approx(list(each)) for each in rates]


@pytest.mark.usefixtures("shifted")
def test_settings_of_a_group_without_a_schedule_stay_as_a_hook_set_them() -> None:
    making = SGD(lr=Linear(start=0.8, end=0), groups={"shift": {"lr": 0.5}})
    trainer = begin([batch(REAL, LATENT)], optimizers={"judging": SGD(lr=0), "making": making})
    trainer.run.optimizers["making"].param_groups[1]["lr"] = 0.0
    trainer.step()
    assert both(trainer)[1] == B


@pytest.mark.usefixtures("shifted")
def test_a_group_belongs_to_the_optimizer_of_its_player() -> None:
    configs = {"judging.maker": SGD(lr=0.3, groups={"shift": {"lr": 0.1}}), "judging": SGD(lr=0.2)}
    run = begin(game=BOTH, optimizers=configs).run
    assert [group["lr"] for group in run.optimizers["judging.maker"].param_groups] == [0.3, 0.1]
    wrong = {"judging.maker": SGD(), "judging": SGD(groups={"shift": {"lr": 0.1}})}
    found = problem(lambda: begin(game=BOTH, optimizers=wrong))
    assert found.path == ("optimizers", "judging", "groups", "shift")
    assert found.message == "the players of the optimizer 'judging' name no parameter group 'shift'; they name none"


def test_a_group_has_the_parameters_of_all_players_that_name_it() -> None:
    first, second, third = Shifted(), Shifted(), nn.Linear(1, 1)
    parameters = {"first": [*first.parameters()], "second": [*second.parameters()], "third": [*third.parameters()]}
    config = SGD(lr=0.3, groups={"shift": {"lr": 0.1}})
    optimizer = TurnOptimizer("making", config, "making", "making", parameters, (first, second, third)).build()
    plain, group = optimizer.param_groups
    assert [id(each) for each in group["params"]] == [id(first.b), id(second.b)]
    assert [id(each) for each in plain["params"]] == [id(each) for each in (first.a, second.a, *third.parameters())]


@pytest.mark.usefixtures("shifted")
def test_a_group_that_no_network_names_is_refused_with_those_that_there_are() -> None:
    found = problem(lambda: begin(optimizers={"making": SGD(groups={"mapping": {"lr": 0.1}})}))
    assert found.path == ("optimizers", "making", "groups", "mapping")
    assert found.message.endswith("no parameter group 'mapping'; there are: all, scale, shift")


@pytest.mark.usefixtures("shifted")
def test_groups_that_share_a_parameter_are_refused() -> None:
    making = SGD(groups={"shift": {"lr": 0.1}, "all": {"lr": 0.2}})
    found = problem(lambda: begin(optimizers={"making": making}))
    assert found.path == ("optimizers", "making", "groups", "all")
    assert found.message == "shares a parameter with the group 'shift'"


@pytest.mark.usefixtures("shifted")
def test_what_never_trains_is_in_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    class HalfFrozen(Shifted):
        def __init__(self) -> None:
            super().__init__()
            self.b.requires_grad_(False)

    monkeypatch.setattr(line_game.MakerConfig, "build", lambda self, **given: HalfFrozen())
    making = SGD(lr=0.5, groups={"all": {"lr": 0.25}})
    plain, group = begin(optimizers={"making": making}).run.optimizers["making"].param_groups
    assert (len(plain["params"]), [each.item() for each in group["params"]]) == (0, [A])
    found = problem(lambda: begin(optimizers={"making": SGD(groups={"shift": {"lr": 0.1}})}))
    assert found.message.endswith("there are: all, scale")


def test_a_group_of_what_is_no_parameter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Shifted):
        def parameter_groups(self) -> Any:
            return {"shift": [self.b * 2]}

    monkeypatch.setattr(line_game.MakerConfig, "build", lambda self, **given: Wrong())
    found = problem(lambda: begin(optimizers={"making": SGD(groups={"shift": {"lr": 0.1}})}))
    assert found.path == ("optimizers", "making", "groups", "shift")
    assert found.message == "the group has a tensor that is no parameter of Wrong"


class Plain(nn.Module):
    """Runs a network without passing its attributes on."""

    latent_shape = (1,)

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.built_from_networks = ((line_game.MakerConfig(), inner),)

    def forward(self, source: Tensor) -> Tensor:
        return self.inner(source)


@pytest.mark.parametrize("around", [Wrapper, Plain, lambda inner: Plain(Wrapper(inner))])
def test_groups_are_found_through_wrappers_and_transforms(
    around: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_game.MakerConfig, "build", lambda self, **given: around(Shifted()))
    assembly = begin().run.assembly
    (plan,) = [plan for plan in assembly.turn_optimizers() if plan.name == "making"]
    named = plan._named_groups()  # pyright: ignore[reportPrivateUsage]
    assert {name: [each.item() for each in own] for name, own in named.items()} == {
        "scale": [A], "shift": [B], "all": [A, B],
    }  # fmt: skip


def test_groups_of_parametrized_modules_have_the_parameters_that_train(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mapped(nn.Module):
        latent_shape = (1,)

        def __init__(self) -> None:
            super().__init__()
            self.mapping = nn.utils.parametrizations.spectral_norm(nn.Linear(1, 1))

        def forward(self, source: Tensor) -> Tensor:
            return self.mapping(source)

        def parameter_groups(self) -> Any:
            return {"mapping": self.mapping.parameters()}

    monkeypatch.setattr(line_game.MakerConfig, "build", lambda self, **given: Mapped())
    run = begin(optimizers={"making": SGD(groups={"mapping": {"lr": 0.1}})}).run
    _, group = run.optimizers["making"].param_groups
    mapping: Any = run.game.players["maker"].mapping
    assert {id(each) for each in group["params"]} == {id(each) for each in mapping.parameters()}
    assert any(each is mapping.parametrizations.weight.original for each in group["params"])


# The settings of groups in a config.


def refused(**settings: Any) -> list[tuple[Any, str]]:
    with pytest.raises(ValidationError) as raised:
        Adam(**settings)
    return [(error["loc"], error["msg"]) for error in raised.value.errors()]


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ({"rate": 1}, ("rate",), "optimizer 'adam' has no setting 'rate'"),
        ({"lr": -1}, ("lr",), "below 0"),
        ({"lr": "fast"}, ("lr",), "number"),
        ({"betas": [0.5, 1.0]}, ("betas", 1), "not below 1"),
        ({"lr": {"type": "linear", "start": 1, "end": -1}}, ("lr",), "below 0"),
        ({"groups": {}}, ("groups",), "a group has no groups"),
        ({"type": "sgd"}, ("type",), "a group has the 'type' of its optimizer"),
        ({"clip_gradient_norm": 1}, ("clip_gradient_norm",), "a group has the 'clip_gradient_norm' of its optimizer"),
    ],
)
def test_settings_of_a_group_are_checked_like_those_of_the_optimizer(
    settings: dict[str, Any], path: tuple[Any, ...], message: str
) -> None:
    ((found, said),) = refused(groups={"mapping": settings})
    assert tuple(part for part in found if part not in ("schedule", "number")) == ("groups", "mapping", *path)
    assert message in said


def test_a_norm_to_clip_to_is_above_zero() -> None:
    ((path, _),) = refused(clip_gradient_norm=0)
    assert path == ("clip_gradient_norm",)


def test_settings_of_a_group_are_kept_as_they_are_written_to_files() -> None:
    written = {"mapping": {"lr": {"type": "linear", "start": 1.0, "end": 0.5}, "betas": [0.0, 0.5]}}
    config = Adam(groups={"mapping": {"lr": Linear(start=1, end=0.5), "betas": (0, 0.5)}})
    assert Adam(groups=written) == config
    assert Adam.model_validate(config.model_dump(mode="json")) == config
    assert Adam.model_validate(config.model_dump(mode="json", exclude_defaults=True)) == config
    own = config.of_group("mapping")
    assert (own.lr, own.betas, own.groups) == (Linear(start=1, end=0.5), (0.0, 0.5), {})


def test_differences_of_groups_have_their_path() -> None:
    runs = [
        begin(optimizers={"making": SGD(lr=0.5), "judging": SGD(clip_gradient_norm=clip)}).run.experiment
        for clip in (None, 2)
    ]
    assert runs[0].differences(runs[1]) == ["optimizers.judging.clip_gradient_norm"]
    mine, theirs = (SGD(groups={"mapping": {"lr": rate}}) for rate in (0.5, 0.25))
    first, second = (runs[0].model_copy(update={"optimizers": {"g": each}}) for each in (mine, theirs))
    assert first.differences(second) == ["optimizers.g.groups.mapping.lr"]


# Clipping.


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_a_gradient_is_scaled_down_to_the_largest_norm_and_the_log_has_the_norm_before(share: float) -> None:
    slopes = judge_slope(W, G, REAL, LATENT), maker_slope_of_judging(W, G, LATENT)
    norm = math.hypot(*slopes)
    configs = {"judging": SGD(lr=0.1, clip_gradient_norm=share * norm), "making": SGD(lr=0)}
    trainer = begin([batch(REAL, LATENT)], game=BOTH, optimizers=configs)
    scalars = trainer.step()
    kept = min(share, 1.0)
    assert weights(trainer) == pytest.approx((W - 0.1 * kept * slopes[0], G - 0.1 * kept * slopes[1]), rel=1e-5)
    assert scalars["judging/gradient norm"] == pytest.approx(norm)


def test_each_optimizer_of_a_turn_clips_its_own_gradient() -> None:
    slope = judge_slope(W, G, REAL, LATENT)
    configs = {
        "judging": SGD(lr=0.1, clip_gradient_norm=0.5),
        "judging.maker": SGD(lr=0.3),
        "making": SGD(lr=0),
    }
    trainer = begin([batch(REAL, LATENT)], game=BOTH, optimizers=configs)
    trainer.step()
    g = G - 0.3 * maker_slope_of_judging(W, G, LATENT)
    assert weights(trainer) == pytest.approx((W - 0.1 * 0.5 * math.copysign(1, slope), g), rel=1e-5)


@pytest.mark.usefixtures("shifted")
def test_the_norm_is_that_of_all_groups_together() -> None:
    of_a, of_b = shifted_slopes(W, A, B, LATENT)
    making = SGD(lr=0.5, clip_gradient_norm=1e-3, groups={"shift": {"lr": 0.25}})
    trainer = begin([batch(REAL, LATENT)], optimizers={"judging": SGD(lr=0), "making": making})
    trainer.step()
    scale = 1e-3 / math.hypot(of_a, of_b)
    moved = [before - after for before, after in zip((A, B), both(trainer), strict=True)]
    assert moved == pytest.approx([0.5 * scale * of_a, 0.25 * scale * of_b], rel=1e-3)


def test_parameters_without_a_gradient_count_as_zero() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    clip_gradient_norm([first], 1.0)
    first.grad = torch.tensor([3.0, 4.0])
    clip_gradient_norm([second, first], 1.0)
    torch.testing.assert_close(first.grad, torch.tensor([0.6, 0.8]))
    assert second.grad is None


def test_sharded_and_whole_parameters_have_one_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix stands for one half of a sharded parameter, whose other half has the same gradient."""
    sharded, whole = nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(1))
    sharded.grad, whole.grad = torch.tensor([[1.0, 1.0]]), torch.tensor([12**0.5])
    monkeypatch.setattr(gradient_clipping, "is_sharded", lambda each: each.ndim == 2)
    half = torch.tensor(2**0.5)
    monkeypatch.setattr(
        gradient_clipping, "full_tensor", lambda norm: norm * 2**0.5 if torch.isclose(norm, half) else norm
    )
    clip_gradient_norm([sharded, whole], 2.0)  # of a norm of sqrt(4 + 12)
    torch.testing.assert_close(sharded.grad, torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(whole.grad, torch.tensor([3**0.5]))


def test_ranks_clip_the_mean_of_their_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other rank has no gradient at all, so the mean is half of this rank's."""
    slope = judge_slope(W, G, *([each[0]] for each in PAIRS[0]))
    pretend_ranks(monkeypatch, 0, 2, torch.zeros_like)
    configs = {"judging": SGD(lr=0.1, clip_gradient_norm=abs(slope) / 4), "making": SGD(lr=0)}
    trainer = begin([batch([REAL[0]], [LATENT[0]])], optimizers=configs)
    trainer.step()
    before = W - 0.1 * slope / 4
    assert trainer.updated_tensors[0].item() == pytest.approx(before, rel=1e-5)


# New parameters in mid-run.


@pytest.mark.parametrize("config", [SGD(), Adam()])
@pytest.mark.parametrize("when", ["turn", "step"])
def test_new_parameters_in_mid_run_are_refused_at_once(config: OptimizerConfig, when: str) -> None:
    def grow(run: Run) -> None:
        run.optimizers["making"].add_param_group({"params": [nn.Parameter(torch.zeros(1))]})

    class Grows:
        @hookimpl
        def on_turn_end(self, run: Run) -> None:
            if when == "turn":
                grow(run)

        @hookimpl
        def on_step_end(self, run: Run) -> None:
            grow(run)

    trainer = begin([batch(REAL, LATENT)], optimizers={"making": config})
    trainer.run.hooks = RunHooks(Grows())
    with pytest.raises(RunFailed, match="the optimizer 'making' takes no new parameters in mid-run") as raised:
        trainer.step()
    assert "`growth`" in str(raised.value)
    assert str(raised.value).startswith("plugin '")
    assert f".Grows' failed in on_{when}_end: RuntimeError" in str(raised.value)
    assert "test_optimizers.py:" in str(raised.value)
    assert len(trainer.run.optimizers["making"].param_groups) == 1


# Resuming.

SPLIT: dict[str, Any] = {
    "making": None,
    "judging": SGD(lr=0.01, momentum=0.5, clip_gradient_norm=0.5),
    "maker": Adam(
        lr=Linear(start=0.02, end=0.01),
        clip_gradient_norm=0.25,
        groups={"scale": {"lr": Linear(start=0.01, end=0), "betas": (0.25, 0.5)}, "shift": {"eps": 1e-3}},
    ),
}


def in_folder(folder: Path, first: int, **parts: Any) -> Trainer:
    trainer = begin([batch(*pair) for pair in PAIRS[first:]], game=BOTH, **parts)
    trainer.run.folder = RunFolder(folder)
    return trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    return {name: each.state_dict() for name, each in trainer.run.optimizers.items()}


@pytest.mark.usefixtures("shifted")
@pytest.mark.parametrize("optimizers", [SPLIT, {"making": Adam(groups={"shift": {"lr": 0.01}})}])
def test_a_resumed_run_ends_with_the_same_bits(optimizers: dict[str, Any], tmp_path: Path) -> None:
    whole, cut = (in_folder(tmp_path, 0, optimizers=optimizers) for _ in range(2))
    for _ in range(6):
        whole.step()
    for _ in range(3):
        cut.step()
    save_and_restore.save_checkpoint(cut.run)
    resumed = in_folder(tmp_path, 3, optimizers=optimizers)
    save_and_restore.restore(resumed.run)
    for _ in range(3):
        resumed.step()
    assert both(resumed) == both(whole)
    assert torch.equal(resumed.game.players["judge"].weight, whole.game.players["judge"].weight)
    # Through JSON, because a checkpoint gives lists for tuples.
    mine, theirs = (json.dumps(state_of(each), default=Tensor.tolist) for each in (resumed, whole))
    assert mine == theirs


def stopped(folder: Path, making: OptimizerConfig, change: Callable[[Any], object] = lambda _: None) -> Trainer:
    trainer = in_folder(folder, 0, optimizers={"making": making})
    trainer.step()
    change(trainer.run.optimizers["making"])
    save_and_restore.save_checkpoint(trainer.run)
    return trainer


def resumed(folder: Path, making: OptimizerConfig) -> Trainer:
    trainer = in_folder(folder, 1, optimizers={"making": making})
    save_and_restore.restore(trainer.run)
    return trainer


def moments(trainer: Trainer) -> list[float]:
    maker: Any = trainer.game.players["maker"]
    state: Any = trainer.run.optimizers["making"]
    return [state.state[each]["exp_avg"].item() for each in (maker.a, maker.b)]


def rates(trainer: Trainer) -> list[float]:
    return [group["lr"] for group in trainer.run.optimizers["making"].param_groups]


def slower(optimizer: Any) -> None:
    for index, group in enumerate(optimizer.param_groups):
        group["lr"] = 0.001 * (index + 1)


@pytest.mark.usefixtures("shifted")
def test_groups_keep_what_a_hook_has_set_unless_the_config_changed(tmp_path: Path) -> None:
    making = Adam(lr=0.5, groups={"scale": {"lr": 0.25}})
    stopped(tmp_path, making, slower)
    assert rates(resumed(tmp_path, making)) == [0.001, 0.002]
    assert rates(resumed(tmp_path, Adam(lr=0.5, groups={"scale": {"lr": 0.125}}))) == [0.5, 0.125]


@pytest.mark.usefixtures("shifted")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"scale": {"lr": 0.25}}, [0.5, 0.25]),
        ({"scale": {"lr": 0.25}}, {}, [0.5]),
        ({"scale": {"lr": 0.25}}, {"shift": {"lr": 0.125}}, [0.5, 0.125]),
    ],
)
def test_each_parameter_keeps_its_state_where_groups_come_go_or_change(
    before: Any, after: Any, expected: list[float], tmp_path: Path
) -> None:
    first = stopped(tmp_path, Adam(lr=0.5, groups=before))
    second = resumed(tmp_path, Adam(lr=0.5, groups=after))
    assert moments(second) == moments(first)
    assert moments(first)[0] != moments(first)[1]
    assert rates(second) == expected
    second.step()


@pytest.mark.usefixtures("shifted")
def test_a_checkpoint_from_before_groups_keeps_what_a_hook_has_set(tmp_path: Path) -> None:
    stopped(tmp_path, Adam(lr=0.5), slower)
    _, sections = load(list_checkpoints(tmp_path / "checkpoints")[0])
    for settings in sections["settings"]["optimizers"].values():
        del settings["groups"], settings["clip_gradient_norm"]
    save(tmp_path / "checkpoints", 9, sections, keep=1)
    assert rates(resumed(tmp_path, Adam(lr=0.5))) == [0.001]


@pytest.mark.usefixtures("shifted")
def test_without_groups_a_checkpoint_numbers_parameters_as_the_optimizer_does(tmp_path: Path) -> None:
    trainer = stopped(tmp_path, Adam())
    _, sections = load(list_checkpoints(tmp_path / "checkpoints")[0])
    found, expected = sections["optimizers"]["making"], state_of(trainer)["making"]
    assert found["param_groups"][0]["params"] == expected["param_groups"][0]["params"] == [0, 1]
    for index, state in expected["state"].items():
        assert found["state"][str(index)] == state


@pytest.mark.usefixtures("shifted")
def test_an_optimizer_of_a_player_that_the_run_did_not_have_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path, Adam())
    split = in_folder(tmp_path, 1, optimizers={"judging.maker": SGD()})
    found = problem(lambda: save_and_restore.restore(split.run))
    assert "optimizer judging: it had 3 parameters, and has 1" in found.message
    whole = in_folder(tmp_path, 1, optimizers={"making": None, "making.maker": SGD()})
    found = problem(lambda: save_and_restore.restore(whole.run))
    assert "optimizer making.maker: the run did not have it" in found.message


@pytest.mark.usefixtures("shifted")
def test_a_number_that_is_not_finite_is_named_by_its_parameter_whatever_its_group(tmp_path: Path) -> None:
    trainer = stopped(tmp_path, Adam(groups={"scale": {"lr": 0.1}}))
    optimizer: Any = trainer.run.optimizers["making"]
    optimizer.state[trainer.game.players["maker"].a]["exp_avg"].fill_(math.nan)
    with pytest.raises(RunFailed, match=r"the optimizer of the turn 'making' \(exp_avg of maker.a\)"):
        save_and_restore.check_finite(trainer.run)


# What `ganframe explain` says.


@pytest.mark.usefixtures("shifted")
def test_the_table_of_turns_has_players_groups_and_clipping() -> None:
    def column(**optimizers: Any) -> list[str]:
        assembly = begin(game=BOTH, optimizers=optimizers).run.assembly
        return [row[4] for row in _turns(assembly)[1:]]

    assert column() == ["sgd (lr 0.1)", "sgd (lr 0.05)"]
    groups = {"scale": {"lr": 2e-5, "betas": (0, 0.5)}, "shift": {"lr": Linear(start=1, end=0)}}
    assert column(**{"judging.maker": Adam(clip_gradient_norm=0.5)}, making=Adam(groups=groups)) == [
        "judge: sgd (lr 0.1); maker: adam (lr 0.0002, gradient norm at most 0.5)",
        "adam (lr 0.0002, scale: lr 2e-05 and betas 0/0.5, shift: lr linear 1 to 0 over the run)",
    ]
