"""The best checkpoint by a result of the metrics, and runs that end early; every value is written down by hand."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from harness import assert_same, latest_state
from pydantic import ValidationError
from ranks import pretend_ranks
from torch import Tensor

from ganframe import BadInput, Experiment, RunFailed, RunFolder, hookimpl, load, train
from ganframe.config.component_kinds import DatasetConfig, MetricConfig
from ganframe.config.without_effect import describe_without_effect
from ganframe.evaluation.callbacks import _agreed_result
from ganframe.evaluation.metrics import measure_run
from ganframe.evaluation.report import write_report
from ganframe.plugins.discovery import installed
from ganframe.runs.best_measurement import BestMeasurement, load_best, read_best
from ganframe.runs.checkpoint_files import list_checkpoints, save
from ganframe.runs.checkpoint_files import load as load_checkpoint
from ganframe.training.explain import explain
from ganframe.training.run_state import Run

NAN, INF = math.nan, math.inf
IMAGES = 8
"""Images of a step."""


class Written(MetricConfig):
    """Measures what is written down for each step."""

    type: Literal["written"] = "written"
    samples: int = 1
    values: tuple[Any, ...] = ()

    def tensors(self) -> tuple[str, ...]:
        return ()

    def build(self, data: DatasetConfig) -> Any:
        return Reader(self.values)


class Reader:
    def __init__(self, values: Sequence[Any]) -> None:
        self.values, self.step = [float(value) for value in values], 0

    def read(self, game_round: Any) -> Mapping[str, Tensor]:
        return {"images": torch.full((game_round.size,), game_round.progress.images)}

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        self.step = int(tensors["images"][0]) // IMAGES

    def compute(self) -> dict[str, float]:
        return {"value": self.values[self.step - 1], "other": 1.0}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed().registry.copy()
    registry.add(Written, "ganframe")
    monkeypatch.setattr(installed(), "registry", registry)
    monkeypatch.setattr("os.fsync", lambda _file: None)
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")  # they take longer than all else


def described(values: Sequence[Any], keep: int = 1, every: int = 1, **best: Any) -> Experiment:
    """A run of as many steps as there are values, one measurement each."""
    return Experiment.model_validate(
        {
            "game": {
                "type": "adversarial",
                "generator": {"type": "mlp", "hidden": [4], "latent": 2, "output": "linear"},
                "discriminator": {"type": "mlp", "hidden": [4], "dropout": 0.2},
            },
            "losses": ["non-saturating"],
            "data": {"type": "ring", "samples": 100},
            "train": {"total_images": IMAGES * len(values), "batch_size": IMAGES, "device": "cpu"},
            "evaluate": {
                "metrics": [{"type": "written", "values": [str(value) for value in values]}],
                "every_images": IMAGES * every,
                "best": {"result": "written/value", "goal": "lowest", **best},
            },
            "snapshot": {"every_images": IMAGES * len(values), "count": 2},
            "checkpoint": {"every_images": IMAGES * 2, "keep": keep},
            "loggers": [{"type": "jsonl", "every": 1}],
        }
    )


def kept(run: Path) -> list[int]:
    return [int(path.name) for path in list_checkpoints(run / "checkpoints")]


def best_of(run: Path) -> BestMeasurement:
    found = read_best(run / "checkpoints")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("values", "goal", "step", "since"),
    [
        pytest.param((5, 3, 4, 4, 6, 4), "lowest", 2, 4, id="an old one stays"),
        pytest.param((5, 3, 4, 2, 6, 4), "lowest", 4, 2, id="a better one replaces it"),
        pytest.param((5, 3, 4, 2, 6, 4), "highest", 5, 1, id="the highest"),
        pytest.param((5, 3, 3, 3, 5, 3), "lowest", 2, 4, id="an equal one is no better"),
        pytest.param((NAN, 3, NAN, INF, -INF, 3), "lowest", 2, 4, id="no number is never the best"),
        pytest.param((NAN, INF, 7, INF, NAN, INF), "highest", 3, 3, id="infinity is not the highest"),
        pytest.param((6, 5, 4, 3, 2, 1), "lowest", 6, 0, id="the last one"),
    ],
)
def test_the_best_checkpoint_is_kept_beside_the_latest(
    tmp_path: Path, values: Sequence[float], goal: str, step: int, since: int
) -> None:
    run = tmp_path / "run"
    train(described(values, goal=goal), out=run)
    assert kept(run) == sorted({6, step}, reverse=True)
    found = best_of(run)
    assert (found.value, found.step, found.measurements_since) == (values[step - 1], step, since)


def test_a_best_checkpoint_is_saved_whenever_it_was_measured(tmp_path: Path) -> None:
    """Checkpoints are due after steps 2 and 4; the best comes after step 3."""
    train(described((5, 4, 1, 2)), out=tmp_path / "run")
    assert kept(tmp_path / "run") == [4, 3]


def test_a_run_without_a_finite_value_has_no_best(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(described((NAN, NAN, INF)), out=run)
    assert kept(run) == [3]
    found = best_of(run)
    assert (found.value, found.step, found.measurements_since) == (None, None, 3)
    with pytest.raises(BadInput, match="no best checkpoint"):
        load(run, checkpoint="best")
    assert "no finite value of written/value was measured" in (run / "report.html").read_text()


class Ends:
    """How a run ended, and which steps were drawn."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.steps: list[int] = []
        self.error: list[BaseException | None] = []

    @hookimpl
    def on_step_end(self, step: int) -> None:
        self.steps.append(step)

    @hookimpl
    def on_snapshot(self, step: int) -> None:
        self.drawn.append(step)

    @hookimpl
    def on_run_end(self, error: BaseException | None) -> None:
        self.error.append(error)


@pytest.mark.parametrize(
    ("values", "patience", "last"),
    [
        ((5, 3, 4, 4, 1, 1), 2, 4),
        ((5, 3, 3, 1, 1, 1), 1, 3),
        ((NAN, NAN, NAN, 1, 1, 1), 3, 3),
        ((5, 3, 4, 2, 4, 1), 2, 6),
    ],
)
def test_a_run_ends_after_so_many_measurements_without_a_better_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: Sequence[float], patience: int, last: int
) -> None:
    """It ends like one that is done: no error, a checkpoint and a picture of its last step, a report."""
    run, ends = tmp_path / "run", Ends()
    train(described(values, patience=patience), out=run, hooks=[ends])
    assert (ends.steps, ends.drawn, ends.error) == (list(range(1, last + 1)), [last], [None])
    assert latest_state(run)[0] == last
    early = last < len(values)
    assert ("stopped early" in capsys.readouterr().err) is early
    assert (f"The run ended: {patience} measurement" in (run / "report.html").read_text()) is early


def test_a_run_that_ended_early_is_over(tmp_path: Path) -> None:
    experiment, ends = described((5, 3, 4, 4, 1, 1), patience=2), Ends()
    train(experiment, out=tmp_path / "run")
    train(experiment, out=tmp_path / "run", resume=True, hooks=[ends])
    assert (ends.steps, ends.error) == ([], [None])


def test_more_patience_lets_it_go_on(tmp_path: Path) -> None:
    run, ends = tmp_path / "run", Ends()
    train(described((5, 3, 4, 4, 1, 1), patience=2), out=run)
    more = described((5, 3, 4, 4, 1, 1), patience=3)
    train(more, out=run, resume=True, allow_changes=["evaluate.best.patience"], hooks=[ends])
    assert ends.steps == [5, 6]
    assert best_of(run).step == 5


def test_another_result_begins_without_a_best(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunFailed):
        train(described((5, 3, 4, 4)), out=run, hooks=[Fails("on_step_end", 4)])
    train(described((5, 3, 4, 4), goal="highest"), out=run, resume=True, allow_changes=["evaluate.best"])
    assert (best_of(run).value, best_of(run).step, best_of(run).measurements_since) == (4, 3, 1)


def test_a_best_checkpoint_that_is_gone_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest checkpoint is damaged, and the one before it names a best one that a better one replaced."""
    run = tmp_path / "run"
    experiment = described((2, 3, 1, 0.5), keep=2)
    with pytest.raises(RunFailed):
        train(experiment, out=run, hooks=[Fails("on_step_end", 4)])
    step, sections = latest_state(run)
    assert (step, sections["best"]["step"]) == (3, 3)
    assert kept(run) == [3, 2]
    weights = run / "checkpoints" / "000000003" / "player.generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    train(experiment, out=run, resume=True)
    assert "the best checkpoint is gone, and the search begins anew" in capsys.readouterr().err
    assert best_of(run).step == 4
    assert load(run, checkpoint="best").step == 4


def test_values_of_a_metric_under_other_settings_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunFailed):
        train(described((1, 3, 4, 4)), out=run, hooks=[Fails("on_step_end", 4)])
    train(described((1, 3, 40, 20)), out=run, resume=True, allow_changes=["evaluate"])
    assert "the search for the best checkpoint begins anew: written/value 1 was measured" in capsys.readouterr().err
    assert best_of(run).value in {20, 40}


class Fails:
    """Pulls the plug in a hook of a step."""

    def __init__(self, hook: str, step: int) -> None:
        self.hook, self.step = hook, step

    def _at(self, hook: str, run: Run) -> None:
        if (hook, run.step) == (self.hook, self.step):
            raise RunFailed("pulled the plug")

    @hookimpl(trylast=True)
    def on_step_end(self, run: Run) -> None:
        self._at("on_step_end", run)

    @hookimpl(trylast=True)
    def on_evaluation_start(self, run: Run) -> None:
        self._at("on_evaluation_start", run)

    @hookimpl(trylast=True)
    def on_evaluation(self, run: Run) -> None:
        self._at("on_evaluation", run)


VALUES = (5, 3, 4, 2, 6, 4, 4, 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    registry = installed().registry
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "registry", registry.copy())
        if Written.type_name() not in registry.types("metric"):
            installed().registry.add(Written, "ganframe")
        train(described(VALUES, keep=2, patience=3), out=out)
    assert latest_state(out)[0] == 7
    return out


@pytest.mark.parametrize("hook", ["on_step_end", "on_evaluation_start", "on_evaluation"])
@pytest.mark.parametrize("step", [2, 4, 7])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path, whole: Path, hook: str, step: int) -> None:
    """`on_evaluation` is between the measurement and its checkpoint."""
    run, experiment = tmp_path / "run", described(VALUES, keep=2, patience=3)
    with pytest.raises(RunFailed, match="pulled the plug"):
        train(experiment, out=run, hooks=[Fails(hook, step)])
    train(experiment, out=run, resume=True)
    assert_same(run, whole)
    assert kept(run) == kept(whole)


def test_a_run_that_was_interrupted_while_it_measured_ends_as_one_that_was_not(tmp_path: Path, whole: Path) -> None:
    class Asks:
        @hookimpl
        def on_evaluation_start(self, run: Run) -> None:
            if run.step == 4:
                signal.raise_signal(signal.SIGINT)

    run, experiment = tmp_path / "run", described(VALUES, keep=2, patience=3)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, out=run, hooks=[Asks()])
    assert latest_state(run)[0] == 4
    assert best_of(run).step == 2
    train(experiment, out=run, resume=True)
    assert_same(run, whole)


def test_the_best_checkpoint_changes_no_weight(tmp_path: Path) -> None:
    experiment = described((1, 2, 3, 4))
    train(experiment, out=tmp_path / "best")
    assert experiment.evaluate is not None
    without = experiment.model_copy(update={"evaluate": experiment.evaluate.model_copy(update={"best": None})})
    train(without, out=tmp_path / "without")
    (_, mine), (_, theirs) = latest_state(tmp_path / "best"), latest_state(tmp_path / "without")
    assert mine.keys() - theirs.keys() == {"best"}
    for name in ("player.generator", "player.discriminator"):
        assert all(torch.equal(mine[name][key], theirs[name][key]) for key in theirs[name])


def test_a_metric_that_is_not_there_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(ValidationError, match=r"no metric gives 'frechet/x'; the results are: written/RESULT"):
        described((1,), result="frechet/x")


@pytest.mark.parametrize("result", ["written", "written/"])
def test_a_metric_without_the_name_of_a_result_is_refused_when_the_config_is_read(result: str) -> None:
    with pytest.raises(ValidationError, match=rf"no metric gives '{result}'; the results are: written/RESULT"):
        described((1,), result=result)


def test_a_result_that_is_not_there_is_refused_at_the_first_measurement(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"evaluate\.best\.result: the metrics do not give 'written/valeu'") as problem:
        train(described((1, 2), result="written/valeu"), out=tmp_path / "run")
    assert problem.value.remedy.startswith("They give: written/value, written/other. ")


def test_nothing_is_lost_when_a_result_is_not_there(tmp_path: Path) -> None:
    """The step is kept, and its measurement counts once the name is right."""
    run, ends = tmp_path / "run", Ends()
    with pytest.raises(BadInput, match="the metrics do not give"):
        train(described((1, 2), result="written/valeu"), out=run)
    assert kept(run) == [1]
    assert '"written/value"' in (run / "metrics.jsonl").read_text()
    train(described((1, 2)), out=run, resume=True, allow_changes=["evaluate.best"], hooks=[ends])
    assert ends.steps == [2]
    assert (best_of(run).value, best_of(run).step) == (1, 1)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_all_ranks_take_the_value_of_the_main_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = b"0.25"
    pretend_ranks(monkeypatch, 1, 2, lambda values: torch.tensor([*sent]) if values.ndim else torch.tensor(len(sent)))
    assert _agreed_result({"a/b": 0.75}, "a/b") == 0.25


def test_the_best_checkpoint_is_loaded_by_name(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(described((5, 1, 3, 4)), out=run)
    assert (load(run).step, load(run, checkpoint="best").step) == (4, 2)
    weights = load_checkpoint(run / "checkpoints" / "000000002")[1]["player.generator"]
    loaded = load(run, checkpoint="best").players["generator"].state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    assert measure_run(run, [], 0, "cpu", "best").results["written/value"] == 1
    assert measure_run(run, [], 0, "cpu").results["written/value"] == 4
    with pytest.raises(BadInput, match=r"there is no checkpoint 'worst' to load\n  Say 'latest' or 'best'"):
        load(run, checkpoint="worst")


def test_a_run_that_looks_for_no_best_has_none(tmp_path: Path) -> None:
    save(tmp_path, 3, {"progress": {"images": 3}}, keep=1)
    assert read_best(tmp_path) is None
    with pytest.raises(BadInput, match=r"no best checkpoint\n  A run has one .* `evaluate\.best`"):
        load_best(tmp_path)


def test_a_best_checkpoint_that_is_damaged_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(described((5, 1, 3, 4)), out=run)
    weights = run / "checkpoints" / "000000002" / "player.generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInput, match="has changed since it was written"):
        load(run, checkpoint="best")


def test_a_best_checkpoint_that_is_replaced_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [BestMeasurement("a/b", "lowest", value=1.0, step=step) for step in (1, 2)]
    save(tmp_path, 2, {"progress": {"images": 3}}, keep=1)
    monkeypatch.setattr("ganframe.runs.best_measurement.read_best", lambda _folder: states.pop(0))
    assert load_best(tmp_path)[0] == 2


@pytest.mark.parametrize(
    "change", [{"value": NAN}, {"value": "x"}, {"step": -1}, {"step": 10**30}, {"goal": "any"}, {"result": "x" * 2000}]
)
def test_a_state_that_no_run_saves_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    run = tmp_path / "run"
    experiment = described((5, 1, 3, 4), patience=3)
    train(experiment, out=run)
    step, sections = latest_state(run)
    sections["best"] |= change
    save(run / "checkpoints", step, sections, keep=2)
    with pytest.raises(BadInput, match="does not fit the run's config"):
        train(experiment, out=run, resume=True)
    with pytest.raises(BadInput, match="not a best measurement that a run saved"):
        write_report(RunFolder(run))


def test_the_report_says_where_the_best_checkpoint_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(described((5, 1.25, 3, 4, 1), patience=2), out=run)
    page = (run / "report.html").read_text()
    assert "Best checkpoint: written/value 1.25, measured after step 2 (checkpoints/000000002)." in page
    assert "The run ended: 2 measurements had no better value; the best: written/value 1.25" in page


def test_explain_says_what_is_measured_kept_and_when_it_ends() -> None:
    header, row = explain(described((1, 2, 3), patience=1)).tables["evaluation"]
    assert dict(zip(header, row, strict=True)) == {
        "metrics": "written (1 samples)",
        "measured": "every 8 images",
        "best checkpoint": "the lowest written/value",
        "the run ends": "after 24 images, or after 1 measurements without a better one",
    }


def test_settings_without_effect_are_named() -> None:
    assert not warnings_of(described((1, 2, 3), patience=1))
    assert "evaluate.best.patience cannot end the run before its last measurement, which is number 3" in warnings_of(
        described((1, 2, 3), patience=2)
    )
    assert "evaluate.best has one measurement" in warnings_of(described((1, 2, 3), every=3))


def warnings_of(experiment: Experiment) -> str:
    from ganframe.config.settings import RunLength

    length = RunLength(experiment.train.total_images, experiment.train.total_images)
    return "; ".join(each for each in describe_without_effect(experiment, length) if "evaluate" in each)


def test_after_a_better_value_the_count_starts_anew() -> None:
    state = BestMeasurement("a/b", "highest", 2)
    for step, value in enumerate((1.0, 0.5, 2.0, 1.0), start=1):
        state = state.after(value, step)
        assert not state.stops_run
    assert state == BestMeasurement("a/b", "highest", 2, value=2.0, step=3, measurements_since=1)
    assert state.after(NAN, 5).stops_run
