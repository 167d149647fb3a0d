"""A number that is not finite stops a run, or sends it back to its last checkpoint to go on with other data; whatever
it is in (data, loss, gradient, weight, average, optimizer), it is named and never saved.

NaN and infinity are injected into each, in each turn. In the data, a loss, a gradient, a weight or an average they are
found in the same step, and named by turn, term, player and tensor; in the state of an optimizer before a picture, a
measurement or a checkpoint is made, and named by turn and tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from figures import Figures
from ganframe_gaussians import Ring
from harness import PLAIN, assert_same, flat, latest_state, load, scalars
from torch import Tensor

from ganframe import RunFailed, hookimpl, load_config, train
from ganframe.config.experiment import Experiment
from ganframe.game.turn import Turn
from ganframe.runs.checkpoint_files import list_checkpoints
from ganframe.training.ema import AveragedPlayers
from ganframe.training.run_state import Run

slow = pytest.mark.slow

SETTINGS = ("train.images=160", "checkpoint.every_images=40", "train.on_nonfinite=rollback")
"""Twenty steps, with a checkpoint after each fifth."""


@pytest.fixture(autouse=True)
def _reports_have_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than such a run."""
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Experiment]:
    path = tmp_path / "config.yaml"
    path.write_text(PLAIN)
    return lambda *overrides: load_config(str(path), *SETTINGS, *overrides)


class Poison:
    """Makes something not finite, or as large as is needed for that, a number of times.

    Args:
        what: What to spoil.
        value: What to spoil it with, as a factor.
        step: In which step, counted from 1.
        times: How often the step is spoilt when it comes.
    """

    def __init__(self, what: str, value: float, step: int, times: int = 1) -> None:
        self.what, self.value, self.step, self.times = what, value, step, times

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Lie in wait."""
        self.run = run
        judge, generator = run.game.players["discriminator"], run.game.players["generator"]
        judge.register_forward_hook(lambda _module, _given, output: self._spoil_loss(output))
        for name, player in (("discriminator", judge), ("generator", generator)):
            for parameter in list(player.parameters())[:1]:
                parameter.register_hook(lambda slope, name=name: slope * self._factor(f"gradient of {name}"))

    @hookimpl
    def on_turn_end(self, turn: Turn) -> None:
        """Spoil what the turn has moved, and after the last turn all that it has not."""
        if turn.name == self.what.removeprefix("weight after the turn "):
            _spoil(self.run.game.players[turn.name], self._factor(self.what))
        if turn is self.run.game.turns[-1]:
            self._spoil_players("")
        if turn.name == self.what.removeprefix("optimizer of "):
            for state in list(self.run.optimizers[turn.name].state_dict()["state"].values())[:1]:
                state["exp_avg_sq"].view(-1)[0] += self._factor(self.what) - 1

    @hookimpl
    def on_step_end(self) -> None:
        """Spoil what the step has made."""
        self._spoil_players(" between steps")

    def _spoil_players(self, when: str) -> None:
        assert self.run.averages
        for kind, players in (("weight", self.run.game.players), ("average", self.run.averages.players)):
            for name, player in players.items():
                _spoil(player, self._factor(f"{kind} of {name}{when}", self.run.step + (not when)))

    def _factor(self, what: str, step: int | None = None) -> float:
        if self.what != what or (self.run.step + 1 if step is None else step) != self.step or not self.times:
            return 1.0
        self.times -= 1
        return self.value

    def _spoil_loss(self, output: object) -> None:
        output.logits = output.logits * self._factor("loss")  # type: ignore[attr-defined]


def _spoil(player: torch.nn.Module, factor: float) -> None:
    next(player.parameters()).data.view(-1)[0] *= factor


class Large:
    """Makes an average so large that its square is infinite, for a step."""

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Choose it."""
        assert run.averages
        self.number = next(run.averages.players["generator"].parameters()).data.view(-1)[:1]

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Make it large."""
        if run.step == 4 and turn.name == "generator":
            self.before = self.number.clone()
            self.number.fill_(1e30)

    @hookimpl
    def on_step_end(self, step: int) -> None:
        """Make it as it was."""
        if step == 5:
            assert self.number > 1e25
            self.number.copy_(self.before)


class Overflow(Poison):
    """Lets the optimizer of a turn overshoot, once."""

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Lie in wait."""
        self.run, self.settings = run, run.optimizers[self.what].param_groups[0]
        self.rate = self.settings["lr"]
        next(run.game.players[self.what].parameters()).register_hook(lambda _slope: self._overshoot())

    def _overshoot(self) -> None:
        if self.run.step + 1 == self.step and self.times:
            self.times -= 1
            self.settings["lr"] = 1e39

    @hookimpl
    def on_turn_end(self) -> None:
        """Be as before."""
        self.settings["lr"] = self.rate


AT_ONCE = {
    "loss": "step 13, turn 'discriminator': not finite: the term 'non-saturating'",
    "gradient of discriminator": "step 13, turn 'discriminator': not finite: the gradient of the player 'discrim",
    "gradient of generator": "step 13, turn 'generator': not finite: the gradient of the player 'generator'",
    "weight after the turn discriminator": "step 13, turn 'generator': not finite: the term 'non-saturating'",
    "weight after the turn generator": "step 13: not finite: the player 'generator' (",
    "weight of discriminator": "step 13: not finite: the player 'discriminator' (",
    "average of generator": "step 13: not finite: the average of 'generator' (",
}
LATER = {
    "optimizer of generator": "step 15: not finite: the optimizer of the turn 'generator' (exp_avg_sq of generator."
}


OTHERS = sorted({*AT_ONCE, *LATER} - {"loss", "average of generator"})


def assert_finite_throughout(run: Path, rollbacks: int) -> None:
    """No step is missing, and no checkpoint holds a number that is not finite."""
    assert [line["step"] for line in scalars(run)] == list(range(1, 21))
    assert latest_state(run)[1]["progress"] == {
        "images": 160,
        "turn_counts": {"discriminator": 20, "generator": 20},
        "rollbacks": rollbacks,
        "looked": True,
    }
    for checkpoint in list_checkpoints(run / "checkpoints"):
        leaves = flat(load(checkpoint)[1]).values()
        assert all(bool(each.isfinite().all()) for each in leaves if isinstance(each, Tensor))


@pytest.mark.parametrize("value", [math.nan, pytest.param(math.inf, marks=slow)])
@pytest.mark.parametrize(
    ("what", "step", "said", "back"),
    [
        *((what, 13, said, 13 if said.startswith("step 13:") else 12) for what, said in AT_ONCE.items()),
        *((what, 15, said, 15) for what, said in LATER.items()),
        ("weight of generator between steps", 12, "step 13, turn 'discriminator': not finite: the term", 12),
        ("weight of discriminator between steps", 12, "step 13, turn 'discriminator': not finite: the term", 12),
        ("average of generator between steps", 12, "step 13: not finite: the average of 'generator' (", 13),
    ],
)
def test_a_run_goes_back_from_what_is_not_finite(
    what: str,
    step: int,
    said: str,
    back: int,
    value: float,
    configured: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: Figures,
) -> None:
    train(configured(), out=tmp_path / "run", hooks=[Poison(what, value, step)])
    heard = capsys.readouterr().err
    assert heard.startswith(f"went back from step {back} to 10: {said}")
    assert len(heard.splitlines()) == 1
    assert_finite_throughout(tmp_path / "run", 1)
    figures.count("injections, all of them found and named")


@pytest.mark.parametrize("what", ["loss", "average of generator", *(pytest.param(what, marks=slow) for what in OTHERS)])
def test_or_it_stops(what: str, configured: Callable[..., Experiment], tmp_path: Path, figures: Figures) -> None:
    step, said = (13, AT_ONCE[what]) if what in AT_ONCE else (15, LATER[what])
    with pytest.raises(RunFailed) as problem:
        train(configured("train.on_nonfinite=stop"), out=tmp_path / "run", hooks=[Poison(what, math.nan, step)])
    assert str(problem.value).startswith(said)
    assert latest_state(tmp_path / "run")[0] == 10
    train(configured("train.on_nonfinite=stop"), out=tmp_path / "run", resume=True)
    assert_finite_throughout(tmp_path / "run", 0)
    figures.count("injections, all of them found and named")


@pytest.mark.parametrize("every", ["snapshot.every_images=96", "evaluate.every_images=96"])
def test_nothing_is_made_of_what_is_not_finite(
    every: str, configured: Callable[..., Experiment], tmp_path: Path, figures: Figures
) -> None:
    with pytest.raises(RunFailed, match="step 12: not finite: the average of 'generator'"):
        train(
            configured("train.on_nonfinite=stop", every),
            out=tmp_path / "run",
            hooks=[Poison("average of generator between steps", math.inf, 12)],
        )
    assert not (tmp_path / "run" / "pictures" / "000000012.png").exists()
    figures.count("injections, all of them found and named")


def test_a_step_that_makes_weights_infinite_of_finite_gradients(
    configured: Callable[..., Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: Figures,
) -> None:
    train(configured(), out=tmp_path / "run", hooks=[Overflow("generator", 1.0, 14)])
    heard = capsys.readouterr().err
    assert heard.startswith("went back from step 14 to 10: step 14: not finite: the player 'generator' (")
    assert_finite_throughout(tmp_path / "run", 1)
    figures.count("injections, all of them found and named")


def test_weights_that_are_large_and_finite_are_not_refused(
    configured: Callable[..., Experiment], tmp_path: Path
) -> None:
    """Their norm overflows; they do not."""
    train(configured("train.on_nonfinite=stop"), out=tmp_path / "run", hooks=[Large()])
    assert_finite_throughout(tmp_path / "run", 0)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_data_that_are_not_finite_are_named(
    value: float,
    configured: Callable[..., Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: Figures,
) -> None:
    build = Ring.build

    def spoilt(self: Ring) -> object:
        dataset = build(self)
        fetch, batches = dataset.fetch, iter(range(10**6))

        def fetched(*given: object) -> dict[str, Tensor]:
            batch = fetch(*given)
            if next(batches) == 12:
                batch["real"][3, 1] = value
            return batch

        dataset.fetch = fetched
        return dataset

    monkeypatch.setattr(Ring, "build", spoilt)
    said = r"step 13, turn 'discriminator': not finite: the term .*\(nor are the data: real\)"
    with pytest.raises(RunFailed, match=said):
        train(configured("train.on_nonfinite=stop"), out=tmp_path / "run")
    figures.count("injections, all of them found and named")


def test_what_comes_after_going_back_is_other_data(configured: Callable[..., Experiment], tmp_path: Path) -> None:
    for name, hooks in (("calm", []), ("poisoned", [Poison("loss", math.nan, 13)])):
        train(configured(), out=tmp_path / name, hooks=hooks)
    calm, poisoned = scalars(tmp_path / "calm"), scalars(tmp_path / "poisoned")
    assert calm[:10] == poisoned[:10]
    assert all(mine != theirs for mine, theirs in zip(calm[10:], poisoned[10:], strict=True))


def test_before_the_first_checkpoint_a_run_goes_back_to_its_start(
    configured: Callable[..., Experiment], tmp_path: Path
) -> None:
    train(configured("checkpoint.every_images=160"), out=tmp_path / "run", hooks=[Poison("loss", math.nan, 3)])
    assert_finite_throughout(tmp_path / "run", 1)


@pytest.mark.parametrize("what", ["loss", "average of generator"])
def test_a_run_does_not_go_back_for_ever(what: str, configured: Callable[..., Experiment], tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"went back 2 times already \(train.max_rollbacks\)"):
        train(configured("train.max_rollbacks=2"), out=tmp_path / "run", hooks=[Poison(what, math.nan, 5, times=1000)])


class Fails:
    """Ends the run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, run: Run, step: int) -> None:
        """Fail, once the run has gone back."""
        if run.rollbacks and step == self.step:
            raise RunFailed("pulled the plug")


class PoisonUntilRollback(Poison):
    """Spoils a step for as long as the run has not gone back for it."""

    def _factor(self, what: str, step: int | None = None) -> float:
        return super()._factor(what, step) if self.run.rollbacks == 0 else 1.0


@pytest.mark.parametrize("stop", [13, 17])
def test_a_run_that_went_back_is_resumed_as_if_it_had_not_stopped(
    stop: int, configured: Callable[..., Experiment], tmp_path: Path
) -> None:
    """Whether the checkpoint that it is resumed from was saved before it went back, or after."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    train(configured(), out=whole, hooks=[PoisonUntilRollback("loss", math.nan, 13)])
    with pytest.raises(RunFailed, match="pulled"):
        train(configured(), out=cut, hooks=[PoisonUntilRollback("loss", math.nan, 13), Fails(stop)])
    train(configured(), out=cut, hooks=[PoisonUntilRollback("loss", math.nan, 13)], resume=True)
    assert_same(cut, whole)


def test_a_constant_that_is_infinite_on_purpose_is_no_part_of_the_state() -> None:
    """A mask keeps its infinities in the average, where a mean of them would be no number."""
    network = torch.nn.Linear(2, 2)
    network.register_buffer("mask", torch.tensor([0.0, -math.inf]), persistent=False)
    network.register_buffer("mean", torch.zeros(2))
    averages = AveragedPlayers({"generator": network}, decay=0.5)
    for _ in range(3):
        network.mean += 1
        averages.update()
    found = dict(averages.players["generator"].named_buffers())
    assert found["mask"].tolist() == [0.0, -math.inf]
    assert found["mean"].tolist() == [2.25, 2.25]
    assert "generator.module.mask" not in averages.state_dict()
