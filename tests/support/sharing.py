"""Trains small experiments on as many ranks as torchrun starts, and saves the weights that each rank ends with.

    torchrun --nproc-per-node 2 tests/support/sharing.py CASES.json FOLDER

Everything is in float64, so that what differs between numbers of ranks is an error and no rounding.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import growing_pair
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ganframe import Experiment
from ganframe.data.loader import BatchLoader
from ganframe.data.tensor_data import images_as_floats
from ganframe.distributed.collectives import full_tensor
from ganframe.distributed.fsdp import shard
from ganframe.distributed.process_group import process_group
from ganframe.distributed.shard import this_shard
from ganframe.randomness import Randomness
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import Assembly, assemble, generator_players
from ganframe.training.ema import make_averages
from ganframe.training.parameter_changes import change_parameters
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run
from ganframe.training.step import Trainer

STEPS = 2


class Doubled:
    """A data set in float64."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        batch = images_as_floats(self.dataset.fetch(indices, randomness))
        return {name: each.double() if each.is_floating_point() else each for name, each in batch.items()}


def weights(case: dict[str, Any], folder: Path) -> dict[str, Tensor]:
    """The state of the players, averages, augmentations and terms after two steps."""
    experiment = Experiment.model_validate(case)
    assembly = assemble(experiment)
    for player in assembly.game.players.values():
        # While they train, what dropout draws and what batch normalisation knows of the batch is a rank's own.
        for module in player.modules():
            if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)):
                module.eval()
    averages = make_averages(generator_players(assembly.game), experiment.train, assembly.images_per_step)
    if assembly.sharded:
        for player in assembly.game.players.values():
            shard(player, assembly.device)
        assembly.game.set_players(assembly.game.players)
    run = Run(
        experiment=experiment,
        folder=RunFolder(folder),
        assembly=assembly,
        optimizers=assembly.optimizers(),
        averages=averages,
        hooks=RunHooks(*assembly.listeners()),
    )
    trainer = _trainer(run)
    for _ in range(STEPS):
        trainer.step()
        if change_parameters(run, run.images):
            trainer = _trainer(run)
    return _state(assembly) | (averages.state_dict() if averages else {})


def _trainer(run: Run) -> Trainer:
    part = this_shard()
    size = run.assembly.batch_size // part.world_size
    data = Doubled(run.experiment.data.build())
    return Trainer(run, BatchLoader(data, size, Randomness(0).at("data"), run.assembly.device, 0, part))


def _state(assembly: Assembly) -> dict[str, Tensor]:
    for player in assembly.game.players.values():
        held = sum(each.to_local().numel() for each in player.parameters()) if assembly.sharded else 0
        # Rows are dealt out whole, so that a rank may have a few more than its share.
        assert held <= 0.8 * sum(each.numel() for each in player.parameters())
    parts = {f"player {name}": each.state_dict() for name, each in assembly.game.players.items()}
    parts |= {f"term {name}": each.state_dict() for name, each in assembly.objective.stateful_terms().items()}
    parts |= {"augmentations": assembly.augmentations.state_dict(), "memory": assembly.game.memory}
    return {
        f"{part} {key}": full_tensor(value).detach().clone().contiguous()
        for part, state in parts.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def main() -> None:
    growing_pair.register()
    cases, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    with process_group():
        rank = this_shard().rank
        for name, case in cases.items():
            save_file(weights(case, folder), folder / f"{name}.{rank}.safetensors")


if __name__ == "__main__":
    main()
