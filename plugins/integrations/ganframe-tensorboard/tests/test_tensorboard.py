"""Events are read back with TensorBoard's own reader, also after a resume."""

import os

import numpy as np
import pytest
from ganframe_tensorboard import TensorBoard
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganframe import RunFailed
from ganframe.builtin.loggers import Jsonl
from ganframe.config import hookimpl
from ganframe.runs.logs import read_log
from ganframe.testing.runs import STEPS, tiny_run


@pytest.fixture
def events(tmp_path):
    def read():
        found = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
        found.Reload()
        return found

    return read


def steps(events, tag):
    return [event.step for event in events.Scalars(tag)]


def test_events_are_what_the_run_reported(tmp_path, events):
    folder = tiny_run(tmp_path / "run", loggers=[TensorBoard(every=1), Jsonl(every=1)])
    found = events()
    lines = read_log(folder.scalars)
    written = found.Tags()["scalars"]
    reported = [name for name in lines[0] if "/" in name]
    assert len(written) == len(reported) >= 4
    assert steps(found, "generator/stub") == list(range(1, STEPS + 1))
    values = [event.value for event in found.Scalars("generator/stub")]
    assert values == pytest.approx([line["generator/stub"] for line in lines], rel=1e-4)


def test_pictures_are_written(tmp_path, events):
    folder = tiny_run(tmp_path / "run", loggers=[TensorBoard()])
    last = events().Images("samples")[-1]
    assert last.step == STEPS
    file = tmp_path / "picture.png"
    file.write_bytes(last.encoded_image_string)
    assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(folder.samples).convert("RGB")))


def test_scalars_are_written_at_every_kth_step(tmp_path, events):
    tiny_run(tmp_path / "run", loggers=[TensorBoard(every=2)])
    assert steps(events(), "generator/stub") == [2, 4]


def test_metrics_are_written_whatever_the_step(tmp_path, events):
    logger = TensorBoard(every=2).build()

    class Evaluator:
        @hookimpl
        def on_step_end(self, run, step):
            if step == 3:
                run.hooks.call("on_evaluation", run=run, step=step, results={"metric/name": 0.5})

    class LoggerConfig(TensorBoard):
        def build(self):
            return logger

    class EvaluatorConfig(TensorBoard):
        def build(self):
            return Evaluator()

    tiny_run(tmp_path / "run", loggers=[LoggerConfig(), EvaluatorConfig()])
    (event,) = events().Scalars("metric/name")
    assert (event.step, event.value) == (3, 0.5)


def test_a_resumed_run_has_each_step_once(tmp_path, events):
    assert tiny_run(tmp_path / "run", loggers=[TensorBoard(every=1)], stop_after=3) is None
    # The interrupted step was logged, but its checkpoint was not written.
    assert steps(events(), "generator/stub")[-1] in (2, 3)
    tiny_run(tmp_path / "run", loggers=[TensorBoard(every=1)], resume=True)
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 2
    assert steps(events(), "generator/stub") == list(range(1, STEPS + 1))


def test_a_disk_that_is_full_ends_the_run_with_one_error(tmp_path):
    """/dev/full accepts no byte; the event file is redirected there during the run."""
    logger = TensorBoard(every=1).build()

    class FillsDisk:
        @hookimpl(tryfirst=True)
        def on_step_end(self, step):
            if step == 3:
                full = os.open("/dev/full", os.O_WRONLY)
                os.dup2(full, logger._events._file.fileno())
                os.close(full)

    class LoggerConfig(TensorBoard):
        def build(self):
            return logger

    class FillsDiskConfig(TensorBoard):
        def build(self):
            return FillsDisk()

    with pytest.raises(RunFailed, match=r"tensorboard/events.out.tfevents.*: cannot be written: No space left on"):
        tiny_run(tmp_path / "run", loggers=[LoggerConfig(), FillsDiskConfig()])
