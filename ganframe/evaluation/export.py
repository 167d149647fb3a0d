"""Export of a trained player for use without ganframe."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from ganframe.config.arguments import as_path, check_type
from ganframe.config.schedules import fix_schedules
from ganframe.errors import BadInput
from ganframe.evaluation.loaded_run import LoadedRun
from ganframe.files import write_atomically


def export(loaded: LoadedRun, player: str, path: Path) -> None:
    """Save one player of a trained run to a file, with its averaged weights (EMA) if the run kept an average.

    Args:
        loaded: The run.
        player: The name of the player.
        path: The file. Its ending selects the format. `*.safetensors`: the weights, with the network's config in the
            metadata; each schedule in the config is replaced by its value at the checkpoint. `*.pt2`: a `torch.export`
            program that runs with PyTorch alone, at any batch size.

    Raises:
        BadInput: When there is no such player, the file exists, its name ends in neither `.safetensors` nor `.pt2`, a
            `.pt2` program is asked for a player that sampling does not use, or a weight of the run is not finite.
        RunFailed: When the file cannot be written.
    """
    check_type("loaded", loaded, LoadedRun, "a loaded run, as `load` returns it")
    check_type("player", player, str, "the name of a player")
    path = as_path("path", path)
    if player not in loaded.players:
        raise BadInput(f"the game has no player {player!r}", remedy=f"It has: {', '.join(loaded.players)}.")
    if path.exists():
        raise BadInput("this file exists already", place=str(path), remedy="Choose another --out.")
    loaded.check_finite()
    network = loaded.players[player]
    if path.suffix == ".safetensors":
        state = {name: tensor.cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
        progress = loaded.game.progress
        config = fix_schedules(loaded.game.player_specs()[player].config, progress.images, progress.total)
        metadata = {"player": player, "config": json.dumps(config.model_dump(mode="json"))}
        write_atomically(path, save_tensors(state, metadata))
    elif path.suffix == ".pt2":
        stream = io.BytesIO()
        torch.export.save(_trace(loaded, player, network), stream)
        write_atomically(path, stream.getvalue())
    else:
        raise BadInput("the name of an export has to end in .safetensors or .pt2", place=str(path))


def _trace(loaded: LoadedRun, player: str, network: nn.Module) -> torch.export.ExportedProgram:
    """Trace a network with `torch.export`, on the inputs that it gets when two samples or translations are made.

    If the game names its `sampling_inputs`, the data is not read.
    """
    calls: list[tuple[Tensor, ...]] = []
    handle = network.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    game, label = loaded.game, loaded.label_spec()
    needed = {name: game.data[name] for name in game.sampling_inputs or () if name in game.data}
    inputs = {name: torch.zeros(2, *spec.shape) for name, spec in needed.items() if label is None or name != label[0]}
    labels = None if label is None else [0, 1 % (label[1].classes or 1)]
    loaded.tensors(2, (game.output, *(output for _, output in game.translations)), labels=labels, inputs=inputs)
    handle.remove()
    if not calls:
        message = f"sampling does not use the player {player!r}, so there is no program of it to trace"
        raise BadInput(message, remedy="Export its weights: a file that ends in .safetensors.")
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in calls[0])
    with warnings.catch_warnings():
        # Code inside torch.export causes deprecation warnings, which its callers cannot fix.
        warnings.simplefilter("ignore", FutureWarning)
        return torch.export.export(network.cpu(), tuple(tensor.cpu() for tensor in calls[0]), dynamic_shapes=shapes)
