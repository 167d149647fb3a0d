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
from ganframe.errors import BadInput, within
from ganframe.evaluation.sampling import sampling_mode, sampling_round
from ganframe.game.game import Game
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import checkpoint_errors, load_latest
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import Assembly, assemble, choose_device, generator_players
from ganframe.training.ema import AveragedPlayers


class LoadedRun:
    """The config of a run and its trained players.

    Attributes:
        folder: The run folder.
        experiment: The config of the run.
        game: The game with averaged players, in eval mode.
        device: Where the players are.
        step: The step of the checkpoint.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment, game: Game, device: torch.device, step: int) -> None:
        self.folder, self.experiment, self.game, self.device, self.step = folder, experiment, game, device, step

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data that inputs come from: held-out data where there is some. Opened on first use.

        Raises:
            BadInput: When the data is missing or cannot be read.
        """
        with within("data"):
            return (self.experiment.data.held_out() or self.experiment.data).build()

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks by name; generators are averaged where the run averaged them."""
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
            seed: The same seed and batch size give the same samples.
            labels: A class for each sample of a conditional game; cycles through the classes when None.
            inputs: Named tensors to use instead of random ones: `{"source": images}`, `{"latent": z}`.
            batch_size: Samples per forward pass.

        Returns:
            A float tensor `(count, ...)` on the CPU; images are `(count, C, H, W)` in [-1, 1].

        Raises:
            BadInput: When labels or inputs do not fit the game, or are not `count` many.
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
        """Return named tensors of sampling rounds, such as `source` and `fake`; see `sample` for the arguments.

        Raises:
            BadInput: When labels, inputs or names do not fit the game, or are not `count` many.
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
        """Return the inputs with the labels among them, once they and the names fit the game."""
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
        """Return the name of the labels that samples are conditioned on and their classes; None without labels."""
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
        device: A torch device, or `auto`.

    Raises:
        BadInput: When the folder holds no run, or no checkpoint that can be read.
    """
    folder = RunFolder.open(Path(run))
    experiment = folder.experiment()
    try:
        torch_device = choose_device(device)
    except BadInput as problem:  # the device is this function's argument, not a setting of the config
        raise BadInput(problem.message, remedy=problem.remedy) from None
    assembly = assemble(experiment, torch_device, folder.data())
    checkpoint = load_latest(folder.checkpoints)
    if checkpoint is None:
        raise BadInput("this run has no checkpoint yet", place=str(folder.path))
    step, sections = checkpoint
    with checkpoint_errors(folder.checkpoints):
        _restore_players(experiment, assembly, sections)
    for player in assembly.game.players.values():
        player.eval().requires_grad_(False)
    return LoadedRun(folder, experiment, assembly.game, assembly.device, step)


def _restore_players(experiment: Experiment, assembly: Assembly, sections: Mapping[str, Any]) -> None:
    for name, player in assembly.game.players.items():
        player.load_state_dict(sections[f"player.{name}"])
    if experiment.train.ema is not None:
        averages = AveragedPlayers(generator_players(assembly.game), 0.0)
        averages.load_state_dict(sections["averages"])
        assembly.game.set_players(assembly.game.players | averages.players)
