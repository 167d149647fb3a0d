"""A look at the data of a config: a batch as networks get it, and as discriminators see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganframe.config.experiment import Experiment
from ganframe.config.tensor_specs import DataSpec
from ganframe.data.loader import BatchLoader
from ganframe.data.open_data import open_dataset
from ganframe.data.summary import DataSummary, summarize
from ganframe.errors import BadInput, within
from ganframe.evaluation.pictures import can_draw, draw, tensor_kind
from ganframe.evaluation.sound import sample_rates
from ganframe.game.eval_mode import eval_mode
from ganframe.game.round import Round
from ganframe.game.samples import sample_parts
from ganframe.randomness import Randomness
from ganframe.training.assembly import Assembly, assemble, augment, augmentations_by_discriminator

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DataLook:
    """The first examples of a run.

    Attributes:
        specs: The specs of the data.
        summary: The number of examples of the data, and what of their source was left out.
        tensors: The examples, as networks get them.
        seen: The samples that a discriminator is given augmented, by the text `NAME, seen by DISCRIMINATOR`.
    """

    specs: DataSpec
    summary: DataSummary
    tensors: dict[str, Tensor]
    seen: dict[str, Tensor]

    def ranges(self) -> list[tuple[str, str, str]]:
        """Return the name of each tensor but labels, what it is, and its range in these examples."""
        rows = list[tuple[str, str, str]]()
        for name, tensor in {**self.tensors, **self.seen}.items():
            if name in self.specs and self.specs[name].kind == "label":
                continue
            what = str(self.specs[name]) if name in self.specs else " x ".join(map(str, tensor.shape[1:]))
            values = tensor.float()
            rows.append((name, what, f"{values.min():.3g} to {values.max():.3g}, mean {values.mean():.3g}"))
        return rows

    def class_counts(self) -> dict[str, str]:
        """Return, for each label, how many of these examples have which class."""
        found = dict[str, str]()
        for name, spec in self.specs.items():
            if spec.kind == "label":
                counts = sorted(Counter(self.tensors[name].tolist()).items())
                found[name] = ", ".join(f"{count} of {spec.class_name(number)}" for number, count in counts)
        return found

    def draw(self, path: Path) -> tuple[list[Path], list[str]]:
        """Save a picture of the tensors; one for each kind, such as `NAME-points.png`, if they are of several kinds.

        Args:
            path: The file.

        Returns:
            The files, and the names of tensors of which there is no picture.

        Raises:
            BadInput: When there is a picture of none of them, or something exists at the path of a picture.
        """
        every = {**self.tensors, **self.seen}
        drawn = {name: tensor for name, tensor in every.items() if can_draw({name: tensor})}
        by_kind = dict[str, dict[str, Tensor]]()
        for name, tensor in drawn.items():
            by_kind.setdefault(tensor_kind(tensor), {})[name] = tensor
        if not by_kind:
            listed = ", ".join(f"{name} ({spec})" for name, spec in self.specs.items())
            raise BadInput(f"there is no picture of {listed}")
        files = {kind: path if len(by_kind) == 1 else path.with_stem(f"{path.stem}-{kind}") for kind in by_kind}
        if taken := next((file for file in files.values() if file.exists()), None):
            raise BadInput("this exists already", place=str(taken), remedy="Choose another --out.")
        for kind, tensors in by_kind.items():
            draw(tensors, files[kind], sample_rates=sample_rates(self.specs, tensors))
        return list(files.values()), [name for name in every if name not in drawn and name not in self.class_counts()]


def look(experiment: Experiment, count: int) -> DataLook:
    """Read the first examples of a run, and augment them as for its discriminators at its start.

    Args:
        experiment: The config.
        count: Number of examples; at most all of the data are taken. Examples are sorted by class if they have a label.

    Raises:
        BadInput: When the parts of the config do not fit together, or the data cannot be read.
    """
    assembly = assemble(experiment, CPU)
    with within("data"):
        dataset = open_dataset(experiment.data)
        summary = summarize(dataset)
    size, randomness = min(count, len(dataset)), Randomness(experiment.seed)
    batch = next(BatchLoader(dataset, size, randomness.at("data"), CPU).starting_at(0))
    batch = _sorted_by_class(assembly.growing.resize(batch, 0), assembly.game.data)
    return DataLook(assembly.game.data, summary, dict(batch), _augmented(assembly, batch, randomness))


def _sorted_by_class(batch: dict[str, Tensor], specs: DataSpec) -> dict[str, Tensor]:
    label = next((name for name, spec in specs.items() if spec.kind == "label"), None)
    if label is None:
        return batch
    order = batch[label].argsort(stable=True)
    return {name: tensor[order] for name, tensor in batch.items()}


def _augmented(assembly: Assembly, batch: dict[str, Tensor], randomness: Randomness) -> dict[str, Tensor]:
    """Return the real samples of each contest after the augmentations of its discriminator, if there are any."""
    game, size = assembly.game, len(next(iter(batch.values())))
    augmentations = augmentations_by_discriminator(assembly.experiment.augmentations, assembly.augmentations, game)
    game_round = Round(game, batch, size=size, device=CPU, randomness=randomness.at("step", 0))
    seen = dict[str, Tensor]()
    with eval_mode(game):
        for contest in game.contests:
            player = contest.discriminator
            if player not in augmentations:
                continue
            sample = augment(augmentations[player], game_round[contest.real], randomness.at("judged", player), CPU)
            parts = sample_parts(sample)
            for number, part in enumerate(parts):
                name = contest.real if len(parts) == 1 else f"{contest.real} {number}"
                seen[f"{name}, seen by {player}"] = part
    return seen
