"""The trainer's arithmetic, against hand-written steps, and what it does when numbers go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganframe import Experiment, RunFailed, hookimpl, load_config, train
from ganframe.assembly import assemble
from ganframe.checkpoint import complete, load
from ganframe.game import Turn
from ganframe.precision import autocast
from ganframe.randomness import Randomness
from ganframe.run import Run

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
    return recorder, load(complete(out / "checkpoints")[0])[1]


def by_hand(experiment: Experiment, steps: int, parts: int = 1) -> dict[str, nn.Module]:
    """The same steps of plain SGD over batches of 16, written out; each batch in so many parts."""
    players = assemble(experiment).game.players
    generator, judge = players["generator"], players["discriminator"]
    dataset = experiment.data.build()
    order = torch.randperm(5000, generator=Randomness(0).at("data").at(0).generator("order")).tolist()
    for step in range(steps):
        reals = dataset.fetch(order[step * 16 : (step + 1) * 16], Randomness(0))["real"].chunk(parts)
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

    def poison(_module: nn.Module, _given: object, verdict: Any) -> None:
        verdict.logits = verdict.logits * torch.inf

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
