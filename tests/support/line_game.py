"""A game on a line, where every weight and every logged number can be worked out by hand.

The maker gives `g * latent`, the judge says `w * sample`; the loss is least-squares towards 1 and 0.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganframe import Experiment, hookimpl
from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD
from ganframe.config.component_kinds import DatasetConfig, GameConfig
from ganframe.config.experiment import Train
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import LossConfig, RegularizerConfig
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.plugins.discovery import new_manager
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import assemble
from ganframe.training.ema import AveragedPlayers
from ganframe.training.run_state import Run
from ganframe.training.step import Trainer

CPU = torch.device("cpu")
W, G = 2.0, 0.5
JUDGE_LR, MAKER_LR = 0.1, 0.05


class Maker(nn.Module):
    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(G))

    def forward(self, source: Tensor) -> Tensor:
        return self.weight * source


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(W))

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput((self.weight * sample).flatten())


class MakerConfig(GeneratorConfig):
    """Gives a multiple of its latent."""

    type: Literal["line-maker"] = "line-maker"

    def build(self, **given: Any) -> nn.Module:
        return Maker()


class JudgeConfig(DiscriminatorConfig):
    """Says a multiple of its sample."""

    type: Literal["line-judge"] = "line-judge"

    def build(self, **given: Any) -> nn.Module:
        return Judge()


class LineConfig(GameConfig):
    """The game on a line."""

    type: Literal["line"] = "line"
    repeats: tuple[int, int] = (1, 1)
    """Of the judge's and the maker's turn."""
    weights: tuple[float, ...] = (1.0,)
    """Of the contests: of `fake`, and of `latent`."""
    looks_ahead: bool = False
    """Take the judge's objective before one's own."""
    trains_both: bool = False
    """Train the maker in the judge's turn too."""

    def build(self, data: DataSpec) -> Game:
        return Line(self, data)


class Line(Game):
    inputs = ("real", "latent")
    output = "fake"
    pictures = ()

    def __init__(self, config: LineConfig, data: DataSpec) -> None:
        self.config = config
        self.made = 0
        self.contests = tuple(
            Contest("judge", real="real", fake=fake, weight=weight, name=name)
            for fake, weight, name in zip(("fake", "latent"), config.weights, ("judge", "second"), strict=False)
        )
        judging, making = config.repeats
        judges = ("judge", "maker") if config.trains_both else ("judge",)
        self.turns = (Turn("judging", judges, judging), Turn("making", ("maker",), making))
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        point = TensorSpec((1,))
        return {
            "maker": PlayerSpec(MakerConfig(), ("maker",), point),
            "judge": PlayerSpec(JudgeConfig(), ("judge",), point),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        self.made += 1
        return self.players["maker"](game_round["latent"])

    def play(self, game_round: Round, objective: Callable[..., Any]) -> Any:
        if self.config.looks_ahead:
            objective(game_round, self.turns[0])
        return objective(game_round)


class Columns(DatasetConfig):
    """A number and a latent."""

    type: Literal["columns"] = "columns"

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1,)), "latent": TensorSpec((1,))}


class Square(LossConfig):
    """Least squares."""

    type: Literal["square"] = "square"
    decision_threshold = 0.5

    def build(self) -> Any:
        return SquareLoss()


class SquareLoss:
    def __init__(self) -> None:
        self.targets = list[tuple[list[float], list[float]] | None]()

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        told = None if real.target is None or fake.target is None else (real.target.tolist(), fake.target.tolist())
        self.targets.append(told)
        return (real.logits - 1).square().mean() + fake.logits.square().mean()

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        self.targets.append(None if fake.target is None else ([], fake.target.tolist()))
        return (fake.logits - 1).square().mean()


class Unbounded(Square):
    """Has no boundary."""

    type: Literal["unbounded"] = "unbounded"  # pyright: ignore[reportIncompatibleVariableOverride]
    decision_threshold = None
    takes_targets = False


class OnlyFake(Square):
    """Looks at fakes only."""

    type: Literal["only-fake"] = "only-fake"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> Any:
        class Loss:
            def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
                return fake.logits.mean()

            generator = discriminator

        return Loss()


class Watch(RegularizerConfig):
    """Gives the maker's weight, and calls whoever watches."""

    type: Literal["watch"] = "watch"
    side = "both"

    def build(self) -> Any:
        return Watching()


class Watching:
    def __init__(self) -> None:
        self.look: Callable[[Round], object] = lambda game_round: None
        self.seen = list[Any]()

    def forward(self, game_round: Round) -> Tensor:
        self.seen.append(self.look(game_round))
        return game_round.game.players["maker"].weight * 1


class OfMaker(Watch):
    """Of makers."""

    type: Literal["of-maker"] = "of-maker"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "generator"


class OfJudge(Watch):
    """Of judges, differentiating by fakes."""

    type: Literal["of-judge"] = "of-judge"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "discriminator"
    grad_wrt_sides = frozenset({"fake"})


class Between(Watch):
    """Differentiates by samples of its own."""

    type: Literal["between"] = "between"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "discriminator"
    needs_double_backward = True


class Path1(RegularizerConfig):
    """The square of the slope of a fake by its latent, which is g * g."""

    type: Literal["path"] = "path"

    def requires_grad_tensors(self) -> tuple[str, ...]:
        return ("latent",)

    def build(self) -> Any:
        class Slope:
            def forward(self, game_round: Round) -> Tensor:
                (slope,) = torch.autograd.grad(game_round["fake"].sum(), game_round["latent"], create_graph=True)
                return slope.square().mean()

        return Slope()


class Given:
    """Batches that are given."""

    def __init__(self, *batches: dict[str, Tensor]) -> None:
        self.batches, self.first, self.closed = batches, -1, False

    def starting_at(self, number: int) -> Generator[dict[str, Tensor], None, None]:
        self.first = number
        try:
            yield from self.batches
        finally:
            self.closed = True


def batch(real: Sequence[float], latent: Sequence[float], **more: Tensor) -> dict[str, Tensor]:
    return {"real": torch.tensor(real)[:, None], "latent": torch.tensor(latent)[:, None], **more}


PAIRS = [
    ([0.5, 1.0], [0.25, 1.0]),
    ([1.5, -0.5], [0.5, 0.75]),
    ([0.25, 0.75], [-1.0, 0.5]),
    ([-1.0, 0.25], [1.5, 0.25]),
    ([1.25, 0.5], [0.75, -0.5]),
    ([0.75, 1.75], [-0.25, 1.25]),
    ([-0.75, 1.0], [1.0, -0.75]),
    ([0.25, -0.25], [0.5, 1.75]),
]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def judge_loss(w: float, g: float, real: Sequence[float], latent: Sequence[float]) -> float:
    return mean([(w * x - 1) ** 2 for x in real]) + mean([(w * g * z) ** 2 for z in latent])


def judge_slope(w: float, g: float, real: Sequence[float], latent: Sequence[float]) -> float:
    return mean([2 * (w * x - 1) * x for x in real]) + mean([2 * w * (g * z) ** 2 for z in latent])


def maker_loss(w: float, g: float, latent: Sequence[float]) -> float:
    return mean([(w * g * z - 1) ** 2 for z in latent])


def maker_slope(w: float, g: float, latent: Sequence[float]) -> float:
    return mean([2 * (w * g * z - 1) * w * z for z in latent])


def plain_step(w: float, g: float, pair: tuple[list[float], list[float]]) -> tuple[float, float]:
    """One step of both over one batch."""
    w -= JUDGE_LR * judge_slope(w, g, *pair)
    return w, g - MAKER_LR * maker_slope(w, g, pair[1])


def begin(
    batches: Sequence[dict[str, Tensor]] = (), hooks: Sequence[object] = (), decay: float | None = None, **parts: Any
) -> Trainer:
    """A trainer of the game on a line, over batches of two; an optimizer that is None is left to the default."""
    train = {"images": 100, "batch_size": 2, "device": "cpu", **parts.pop("train", {})}
    optimizers = {"judging": SGD(lr=JUDGE_LR), "making": SGD(lr=MAKER_LR)} | parts.pop("optimizers", {})
    optimizers = {name: config for name, config in optimizers.items() if config is not None}
    # Whatever is installed would take longer to load than all these tests take.
    usual: dict[str, Any] = {"game": LineConfig(), "losses": (Square(),), "data": Columns(), "loggers": (Jsonl(),)}
    experiment = Experiment(**(usual | parts), optimizers=optimizers, train=Train(**train))
    assembly = assemble(experiment)
    averages = None if decay is None else AveragedPlayers({"maker": assembly.game.players["maker"]}, decay)
    run = Run(experiment, RunFolder(Path("nowhere")), assembly, assembly.optimizers(), averages, ListedHooks(*hooks))
    return Trainer(run, Given(*batches))  # pyright: ignore[reportArgumentType]


class ListedHooks:
    """Calls the hooks of the listed objects, and none of the installed plugins, which take long to import."""

    def __init__(self, *listeners: object) -> None:
        self.manager = new_manager()
        for each in listeners:
            self.manager.register(each)

    def call(self, hook: str, **arguments: object) -> None:
        getattr(self.manager.hook, hook)(**arguments)


def weights(trainer: Trainer) -> tuple[float, float]:
    players = trainer.game.players
    return players["judge"].weight.item(), players["maker"].weight.item()


def live(trainer: Trainer, index: int = -1) -> Any:
    """The live object of a term."""
    return trainer.objective.terms[index].live


class Calls:
    """The hooks of turns and steps, in order, and what a look at the run then gives."""

    def __init__(self, look: Callable[[Run, Turn, Sequence[Round]], object] = lambda *_: None) -> None:
        self.look = look
        self.calls, self.seen = list[str](), list[Any]()
        self.scalars: Mapping[str, float] = {}

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        self.calls.append(turn.name)
        self.seen.append(self.look(run, turn, rounds))

    @hookimpl
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        assert run.step == step
        self.calls.append(f"step {step}, {run.images} images")
        self.scalars = scalars
