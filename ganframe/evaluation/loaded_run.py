"""A trained run: its averaged players, and samples from them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.data.open_data import open_dataset
from ganframe.errors import BadInput, within
from ganframe.evaluation.sampling import sampling_mode, sampling_round
from ganframe.game.game import Game
from ganframe.game.training_progress import TrainingProgress
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import checkpoint_errors, load_latest
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import Assembly, assemble, choose_device, generator_players
from ganframe.training.components import nested_components
from ganframe.training.ema import AveragedPlayers
from ganframe.training.frozen_players import check_digests
from ganframe.training.scheduled_settings import ScheduledSettings


class LoadedRun:
    """The config of a run and its trained players.

    Attributes:
        folder: The run folder.
        experiment: The config of the run.
        game: The game with its trained players, in eval mode; averaged ones (EMA) where the run averaged them. Its
            `progress`, and settings that follow a schedule, are those of the checkpoint.
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
        """The networks by player; all but the discriminators are averaged ones (EMA) where the run averaged them."""
        return self.game.players

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        labels: Tensor | Sequence[int] | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        batch_size: int = 64,
    ) -> Tensor:
        """Draw samples.

        Args:
            count: The number of samples.
            seed: The seed of all random draws; the same seed and batch size give the same samples.
            labels: One class for each sample, if the game is conditional. When None, the samples cycle through the
                classes, or take the labels of the data that the generator starts from.
            inputs: Named tensors `(count, ...)` to use instead of random ones: `{"source": images}`, `{"latent": z}`.
            batch_size: Number of samples in one forward pass.

        Returns:
            A float tensor `(count, ...)` on the CPU; images are `(count, C, H, W)` in [-1, 1].

        Raises:
            BadInput: When labels or inputs do not fit the game or are not one for each sample, `count` is less than 1,
                or the data cannot be read.
        """
        spec = self.label_spec()
        if labels is None and spec is not None and "latent" in self.game.makers and spec[0] not in (inputs or {}):
            labels = torch.arange(count) % spec[1]
        output = self.game.output
        return self.tensors(count, (output,), seed=seed, labels=labels, inputs=inputs, batch_size=batch_size)[output]

    def tensors(
        self,
        count: int,
        names: Sequence[str],
        *,
        seed: int = 0,
        labels: Tensor | Sequence[int] | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        batch_size: int = 64,
    ) -> dict[str, Tensor]:
        """Return named tensors of the game for a number of examples, such as `source` and `fake`.

        Args:
            count: The number of examples.
            names: The names of the tensors.
            seed: The seed of all random draws; the same seed and batch size give the same tensors.
            labels: One class for each example, if the game is conditional.
            inputs: Named tensors `(count, ...)` to use instead of random ones.
            batch_size: Number of examples in one forward pass.

        Returns:
            For each name a float tensor `(count, ...)` on the CPU.

        Raises:
            BadInput: When labels, inputs or names do not fit the game, labels or inputs are not one for each example,
                `count` is less than 1, or the data cannot be read.
        """
        inputs = self._check_inputs(count, names, labels, inputs or {})
        batches: list[dict[str, Tensor]] = []
        randomness = Randomness(seed).at("sample")
        with sampling_mode(self.game, randomness, self.device):
            for start in range(0, count, batch_size):
                given = {name: tensor[start : start + batch_size] for name, tensor in inputs.items()}
                size = min(batch_size, count - start)
                game_round = sampling_round(
                    self.game, lambda: self.dataset, size, randomness.at(start), self.device, given
                )
                batches.append({name: game_round[name].float().cpu() for name in names})
        return {name: torch.cat([batch[name] for batch in batches]) for name in names}

    def _check_inputs(
        self, count: int, names: Sequence[str], labels: Tensor | Sequence[int] | None, inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Refuse names, labels or inputs that do not fit the game, and return the inputs with the labels added."""
        for name in (*names, *inputs):
            if name not in self.game.names:
                raise BadInput(f"the game has no tensor {name!r}", remedy=f"It has: {', '.join(self.game.names)}.")
        given = dict(inputs)
        if labels is not None:
            spec = self.label_spec()
            if spec is None:
                raise BadInput("this run was not conditioned on labels")
            name, classes = spec
            given[name] = torch.as_tensor(labels)
            if not bool(((given[name] >= 0) & (given[name] < classes)).all()):
                raise BadInput(f"labels run from 0 to {classes - 1}")
        if count < 1:
            raise BadInput(f"{count} samples cannot be drawn")
        for name, tensor in given.items():
            if len(tensor) != count:
                raise BadInput(f"{count} samples were asked for, but {name!r} has {len(tensor)} examples")
            if name in self.game.makers and tensor.shape[1:] != (shape := self._shape_of(name)):
                raise BadInput(f"{name!r} has the shape {tuple(tensor.shape[1:])} and not {shape} for each example")
        return given

    def _shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor that the game makes, without the batch axis."""
        randomness = Randomness(0)
        with sampling_mode(self.game, randomness, self.device):
            tensor = sampling_round(self.game, lambda: self.dataset, 1, randomness, self.device)[name]
        return tuple(tensor.shape[1:])

    def label_spec(self) -> tuple[str, int] | None:
        """Return the name of the labels that condition samples and the number of classes; None without such labels."""
        for name in (contest.fake_condition for contest in self.game.contests):
            if name is None or name not in self.game.data:
                continue  # a condition that the game makes itself cannot be chosen
            classes = self.game.data[name].classes
            if classes is not None:
                return name, classes
        return None


def load(run: Path | str, *, device: str = "auto") -> LoadedRun:
    """Load a run from its latest valid checkpoint.

    Args:
        run: The run folder.
        device: A torch device, or `auto` for a GPU if there is one.

    Raises:
        BadInput: When the folder holds no run, no checkpoint of it can be read, or this machine has no such device.
    """
    folder = RunFolder.open(Path(run))
    experiment = folder.experiment()
    try:
        torch_device = choose_device(device)
    except BadInput as problem:  # drop the config path: here the device is an argument, not a setting
        raise BadInput(problem.message, remedy=problem.remedy) from None
    assembly = assemble(experiment, torch_device, folder.data())
    checkpoint = load_latest(folder.checkpoints)
    if checkpoint is None:
        raise BadInput("this run has no checkpoint yet", place=str(folder.path))
    step, sections = checkpoint
    with checkpoint_errors(folder.checkpoints):
        images = int(sections["progress"]["images"])
        assembly.growing.apply(images)
        _restore_players(experiment, assembly, sections)
        _apply_progress(assembly, images)
    for player in assembly.game.players.values():
        player.eval().requires_grad_(False)
    return LoadedRun(folder, experiment, assembly.game, assembly.device, step)


def _restore_players(experiment: Experiment, assembly: Assembly, sections: Mapping[str, Any]) -> None:
    check_digests(sections.get("frozen_players", {}), assembly.frozen_digests)
    for name, player in assembly.game.trained_players.items():
        player.load_state_dict(sections[f"player.{name}"])
    if experiment.train.ema is not None:
        averages = AveragedPlayers(generator_players(assembly.game), 0.0)
        averages.load_state_dict(sections["averages"])
        assembly.game.set_players(assembly.game.players | averages.players)


def _apply_progress(assembly: Assembly, images: int) -> None:
    """Set the progress of the game and all scheduled settings to those after this number of images."""
    own, total = list(assembly.own_components()), assembly.experiment.train.total_images
    schedules = ScheduledSettings(own, nested_components(own))
    assembly.growing.schedule_fade(schedules, assembly.game.players)
    schedules.apply(images, total)
    assembly.game.progress = TrainingProgress(turn_count=0, images=images, total=total)
