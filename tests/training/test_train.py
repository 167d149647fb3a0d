"""The trainer's arithmetic, against hand-written steps, and what it does when numbers go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn
from torch._inductor.exc import InvalidCxxCompiler
from torch.nn.functional import softplus

from ganframe import BadInput, Experiment, RunFailed, hookimpl, load_config, train
from ganframe.config.component_kinds import DatasetConfig, OptimizerConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data import images_as_floats
from ganframe.data.tensor_data import TensorData
from ganframe.distributed.precision import autocast
from ganframe.game.objective import Objective
from ganframe.game.protocols import Optimizer
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.runs.logs import read_log
from ganframe.testing.runs import train_whole_and_resumed
from ganframe.training.assembly import assemble
from ganframe.training.run_state import Run

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [8], latent: 4}
  discriminator: {type: mlp, hidden: [8], dropout: 0, input_dropout: 0}
losses: [non-saturating]
data: digits
optimizers:
  discriminator: {type: sgd, lr: 0.1}
  generator: {type: sgd, lr: 0.05}
train: {images: 16, batch_size: 16, device: cpu}
snapshot: {count: 4}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


class Recorder:
    """Every hook call, in order, and the state of the players after each turn."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.scalars: list[Mapping[str, float]] = []
        self.lr: list[float] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.calls.append("start")

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        self.calls.append(turn.name)
        self.lr.append(run.optimizers[turn.name].param_groups[0]["lr"])

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        self.calls.append(f"step {step}")
        self.scalars.append(scalars)

    @hookimpl
    def on_run_end(self, error: BaseException | None) -> None:
        self.calls.append(f"end {error}")


def run(config: Path, out: Path, *overrides: str) -> tuple[Recorder, dict[str, Any]]:
    recorder = Recorder()
    train(load_config(str(config), *overrides), out=out, hooks=[recorder])
    return recorder, load(list_checkpoints(out / "checkpoints")[0])[1]


def by_hand(experiment: Experiment, steps: int, parts: int = 1) -> dict[str, nn.Module]:
    """The same steps of plain SGD over batches of 16, written out; each batch in so many parts."""
    players = assemble(experiment).game.players
    generator, judge = players["generator"], players["discriminator"]
    dataset = experiment.data.build()
    order = torch.randperm(5000, generator=Randomness(0).at("data").at(0).generator("order")).tolist()
    for step in range(steps):
        indices = order[step * 16 : (step + 1) * 16]
        reals = images_as_floats(dataset.fetch(indices, Randomness(0)))["real"].chunk(parts)
        for turn, moves, lr in (("discriminator", judge, 0.1), ("generator", generator, 0.05)):
            losses: list[Tensor] = []
            for part, real in enumerate(reals):
                latent = Randomness(0).at("step", step, turn, 0, part).normal("latent", (len(real), 4))
                fake = generator(latent)
                if turn == "discriminator":
                    losses.append(softplus(-judge(real).logits).mean() + softplus(judge(fake).logits).mean())
                else:
                    losses.append(softplus(-judge(fake).logits).mean())
            gradients = torch.autograd.grad(torch.stack(losses).mean(), list(moves.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(moves.parameters(), gradients, strict=True):
                    parameter.sub_(lr * gradient)
    return players


def assert_players(state: Mapping[str, Any], expected: Mapping[str, nn.Module]) -> None:
    for name, player in expected.items():
        for key, value in player.state_dict().items():
            torch.testing.assert_close(state[f"player.{name}"][key], value)


def test_two_steps_equal_the_same_steps_by_hand(config: Path, tmp_path: Path) -> None:
    _, state = run(config, tmp_path / "run", "train.images=32")
    assert_players(state, by_hand(load_config(str(config)), 2))


def test_hooks_are_called_in_order(config: Path, tmp_path: Path) -> None:
    recorder, _ = run(config, tmp_path / "run", "train.images=32", "game.discriminator_steps=2")
    assert recorder.calls == ["start", "discriminator", "discriminator", "generator", "step 1", "end None"]
    assert recorder.scalars[0].keys() >= {"discriminator/non-saturating", "generator/gradient norm"}


def test_accumulated_gradients_are_the_mean_over_the_parts(config: Path, tmp_path: Path) -> None:
    recorder, state = run(config, tmp_path / "run", "train.images=32", "train.batch_size=4", "train.accumulate=4")
    assert recorder.calls.count("generator") == 2
    assert_players(state, by_hand(load_config(str(config)), 2, parts=4))


def test_a_schedule_sets_the_learning_rate_of_each_step(config: Path, tmp_path: Path) -> None:
    recorder, _ = run(
        config,
        tmp_path / "run",
        "train.images=64",
        "optimizers.generator={type: sgd, lr: {type: linear, start: 0.4, end: 0}}",
    )
    assert recorder.lr[1::2] == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_lazy_term_joins_each_kth_turn(config: Path, tmp_path: Path) -> None:
    recorder, _ = run(config, tmp_path / "run", "train.images=80", "regularizers=[{type: r1, every: 2}]")
    assert ["discriminator/r1" in scalars for scalars in recorder.scalars] == [True, False, True, False, True]


@pytest.mark.parametrize("every", [2, 3, 16])
def test_a_lazy_term_is_in_the_log_whatever_the_steps_of_either(config: Path, tmp_path: Path, every: int) -> None:
    penalties = f"regularizers=[{{type: r1, every: {every}}}]"
    loggers = "loggers=[{type: jsonl, every: 10}]"
    recorder, _ = run(config, tmp_path / "run", "train.images=640", penalties, loggers)
    lines = read_log(tmp_path / "run" / "scalars.jsonl")
    for line in lines:
        own = recorder.scalars[int(line["step"]) - 10 : int(line["step"])]
        latest = [scalars["discriminator/r1"] for scalars in own if "discriminator/r1" in scalars][-1:]
        assert [line[name] for name in line if name == "discriminator/r1"] == pytest.approx(latest, rel=1e-4)
    assert any("discriminator/r1" in line for line in lines)


def test_what_was_not_logged_yet_survives_a_resume(config: Path, tmp_path: Path) -> None:
    settings = ("train.images=320", "regularizers=[{type: r1, every: 16}]", "checkpoint.every_images=288")
    train_whole_and_resumed(load_config(str(config), *settings), tmp_path, stop_after=18)
    *_, whole = read_log(tmp_path / "whole" / "scalars.jsonl")
    *_, resumed = read_log(tmp_path / "resumed" / "scalars.jsonl")
    assert whole["step"] == resumed["step"] == 20
    assert whole["discriminator/r1"] == resumed["discriminator/r1"]


class Opened(DatasetConfig):
    """Counts how often it is opened."""

    type: Literal["opened"] = "opened"
    times: ClassVar[list[str]] = []

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1, 28, 28))}

    def build(self) -> TensorData:
        self.times.append("opened")
        return TensorData({"real": torch.zeros(20, 1, 28, 28)})


def test_the_data_is_opened_once(config: Path, tmp_path: Path) -> None:
    Opened.times.clear()
    train(load_config(str(config)).model_copy(update={"data": Opened()}), out=tmp_path / "run")
    assert Opened.times == ["opened"]


class Empty(Opened):
    """Has no examples."""

    type: Literal["empty"] = "empty"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> TensorData:
        return TensorData({"real": torch.zeros(0, 1, 28, 28)})


def test_data_without_examples_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are no examples in the data"):
        train(load_config(str(config)).model_copy(update={"data": Empty()}), out=tmp_path / "run")


def test_a_term_that_joins_no_turn_is_refused(config: Path) -> None:
    experiment = load_config(str(config), "losses=[non-saturating, {type: hinge, turns: [generator]}]")
    game = experiment.game.build({"real": TensorSpec((1, 28, 28))})
    (contest,) = game.contests
    game.contests = (contest, replace(contest, name="for the judge", generators=()))
    hinge = experiment.losses[1].model_copy(update={"contests": ("for the judge",)})
    with pytest.raises(BadInput, match="'hinge' joins no turn; the game has: discriminator, generator") as problem:
        Objective(experiment.model_copy(update={"losses": (experiment.losses[0], hinge)}), game)
    assert problem.value.path == ("losses", 1)


class Refusing(OptimizerConfig):
    """Refuses whatever it is to move."""

    type: Literal["refusing"] = "refusing"

    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        raise BadInput("too many parameters")


def test_an_optimizer_that_cannot_be_built_leaves_no_folder(config: Path, tmp_path: Path) -> None:
    experiment = load_config(str(config)).model_copy(update={"optimizers": {"generator": Refusing()}})
    with pytest.raises(BadInput, match="too many parameters") as problem:
        train(experiment, out=tmp_path / "run")
    assert problem.value.path == ("optimizers", "generator")
    assert not (tmp_path / "run").exists()


def test_to_compile_without_a_compiler_is_refused(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_found() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", none_found)
    with pytest.raises(BadInput, match=r"no C\+\+ compiler") as problem:
        train(load_config(str(config), "train.compile=true"), out=tmp_path / "run")
    assert problem.value.path == ("train", "compile")
    assert not (tmp_path / "run").exists()


def test_a_part_that_is_held_in_eval_mode_stays_there(config: Path, tmp_path: Path) -> None:
    """A frozen backbone in a network: after a picture it is as before, as it is where no picture was drawn."""
    modes: list[tuple[bool, bool]] = []

    class Hold:
        @hookimpl
        def on_run_start(self, run: Run) -> None:
            run.game.players["generator"].layers[0].eval()

        @hookimpl
        def on_step_end(self, run: Run) -> None:
            layers = run.game.players["generator"].layers
            modes.append((layers[0].training, layers[1].training))

    train(load_config(str(config), "train.images=48", "snapshot.every_images=16"), out=tmp_path / "run", hooks=[Hold()])
    assert modes == [(False, True)] * 3


def test_the_average_is_the_exponential_one(config: Path, tmp_path: Path) -> None:
    """Half-life of one step's images: after two steps the average is half the first state and half the second."""
    ema = "train.ema={half_life_images: 16}"
    _, one = run(config, tmp_path / "one", "train.images=16", ema)
    _, two = run(config, tmp_path / "two", "train.images=32", ema)
    for key, second in two["player.generator"].items():
        expected = (one["player.generator"][key] + second) / 2
        torch.testing.assert_close(two["averages"][f"generator.module.{key}"], expected)
    assert not any(key.startswith("discriminator") for key in two["averages"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("loss", "turn 'discriminator': not finite: the term 'non-saturating'"),
        ("gradient", "turn 'generator': not finite: the gradient of the player 'generator'"),
    ],
)
def test_what_is_not_finite_is_named_in_the_same_step(config: Path, tmp_path: Path, spoil: str, message: str) -> None:
    class Spoil:
        @hookimpl
        def on_run_start(self, run: Run) -> None:
            if spoil == "loss":
                run.game.players["discriminator"].register_forward_hook(poison)
            else:
                next(run.game.players["generator"].parameters()).register_hook(lambda gradient: gradient * torch.nan)

    def poison(_module: nn.Module, _given: object, output: Any) -> None:
        output.logits = output.logits * torch.inf

    with pytest.raises(RunFailed) as problem:
        train(load_config(str(config)), out=tmp_path / "run", hooks=[Spoil()])
    assert f"step 1, {message}" in str(problem.value)
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_hook_that_fails_is_named(config: Path, tmp_path: Path) -> None:
    class Clumsy:
        @hookimpl
        def on_step_end(self) -> None:
            raise ValueError("dropped it")

    with pytest.raises(RunFailed, match=r"'.*Clumsy' failed in on_step_end: ValueError: dropped it"):
        train(load_config(str(config)), out=tmp_path / "run", hooks=[Clumsy()])


def test_a_hook_that_there_is_not_is_refused(config: Path, tmp_path: Path) -> None:
    class Misspelt:
        @hookimpl
        def on_stepend(self, step: int) -> None:
            """Never called."""

    with pytest.raises(BadInput, match="Misspelt: unknown hook 'on_stepend'"):
        train(load_config(str(config)), out=tmp_path / "run", hooks=[Misspelt()])
    assert not (tmp_path / "run").exists()


def test_training_leaves_the_callers_random_state_alone(config: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(config, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


# The compiler looks at `.grad` of every input and hides the warning itself, unless warnings are errors.
@pytest.mark.filterwarnings("default:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("fast", ["train.precision=bf16", "train.channels_last=true", "train.compile=true"])
def test_faster_modes_train_the_same_thing(
    config: Path, tmp_path: Path, fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Traced as for the compiler, but run eagerly: compiling C++ would take the suite's time.
    compile_with = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_with(self, backend="aot_eager"))
    plain, _ = run(config, tmp_path / "plain", "train.images=48")
    faster, _ = run(config, tmp_path / "fast", "train.images=48", fast)
    for mine, theirs in zip(plain.scalars, faster.scalars, strict=True):
        assert mine == pytest.approx(theirs, rel=0.02, abs=0.02)


@pytest.mark.parametrize("native", [False, True])
def test_automatic_precision_is_bf16_only_where_it_is_native(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    for precision, expected in (("auto", native), ("bf16", True), ("fp32", False)):
        with autocast(precision, torch.device("cpu")):
            assert torch.is_autocast_enabled("cpu") == expected


def test_the_loss_goes_down_where_only_the_judge_learns(config: Path, tmp_path: Path) -> None:
    recorder, _ = run(config, tmp_path / "run", "train.images=1600", "optimizers.generator.lr=0")
    losses = [scalars["discriminator/non-saturating"] for scalars in recorder.scalars]
    assert losses[-1] < 0.5 * losses[0]
