"""The callbacks that evaluate a run. In this order, they draw samples, measure metrics and write the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.data.open_data import open_dataset
from ganframe.distributed.collectives import broadcast_text
from ganframe.distributed.notices import print_notice
from ganframe.distributed.shard import is_main_process
from ganframe.errors import BadInput, within, writing
from ganframe.evaluation.labels import free_label
from ganframe.evaluation.metrics import Evaluation
from ganframe.evaluation.pictures import can_draw, draw, label_columns
from ganframe.evaluation.report import write_report
from ganframe.evaluation.sampling import sampling_mode, sampling_rounds
from ganframe.evaluation.sound import sample_rates, wav_file
from ganframe.files import write_atomically
from ganframe.game.samples import Sample, joined, sample_parts
from ganframe.randomness import Randomness
from ganframe.training.loop_callbacks import Callback, is_due
from ganframe.training.run_state import Run
from ganframe.training.save_and_restore import save_checkpoint
from ganframe.training.stop_request import StopRequest

HEARD = 4
"""Number of sounds in the file of a snapshot."""


def make_evaluation_callbacks(experiment: Experiment, dataset: Dataset) -> list[Callback]:
    """Make the callbacks that evaluate a run, in the order in which the loop calls them.

    Args:
        experiment: The config.
        dataset: The data set that the run trains on.

    Raises:
        BadInput: When a metric cannot be built for the data, or held-out data cannot be opened.
    """
    callbacks: list[Callback] = [DrawSamples(dataset)]
    if experiment.evaluate is not None:
        with within("data"):
            held_out = experiment.data.held_out()
            evaluation_data = dataset if held_out is None else open_dataset(held_out)
        evaluation = Evaluation(
            experiment.evaluate.metrics,
            experiment.data,
            experiment.seed,
            evaluation_data,
            experiment.train.batch_size,
        )
        callbacks.append(Measure(evaluation, experiment.evaluate.every_images or experiment.train.total_images))
    return [*callbacks, WriteReport()]


class DrawSamples(Callback):
    """The callback that saves pictures of samples of the averaged players, for the same inputs each time.

    For sounds it also saves a file to listen to. If the samples cannot be drawn, it prints a notice once.

    Args:
        dataset: The data set that gives the inputs.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._told = False

    def is_due(self, run: Run, previous_images: int) -> bool:
        """Return whether a picture is due: after each tenth of the run, unless the config sets another interval."""
        every = run.experiment.snapshot.every_images or max(run.experiment.train.total_images // 10, 1)
        return is_due(every, previous_images, run.images)

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        """Save a picture of samples in the run folder and call the hook `on_snapshot`."""
        game = run.sampling_game()
        randomness = Randomness(run.experiment.seed).at("snapshot")
        with sampling_mode(game, randomness, run.device):
            count = run.experiment.snapshot.count
            size = run.assembly.batch_size
            rounds = sampling_rounds(game, lambda: self._dataset, count, size, randomness, run.device)
            batches = [{name: game_round[name] for name in game.pictures} for game_round in rounds]
        tensors = _by_part({name: joined([batch[name] for batch in batches]) for name in game.pictures})
        if not is_main_process() or not tensors:
            return
        if not can_draw(tensors):
            if not self._told:
                shapes = ", ".join(f"{name} {tuple(tensor.shape[1:])}" for name, tensor in tensors.items())
                print_notice("no pictures are drawn", f"there are none of these tensors together: {shapes}")
            self._told = True
            return
        picture = _picture(run)
        label, rates = free_label(game), sample_rates(game.data, tensors)
        columns = label_columns(label[1].classes or 1, count) if label and len(tensors) == 1 else None
        for path in (picture, run.folder.samples):
            draw(tensors, path, columns, rates)
        for name in list(rates)[-1:]:
            write_atomically(picture.with_suffix(".wav"), wav_file(tensors[name][:HEARD].cpu(), rates[name]))
        run.hooks.call("on_snapshot", run=run, step=run.step, tensors=tensors, picture=picture)


def _picture(run: Run, suffix: str = "") -> Path:
    """Return the path of a picture of this step, in the folder of pictures."""
    folder = run.folder.pictures
    with writing(folder):
        folder.mkdir(exist_ok=True)  # not its parents too: a run whose folder was deleted must fail
    return folder / f"{run.step:09d}{suffix}.png"


def _by_part(tensors: Mapping[str, Sample]) -> dict[str, Tensor]:
    """Return named tensors, with each tuple split into numbered tensors: `pair 1`, `pair 2`."""
    named: dict[str, Tensor] = {}
    for name, value in tensors.items():
        for number, part in enumerate(sample_parts(value), start=1):
            named[f"{name} {number}" if isinstance(value, tuple) else name] = part
    return named


class Measure(Callback):
    """The callback that measures the metrics of the config.

    Args:
        evaluation: The metrics, with the data for them.
        every_images: Number of images seen between measurements.
    """

    def __init__(self, evaluation: Evaluation, every_images: int) -> None:
        self._evaluation = evaluation
        self._every_images = every_images

    def is_due(self, run: Run, previous_images: int) -> bool:
        """Return whether a measurement is due; none is due before growing players reach the size of the data."""
        return run.assembly.growing.is_full_size and is_due(self._every_images, previous_images, run.images)

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        """Measure the metrics and draw their pictures, between the hooks `on_evaluation_start` and `on_evaluation`.

        The state of the best measurement of the run is updated.

        Raises:
            EvaluationAborted: When the run was asked to stop.
            BadInput: When the metrics do not give the result by which the best checkpoint is kept. A checkpoint is
                saved before, and a run that is resumed from it measures again.
        """
        run.hooks.call("on_evaluation_start", run=run, step=run.step)
        measured = self._evaluation.measure(run.sampling_game(), run.device, stop_request.abort_evaluation)
        if is_main_process():
            run.folder.save_protocols(measured.protocols)
            for name, tensors in measured.pictures.items():
                draw(tensors, _picture(run, f"-{name}"))
        unknown = run.best is not None and run.best.result not in measured.results
        if run.best is not None and not unknown:
            run.best = run.best.after(_agreed_result(measured.results, run.best.result), run.step)
        run.hooks.call("on_evaluation", run=run, step=run.step, results=measured.results)
        if run.best is not None and unknown:
            run.evaluation_done = False
            save_checkpoint(run)
            message = f"the metrics do not give {run.best.result!r}"
            remedy = f"They give: {', '.join(measured.results)}. Correct the name and resume the run with "
            remedy += "--allow-changes evaluate.best."
            raise BadInput(message, path=("evaluate", "best", "result"), remedy=remedy)


def _agreed_result(results: Mapping[str, float], name: str) -> float:
    """Return the result of this name that the main process measured, which decides for all ranks."""
    return float(broadcast_text(repr(float(results[name]))))


class WriteReport(Callback):
    """The callback that writes the report when the run is over."""

    def at_end(self, run: Run) -> None:
        """Write the report into the run folder."""
        if is_main_process():
            write_report(run.folder)
