"""A trained run: its averaged players, and samples from them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.arguments import as_path, check_names, check_type, check_whole_number, shown
from ganframe.config.experiment import Experiment
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.data.open_data import open_dataset
from ganframe.errors import BadInput, within
from ganframe.evaluation.labels import Labels, class_numbers, free_label
from ganframe.evaluation.sampling import sampling_mode, sampling_round, sampling_rounds
from ganframe.game.game import Game
from ganframe.game.samples import joined, map_parts
from ganframe.game.training_progress import TrainingProgress
from ganframe.randomness import Randomness
from ganframe.runs.best_measurement import load_best
from ganframe.runs.checkpoint_files import checkpoint_errors, load_latest
from ganframe.runs.folder import RunFolder
from ganframe.runs.weight_files import check_types, listed, not_finite
from ganframe.training.assembly import Assembly, assemble, choose_device, generator_players
from ganframe.training.components import nested_components
from ganframe.training.ema import AveragedPlayers
from ganframe.training.frozen_players import check_digests
from ganframe.training.scheduled_settings import ScheduledSettings

MAX_BATCH = 64
"""The largest number of samples in one forward pass, unless the caller asks for more."""


class LoadedRun:
    """The config of a run and its trained players.

    Attributes:
        folder: The run folder.
        experiment: The config of the run.
        game: The game with its trained players, in eval mode. They have their averaged weights (EMA) if the run kept
            averages. The game's `progress`, and settings that follow a schedule, are those of the checkpoint.
        device: The device that the players are on.
        step: The number of steps done when the loaded checkpoint was saved.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment, game: Game, device: torch.device, step: int) -> None:
        self.folder, self.experiment, self.game, self.device, self.step = folder, experiment, game, device, step

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data set that gives the inputs of the game: held-out data, or else the training data.

        It is opened on first use.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        with within("data"):
            return open_dataset(self.experiment.data.held_out() or self.experiment.data)

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks by player; all but the discriminators have averaged weights (EMA) if the run kept averages."""
        return self.game.players

    def check_finite(self) -> None:
        """Refuse weights with a number that is infinite or NaN, which no run saves; they are looked at once.

        Whatever uses the players calls this first. `load` does not, so that such weights can be examined.

        Raises:
            BadInput: When there is one; the message names the players and the tensors.
        """
        if self._not_finite:
            message = f"weights of this run are not finite: {self._not_finite}"
            remedy = "Remove this checkpoint, and the one before it is used."
            raise BadInput(message, place=str(self.folder.checkpoints / f"{self.step:09d}"), remedy=remedy)

    @functools.cached_property
    def _not_finite(self) -> str:
        """The players and tensors that are not finite, as text; empty when all are."""
        found = {name: not_finite(player.state_dict()) for name, player in self.players.items()}
        return "; ".join(f"the player {name!r} ({listed(tensors)})" for name, tensors in found.items() if tensors)

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        labels: Labels | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Draw samples.

        Args:
            count: The number of samples.
            seed: The seed of all random draws; the same seed and batch size give the same samples.
            labels: The number or the name of one class for each sample, if the game is conditional. When None, the
                samples cycle through the classes, or take the labels of the data that the generator starts from.
            inputs: Named tensors `(count, ...)` to use instead of random ones: `{"source": images}`, `{"latent": z}`. A
                game may limit which tensors can be given.
            batch_size: Number of samples in one forward pass; that of training, but at most 64, when None.

        Returns:
            A float tensor `(count, ...)` on the CPU; images are `(count, C, H, W)` in [-1, 1].

        Raises:
            BadInput: When labels or inputs do not fit the game or are not one for each sample, `count` is less than 1,
                the data cannot be read, or a weight is not finite.
        """
        _check_count(count)
        check_type("inputs", inputs, (Mapping, NoneType), "a mapping of tensors by name")
        label, allowed = self.label_spec(), self.game.sampling_inputs
        for name in inputs or {}:
            if allowed is not None and name in self.game.names and name not in (*allowed, *(label or ())[:1]):
                remedy = f"These do: {', '.join(allowed)}." if allowed else ""
                raise BadInput(f"samples of this game do not start from {name!r}", remedy=remedy)
        if labels is None and (label is None or label[0] not in (inputs or {})):
            labels = self.balanced_labels(count)
        output = self.game.output
        return self.tensors(count, (output,), seed=seed, labels=labels, inputs=inputs, batch_size=batch_size)[output]

    def balanced_labels(self, count: int) -> list[int] | None:
        """Return the labels that samples get when none are given; None if labels cannot be chosen freely."""
        _check_count(count)
        label = free_label(self.game)
        if label is None:
            return None
        return [index % (label[1].classes or 1) for index in range(count)]

    def tensors(
        self,
        count: int,
        names: Sequence[str],
        *,
        seed: int = 0,
        labels: Labels | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        batch_size: int | None = None,
    ) -> dict[str, Any]:
        """Return named tensors of the game for a number of examples, such as `source` and `fake`.

        Args:
            count: The number of examples.
            names: The names of the tensors.
            seed: The seed of all random draws; the same seed and batch size give the same tensors.
            labels: The number or the name of one class for each example, if the game is conditional.
            inputs: Named tensors `(count, ...)` to use instead of random ones.
            batch_size: Number of examples in one forward pass; that of training, but at most 64, when None.

        Returns:
            For each name a float tensor `(count, ...)` on the CPU, or a tuple of them if the game makes a tuple.

        Raises:
            BadInput: When labels, inputs or names do not fit the game, labels or inputs are not one for each example,
                `count` is less than 1, the data cannot be read, or a weight is not finite.
        """
        batches = list(self.batches(count, names, seed=seed, labels=labels, inputs=inputs, batch_size=batch_size))
        return {name: joined([batch[name] for batch in batches]) for name in names}

    def batches(
        self,
        count: int,
        names: Sequence[str],
        *,
        seed: int = 0,
        labels: Labels | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Return the tensors of `tensors` batch by batch, each drawn when it is asked for: any number fits in memory.

        Arguments and errors are those of `tensors`; what does not fit is refused at once.
        """
        check_whole_number("seed", seed)
        if batch_size is not None:
            check_whole_number("batch_size", batch_size)
        check_names("names", names)
        check_type("inputs", inputs, (Mapping, NoneType), "a mapping of tensors by name")
        self.check_finite()
        inputs = self._check_inputs(count, names, labels, inputs or {})
        size = min(MAX_BATCH, self.experiment.train.batch_size) if batch_size is None else batch_size
        if size < 1:
            raise BadInput(f"a batch of {size} samples cannot be drawn")
        return self._draw(count, names, Randomness(seed).at("sample"), inputs, size)

    def _draw(
        self, count: int, names: Sequence[str], randomness: Randomness, inputs: Mapping[str, Tensor], batch_size: int
    ) -> Iterator[dict[str, Any]]:
        with sampling_mode(self.game, randomness, self.device):
            for game_round in sampling_rounds(
                self.game, lambda: self.dataset, count, batch_size, randomness, self.device, inputs
            ):
                yield {name: map_parts(game_round[name], _on_cpu) for name in names}

    def _check_inputs(
        self, count: int, names: Sequence[str], labels: Labels | None, inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Refuse names, labels or inputs that do not fit the game, and return the inputs with the labels added."""
        _check_count(count)
        for name in (*names, *inputs):
            if name not in self.game.names:
                raise BadInput(f"the game has no tensor {shown(name)}", remedy=f"It has: {', '.join(self.game.names)}.")
        given: dict[str, Any] = dict(inputs)
        label = self.label_spec()
        if labels is not None:
            if label is None:
                raise BadInput("this run was not conditioned on labels")
            given[label[0]] = labels
        specs = dict(self.game.data) | (dict([label]) if label is not None else {})
        checked = {name: self._check_input(name, value, specs.get(name)) for name, value in given.items()}
        for name, tensor in checked.items():
            if len(tensor) != count:
                raise BadInput(f"{count} samples were asked for, but {name!r} has {len(tensor)} examples")
        return checked

    def _check_input(self, name: str, value: Any, spec: TensorSpec | None) -> Tensor:
        """Return an input as a tensor; refuse one that is not of the shape that the game takes."""
        if spec is not None and spec.kind == "label":
            return class_numbers(value, spec)
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            raise BadInput(f"{name!r} is no tensor, but {type(value).__name__}") from None
        if tensor.is_complex() or tensor.layout != torch.strided:
            raise BadInput(f"{name!r} is no dense tensor of real numbers")
        shape = self._shape_of(name) if spec is None else spec.shape
        if tensor.ndim == 0 or tensor.shape[1:] != shape:
            found = "a single number" if tensor.ndim == 0 else f"the shape {tuple(tensor.shape[1:])}"
            raise BadInput(f"{name!r} has {found} and not {shape} for each example")
        return tensor if spec is not None and spec.classes is not None else tensor.float()

    def _shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor that the game makes, without the batch axis."""
        randomness = Randomness(0)
        with sampling_mode(self.game, randomness, self.device):
            tensor = sampling_round(self.game, lambda: self.dataset, 1, randomness, self.device)[name]
        if isinstance(tensor, tuple):
            raise BadInput(f"{name!r} is a tuple of tensors, which cannot be given")
        return tuple(tensor.shape[1:])

    def label_spec(self) -> tuple[str, TensorSpec] | None:
        """Return the name and the spec of the labels that samples are made for; None without such labels."""
        return self.game.label_spec()


def _check_count(count: int) -> None:
    check_whole_number("count", count)
    if count < 1:
        raise BadInput(f"{count} samples cannot be drawn")


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.float().cpu()


def load(run: Path | str, *, device: str = "auto", checkpoint: str = "latest") -> LoadedRun:
    """Load a run from its latest valid checkpoint, or from its best one.

    Args:
        run: The run folder.
        device: A torch device, or `auto` for a GPU if there is one.
        checkpoint: `latest`, or `best` for the one that `evaluate.best` keeps.

    Raises:
        BadInput: When the folder holds no run, no checkpoint of it can be read, the run has no best one, or this
            machine has no such device.
    """
    folder = RunFolder.open(as_path("run", run))
    check_type("device", device, str, "the name of a device, such as 'cpu'")
    if checkpoint not in ("latest", "best"):
        raise BadInput(f"there is no checkpoint {shown(checkpoint)} to load", remedy="Say 'latest' or 'best'.")
    experiment = folder.experiment()
    try:
        torch_device = choose_device(device)
    except BadInput as problem:  # drop the config path: here the device is an argument, not a setting
        raise BadInput(problem.message, remedy=problem.remedy) from None
    assembly = assemble(experiment, torch_device, folder.data())
    loaded = load_best(folder.checkpoints) if checkpoint == "best" else load_latest(folder.checkpoints)
    if loaded is None:
        raise BadInput("this run has no checkpoint yet", place=str(folder.path))
    step, sections = loaded
    with checkpoint_errors(folder.checkpoints):
        images = int(sections["progress"]["images"])
        assembly.growing.apply(images)
        _restore_players(experiment, assembly, sections, place=str(folder.checkpoints))
        _apply_progress(assembly, images)
    for player in assembly.game.players.values():
        player.eval().requires_grad_(False)
    return LoadedRun(folder, experiment, assembly.game, assembly.device, step)


def _restore_players(experiment: Experiment, assembly: Assembly, sections: Mapping[str, Any], *, place: str) -> None:
    check_digests(sections.get("frozen_players", {}), assembly.frozen_digests)
    for name, player in assembly.game.trained_players.items():
        _load_weights(player, sections[f"player.{name}"], f"{place}: the player {name!r}")
    if experiment.train.ema is not None:
        averages = AveragedPlayers(generator_players(assembly.game), 0.0)
        _load_weights(averages, sections["averages"], f"{place}: averages")
        assembly.game.set_players(assembly.game.players | averages.players)


def _load_weights(live: nn.Module | AveragedPlayers, state: Mapping[str, Any], place: str) -> None:
    """Load weights; refuse those of another type, which loading would convert."""
    saved = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    common = {name: value for name, value in live.state_dict().items() if name in saved and isinstance(value, Tensor)}
    check_types(saved, common, place=place)
    live.load_state_dict(state)


def _apply_progress(assembly: Assembly, images: int) -> None:
    """Set the progress of the game and all scheduled settings to those after this number of images."""
    own, total = list(assembly.own_components()), assembly.experiment.train.total_images
    schedules = ScheduledSettings(own, nested_components(own))
    assembly.growing.schedule_fade(schedules, assembly.game.players)
    schedules.apply(images, total)
    assembly.game.progress = TrainingProgress(turn_count=0, images=images, total=total)
