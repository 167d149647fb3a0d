"""Exports of a trained player for use without ganframe."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from ganframe.errors import BadInput
from ganframe.evaluation.loaded_run import LoadedRun
from ganframe.files import write_atomically


def export(trained: LoadedRun, player: str, path: Path) -> None:
    """Save one averaged player.

    Args:
        trained: The run.
        player: Which network.
        path: `*.safetensors` for the weights with the config in the metadata; `*.pt2` for a program of
            `torch.export` that runs with PyTorch alone, over any batch size.

    Raises:
        BadInput: When there is no such player, something stands at the path, or the network cannot be exported.
    """
    if player not in trained.players:
        raise BadInput(f"the game has no player {player!r}", remedy=f"It has: {', '.join(trained.players)}.")
    if path.exists():
        raise BadInput("this file exists already", place=str(path), remedy="Choose another --out.")
    network = trained.players[player]
    if path.suffix == ".safetensors":
        state = {name: each.cpu().clone().contiguous() for name, each in network.state_dict().items()}
        role = trained.game.player_specs()[player]
        metadata = {"player": player, "config": json.dumps(role.config.model_dump(mode="json"))}
        write_atomically(path, save_tensors(state, metadata))
    elif path.suffix == ".pt2":
        stream = io.BytesIO()
        torch.export.save(_program(trained, player, network), stream)
        write_atomically(path, stream.getvalue())
    else:
        raise BadInput("the name of an export has to end in .safetensors or .pt2", place=str(path))


def _program(trained: LoadedRun, player: str, network: nn.Module) -> torch.export.ExportedProgram:
    """Trace the network on what it was given in a sampling round."""
    seen: list[tuple[Tensor, ...]] = []
    handle = network.register_forward_pre_hook(lambda _, given: seen.append(given))
    trained.sample(2)
    handle.remove()
    if not seen:
        message = f"sampling does not use the player {player!r}, so there is no program of it to trace"
        raise BadInput(message, remedy="Export its weights: a file that ends in .safetensors.")
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in seen[0])
    with warnings.catch_warnings():
        # Deprecations inside torch.export that a caller cannot mend.
        warnings.simplefilter("ignore", FutureWarning)
        return torch.export.export(network.cpu(), tuple(each.cpu() for each in seen[0]), dynamic_shapes=shapes)
