"""From a config to live objects, and the schedules and optimizers of the core: parts, seeds and numbers by hand."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from pydantic import ValidationError
from ranks import pretend_rank
from torch import Tensor, nn

from ganframe import BadInput
from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD, Adam, AdamW, RMSprop
from ganframe.builtin.schedules import Cosine, Linear, Piecewise
from ganframe.config.component_kinds import AugmentationConfig, GameConfig, MetricConfig, OptimizerConfig
from ganframe.config.experiment import Evaluate, Experiment, Train
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import LabelPolicyConfig, RegularizerConfig
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.testing.fakes import FakeData, FakeDiscriminator, FakeGenerator
from ganframe.testing.runs import FakeLoss
from ganframe.training.assembly import Assembly, assemble, build_players, choose_device, generator_players

POINT = TensorSpec((2,))
IMAGE = TensorSpec((3, 4, 4))
CPU = torch.device("cpu")
META = torch.device("meta")


class Small(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ()
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",), repeats=3), Turn("generator", ("generator",), repeats=2))

    def player_specs(self) -> dict[str, PlayerSpec]:
        return {
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), self.data["real"]),
            "generator": PlayerSpec(FakeGenerator(), ("generator",), self.data["real"]),
        }

    @tensor
    def fake(self, game_round: Any) -> Tensor:
        return self.players["generator"](game_round["real"])


class SmallConfig(GameConfig):
    type: Literal["small"] = "small"
    once: bool = False

    def build(self, data: DataSpec) -> Game:
        game = Small(data)
        if self.once:
            game.turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))
        return game


def experiment(**settings: Any) -> Experiment:
    train = {"images": 64, "batch_size": 8, "device": "cpu"} | settings.pop("train", {})
    usual: dict[str, Any] = {"game": SmallConfig(), "losses": (FakeLoss(),), "data": FakeData()}
    return Experiment(train=Train(**train), **(usual | settings))


def assembled(device: torch.device | None = CPU, **settings: Any) -> Assembly:
    return assemble(experiment(**settings), device, {"real": POINT})


def problem(build: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as raised:
        build()
    return raised.value


# How much a step takes.


@pytest.mark.parametrize(("accumulate", "batches", "images"), [(1, 3, 24), (5, 15, 120)])
def test_a_step_draws_a_batch_for_each_repeat_and_pass(accumulate: int, batches: int, images: int) -> None:
    built = assembled(train={"accumulate": accumulate})
    assert (built.batches_per_step, built.images_per_step) == (batches, images)


@pytest.mark.parametrize(("shard", "ranks", "expected"), [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_parameters_are_shared_where_the_config_says_so_and_there_is_another_rank(
    shard: bool, ranks: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_rank(monkeypatch, 0, ranks)
    built = assembled(META, train={"shard": shard})
    assert built.sharded is expected
    # Players that one device may have no room for wait elsewhere.
    where = {each.device.type for player in built.game.players.values() for each in player.parameters()}
    assert where == {"cpu" if expected else "meta"}


# The parts.


class Policy:
    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        return target


class PolicyConfig(LabelPolicyConfig):
    type: Literal["policy"] = "policy"

    def build(self) -> Any:
        return Policy()


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(2))

    def forward(self, *given: Any) -> Tensor:
        return torch.zeros(())


class Keeping(RegularizerConfig):
    type: Literal["keeping"] = "keeping"

    def build(self) -> Any:
        return Kept()


class Augmentation(AugmentationConfig):
    type: Literal["augmentation"] = "augmentation"
    wanted: int = 1
    name: str = ""

    def check(self, game: Game, losses: Any) -> None:
        if len(losses) != self.wanted or game.discriminators != {"discriminator"}:
            raise BadInput("does not fit", path=("wanted",))

    def build(self) -> nn.Module:
        built: Any = Kept()
        built.name = self.name
        return built


def test_each_config_stands_beside_what_was_built_from_it() -> None:
    policies = PolicyConfig(), PolicyConfig()
    augmentations = Augmentation(name="a"), Augmentation(name="b")
    built = assembled(losses=(FakeLoss(labels=policies),), regularizers=(Keeping(),), augmentations=augmentations)
    game, terms = built.game, built.objective.terms
    loss: Any = terms[0]
    expected = [
        (built.experiment.game, game),
        (FakeDiscriminator(), game.players["discriminator"]),
        (FakeGenerator(), game.players["generator"]),
        (built.experiment.losses[0], loss.live),
        (policies[0], loss.policies[0]),
        (policies[1], loss.policies[1]),
        (built.experiment.regularizers[0], terms[1].live),
        (augmentations[0], built.augmentations[0]),
        (augmentations[1], built.augmentations[1]),
    ]
    found = list(built.components())
    assert [each.name for each in built.augmentations] == ["a", "b"]
    assert [config for config, _ in found] == [config for config, _ in expected]
    assert all(mine is theirs for (_, mine), (_, theirs) in zip(found, expected, strict=True))


def test_what_a_player_was_made_from_stands_beside_its_config() -> None:
    inner = nn.Linear(1, 1), nn.Linear(1, 1)
    built = assembled()
    made = ((FakeGenerator(from_sample=True), inner[0]), (FakeGenerator(), inner[1]))
    built.game.players["generator"].built_from_networks = made  # pyright: ignore[reportAttributeAccessIssue]
    found = list(built.components())
    assert found[3:5] == list(made)


def test_everything_goes_to_the_device() -> None:
    built = assembled(META, regularizers=(Keeping(),), augmentations=(Augmentation(),))
    live: Any = built.objective.terms[1].live
    parts = [*built.game.players.values(), live, built.augmentations]
    tensors = [each for part in parts for each in (*part.parameters(), *part.buffers())]
    assert len(tensors) == 6 + 2 + 1 + 1
    assert {each.device.type for each in tensors} == {"meta"}
    assert built.device == META


def test_the_config_says_the_device_where_nobody_else_does() -> None:
    assert assembled(None, train={"device": "meta"}).device == META
    assert assembled(CPU, train={"device": "meta"}).device == CPU


class Convolution(FakeGenerator):
    type: Literal["convolution"] = "convolution"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, **_: Any) -> nn.Module:
        convolution: Any = nn.Conv2d(3, 3, 2)
        convolution.latent_shape = (3, 3, 3)
        return convolution


@pytest.mark.parametrize(("channels_last", "stride"), [(True, (12, 1, 6, 3)), (False, (12, 4, 2, 1))])
def test_convolutions_lie_in_the_order_that_the_config_says(
    channels_last: bool, stride: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {
        "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), IMAGE),
        "generator": PlayerSpec(Convolution(), ("generator",), IMAGE),
    }
    monkeypatch.setattr(Small, "player_specs", lambda self: roles)
    built = assembled(train={"channels_last": channels_last})
    assert built.game.players["generator"].weight.stride() == stride


# The seeds.


def key(seed: int, purpose: str, *counters: str | int) -> int:
    digest = hashlib.blake2b(repr((seed, purpose, counters)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@pytest.mark.parametrize("seed", [0, 4])
def test_each_player_begins_from_a_seed_of_its_own(seed: int) -> None:
    built = assembled(seed=seed)
    torch.rand(1)  # the state is another one than that in which the first players were left
    before = torch.get_rng_state()
    players = build_players(built.game, Randomness(seed))
    assert torch.equal(before, torch.get_rng_state())
    for name, shape in (("generator", (3, 2)), ("discriminator", (2, 8))):
        layer = {"generator": "layer", "discriminator": "trunk"}[name]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "initialisation", "player", name))
            expected = nn.Linear(*shape).weight
        assert torch.equal(getattr(players[name], layer).weight, expected)
        assert torch.equal(getattr(built.game.players[name], layer).weight, expected)


def test_a_player_that_cannot_be_built_is_named_in_the_game() -> None:
    class Lacking(FakeGenerator):
        type: Literal["lacking"] = "lacking"  # pyright: ignore[reportIncompatibleVariableOverride]

        def build(self, **_: Any) -> nn.Module:
            raise BadInput("too small", path=("size",))

    game = Small({"real": POINT})
    game.player_specs = lambda: {"generator": PlayerSpec(Lacking(), ("players", 0), POINT)}
    assert problem(lambda: build_players(game, Randomness(0))).path == ("game", "players", 0, "size")


# Optimizers.


def test_each_turn_has_the_optimizer_that_the_config_says_over_its_players() -> None:
    built = assembled(optimizers={"generator": SGD(lr=0.5)})
    assert built.optimizer_configs() == {"discriminator": Adam(), "generator": SGD(lr=0.5)}
    optimizers: Any = built.optimizers()
    assert list(optimizers) == ["discriminator", "generator"]
    assert [type(each).__name__ for each in optimizers.values()] == ["FusedAdam", "SGD"]
    for name, optimizer in optimizers.items():
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        own = list(built.game.players[name].parameters())
        assert all(mine is theirs for mine, theirs in zip(parameters, own, strict=True))
    assert built.optimizers()["generator"] is not optimizers["generator"]


class Refusing(OptimizerConfig):
    type: Literal["refusing"] = "refusing"

    def build(self, parameters: Any) -> Any:
        raise BadInput("no", path=("lr",))


def test_an_optimizer_that_cannot_be_built_is_named_by_its_turn() -> None:
    built = assembled(optimizers={"generator": Refusing()})
    assert problem(built.optimizers).path == ("optimizers", "generator", "lr")


def test_an_optimizer_for_no_turn_is_refused() -> None:
    found = problem(lambda: assembled(optimizers={"artist": Adam()}))
    assert found.path == ("optimizers", "artist")
    assert found.message == "the game has no turn 'artist'; it has: discriminator, generator"


def test_all_players_but_the_judges_make_samples() -> None:
    built = assembled()
    assert generator_players(built.game) == {"generator": built.game.players["generator"]}


# What does not fit.


class Absent(FakeData):
    type: Literal["absent"] = "absent"  # pyright: ignore[reportIncompatibleVariableOverride]

    def spec(self) -> DataSpec:
        raise BadInput("gone", path=("path",))


def test_the_data_are_asked_for_their_tensors_where_nobody_says_them() -> None:
    assert assemble(experiment(), META).game.data["real"] == TensorSpec((3, 16, 16))
    assert problem(lambda: assemble(experiment(data=Absent()), CPU)).path == ("data", "path")
    assert assemble(experiment(data=Absent()), CPU, {"real": POINT}).game.data == {"real": POINT}


class Strict(SmallConfig):
    type: Literal["strict"] = "strict"  # pyright: ignore[reportIncompatibleVariableOverride]
    at: str = "pool"

    def build(self, data: DataSpec) -> Game:
        raise BadInput("no", path=(self.at,))


def test_a_game_speaks_of_its_own_settings_or_of_the_data() -> None:
    assert problem(lambda: assembled(game=Strict())).path == ("game", "pool")
    assert problem(lambda: assembled(game=Strict(at="data"))).path == ("data",)


def test_a_round_cannot_be_shared_by_turns_that_are_repeated() -> None:
    found = problem(lambda: assembled(game=SmallConfig(share_round=True)))
    assert found.path == ("game", "share_round")
    assert assembled(game=SmallConfig(share_round=True, once=True)).batches_per_step == 1


def test_sharing_parameters_goes_with_neither_compiling_nor_a_shared_round() -> None:
    compiling = problem(lambda: assembled(train={"shard": True, "compile": True}))
    shared = problem(lambda: assembled(game=SmallConfig(share_round=True, once=True), train={"shard": True}))
    assert compiling.path == ("train", "compile")
    assert shared.path == ("game", "share_round")
    for each in ("shard", "compile"):
        assert assembled(train={each: True})


def test_an_augmentation_that_does_not_fit_is_named_by_its_place() -> None:
    found = problem(lambda: assembled(augmentations=(Augmentation(), Augmentation(wanted=2))))
    assert found.path == ("augmentations", 1, "wanted")


class Measure(MetricConfig):
    type: Literal["measure"] = "measure"
    of: tuple[str, ...] = ("real",)

    def tensors(self) -> tuple[str, ...]:
        return self.of


def test_a_metric_of_a_tensor_that_the_game_lacks_is_named_by_its_place() -> None:
    metrics = Measure(), Measure(of=("real", "sharp"))
    found = problem(lambda: assembled(evaluate=Evaluate(metrics=metrics)))
    assert found.path == ("evaluate", "metrics", 1)
    assert found.message == "'measure' reads the tensor 'sharp', which the game does not have"
    assert found.remedy == "It has: real, fake."
    assert assembled(evaluate=Evaluate(metrics=metrics[:1]))


# Devices.


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[str]()
    monkeypatch.setattr(torch, "empty", lambda size, device: found.append(str(device)))
    for available, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert choose_device("auto") == torch.device(name)
    assert choose_device("cuda:3") == torch.device("cuda", 3)
    pretend_rank(monkeypatch, 2, 4)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert choose_device("cuda") == torch.device("cuda", 2)
    assert found == ["cuda", "cpu", "cuda:3", "cuda:2"]


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_a_device_that_is_not_here_is_refused(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(size: int, device: torch.device) -> None:
        raise error

    assert problem(lambda: choose_device("toaster")).path == ("train", "device")
    monkeypatch.setattr(torch, "empty", absent)
    found = problem(lambda: choose_device("cuda:9"))
    assert (found.message, found.path) == ("no device 'cuda:9' here", ("train", "device"))


# Schedules.


@pytest.mark.parametrize(("images", "value"), [(0, 2.0), (100, 2.0), (110, 1.5), (125, 0.75), (140, 0.0), (500, 0.0)])
def test_a_line_runs_from_its_start_to_its_end(images: int, value: float) -> None:
    assert Linear(start=2, end=0, after=100, images=40).at(images, 1000) == pytest.approx(value)


@pytest.mark.parametrize(("images", "value"), [(0, 1.0), (20, 1.0), (40, 1.5), (80, 2.5), (100, 3.0), (120, 3.0)])
def test_a_line_without_a_length_ends_with_the_run(images: int, value: float) -> None:
    assert Linear(start=1, end=3, after=20).at(images, 100) == pytest.approx(value)


def test_a_line_that_begins_at_the_end_of_the_run_takes_one_image() -> None:
    ramp = Linear(start=1, end=3, after=100)
    assert [ramp.at(images, 100) for images in (99, 100, 101)] == [1, 1, 3]
    assert [Linear(start=1, end=3, after=200).at(images, 100) for images in (200, 201)] == [1, 3]


@pytest.mark.parametrize(
    ("images", "value"),
    [(0, 4.0), (10, 4.0), (20, 3.0 + math.sqrt(0.5)), (30, 3.0), (40, 3.0 - math.sqrt(0.5)), (50, 2.0), (60, 2.0)],
)
def test_a_cosine_falls_slowly_at_its_ends(images: int, value: float) -> None:
    assert Cosine(start=4, end=2, after=10, images=40).at(images, 1000) == pytest.approx(value)


def test_steps_hold_from_their_image_on() -> None:
    steps = Piecewise.model_validate(
        {"steps": [{"images": 0, "value": 1}, {"images": 5, "value": -2}, {"images": 9, "value": 3}]}
    )
    assert [steps.at(images, 10) for images in (0, 4, 5, 8, 9, 10, 99)] == [1, 1, -2, -2, 3, 3, 3]
    assert steps.extremes() == (-2, 3)


@pytest.mark.parametrize("at", [[1], [0, 5, 5], [0, 5, 3]])
def test_steps_begin_at_0_and_rise(at: list[int]) -> None:
    with pytest.raises(ValidationError, match="start at 0 and rise"):
        Piecewise.model_validate({"steps": [{"images": images, "value": 1} for images in at]})


def test_a_ramp_stays_between_its_ends() -> None:
    assert Linear(start=3, end=-1).extremes() == Cosine(start=-1, end=3).extremes() == (-1, 3)


@pytest.mark.parametrize("settings", [{"after": -1}, {"images": 0}])
def test_a_ramp_cannot_begin_before_the_run_or_take_no_image(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Linear(start=1, end=0, **settings)


# Optimizers of the core: two steps from (1, -2) with the gradients (0.5, 2) and (-1, 1).

START, SLOPES = (1.0, -2.0), ((0.5, 2.0), (-1.0, 1.0))


def after_two_steps(config: OptimizerConfig) -> list[float]:
    parameter = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = config.build([parameter])
    for slopes in SLOPES:
        parameter.grad = torch.tensor(slopes, dtype=torch.float64)
        optimizer.step()
    return parameter.tolist()


def adam(rate: float, beta1: float, beta2: float, eps: float, decay: float = 0.0) -> list[float]:
    """Kingma and Ba, algorithm 1; the decay beside it, as in Loshchilov and Hutter, algorithm 2."""
    found = list[float]()
    for place, start in enumerate(START):
        value, first, second = start, 0.0, 0.0
        for step, slopes in enumerate(SLOPES, start=1):
            value *= 1 - rate * decay
            first = beta1 * first + (1 - beta1) * slopes[place]
            second = beta2 * second + (1 - beta2) * slopes[place] ** 2
            root = math.sqrt(second / (1 - beta2**step))
            value -= rate * first / (1 - beta1**step) / (root + eps)
        found.append(value)
    return found


def test_adam_steps_as_its_paper_says() -> None:
    assert after_two_steps(Adam(lr=0.1)) == pytest.approx(adam(0.1, 0.5, 0.999, 1e-8))
    assert after_two_steps(Adam(lr=0.1, betas=(0.25, 0.75), eps=0.5)) == pytest.approx(adam(0.1, 0.25, 0.75, 0.5))
    assert after_two_steps(Adam()) == pytest.approx(adam(0.0002, 0.5, 0.999, 1e-8), rel=1e-9)


def test_adamw_shrinks_weights_beside_the_step() -> None:
    config = AdamW(lr=0.1, betas=(0.25, 0.75), eps=0.5, weight_decay=0.3)
    assert after_two_steps(config) == pytest.approx(adam(0.1, 0.25, 0.75, 0.5, 0.3))
    assert after_two_steps(AdamW(lr=0.1)) == pytest.approx(adam(0.1, 0.5, 0.999, 1e-8, 0.01))


def test_rmsprop_divides_by_the_root_of_the_mean_square() -> None:
    def by_hand(rate: float, alpha: float) -> list[float]:
        found = list[float]()
        for place, start in enumerate(START):
            value, square = start, 0.0
            for slopes in SLOPES:
                square = alpha * square + (1 - alpha) * slopes[place] ** 2
                value -= rate * slopes[place] / (math.sqrt(square) + 1e-8)
            found.append(value)
        return found

    assert after_two_steps(RMSprop(lr=0.1, alpha=0.75)) == pytest.approx(by_hand(0.1, 0.75))
    assert after_two_steps(RMSprop()) == pytest.approx(by_hand(5e-5, 0.99), rel=1e-9)


def test_gradient_descent_keeps_a_share_of_its_last_step() -> None:
    # 1 - 0.1 (0.5) - 0.1 (-1 + 0.25), -2 - 0.1 (2) - 0.1 (1 + 1).
    assert after_two_steps(SGD(lr=0.1, momentum=0.5)) == pytest.approx([1.025, -2.4])
    # 1 - 0.1 (0.5 - 1), -2 - 0.1 (2 + 1).
    assert after_two_steps(SGD(lr=0.1)) == pytest.approx([1.05, -2.3])


RAMP = Linear(start=0.4, end=0.0)


def test_settings_follow_their_schedules() -> None:
    assert Adam(lr=RAMP, betas=(0.5, Linear(start=0.9, end=0.5))).settings(25, 100) == {
        "lr": pytest.approx(0.3),
        "betas": (0.5, pytest.approx(0.8)),
    }
    assert Adam(lr=0.1, betas=(RAMP, 0.75)).settings(50, 100) == {"lr": 0.1, "betas": (pytest.approx(0.2), 0.75)}
    for cls in (SGD, RMSprop):
        assert cls(lr=RAMP).settings(75, 100) == {"lr": pytest.approx(0.1)}


@pytest.mark.parametrize("cls", [Adam, AdamW, RMSprop, SGD])
def test_an_optimizer_begins_with_the_first_value_of_its_schedule(cls: type[OptimizerConfig]) -> None:
    optimizer: Any = cls(lr=RAMP).build([nn.Parameter(torch.ones(1))])
    assert optimizer.param_groups[0]["lr"] == 0.4


def test_adam_is_fused_where_all_parameters_are_alike() -> None:
    def kind(*dtypes: torch.dtype) -> str:
        return type(Adam().build([nn.Parameter(torch.ones(1, dtype=each)) for each in dtypes])).__name__

    assert kind(torch.float32, torch.float32) == kind(torch.float64) == "FusedAdam"
    assert kind(torch.float32, torch.float64) == kind(torch.complex64) == "Adam"
    on_meta = Adam().build([nn.Parameter(torch.ones(1, device="meta"))])
    assert type(on_meta).__name__ == "Adam"


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (Adam, {"betas": (1.0, 0.5)}), (Adam, {"betas": (0.5, -0.1)}), (Adam, {"betas": (0.5, RAMP, 0.1)}),
        (Adam, {"eps": 0}), (Adam, {"lr": -1}), (AdamW, {"weight_decay": -1}), (RMSprop, {"alpha": 1}),
        (RMSprop, {"lr": -1}), (SGD, {"momentum": 1}), (SGD, {"lr": Linear(start=1, end=-1)}), (Jsonl, {"every": 0}),
    ],
)  # fmt: skip
def test_settings_out_of_their_range_are_refused(cls: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cls(**settings)


def test_the_edges_of_the_ranges_are_taken() -> None:
    assert Adam(betas=(0.0, 0.0), lr=0).betas == (0, 0)
    assert (AdamW(weight_decay=0).weight_decay, RMSprop(alpha=0, lr=0).alpha, SGD(momentum=0).momentum) == (0, 0, 0)


def test_each_kth_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.builtin.jsonl.JsonlLogger", lambda every: ("log", every))
    assert Jsonl(every=3).build() == ("log", 3)
    assert Jsonl().build() == ("log", 10)
