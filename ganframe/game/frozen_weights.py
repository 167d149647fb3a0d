"""Weights of frozen networks, from safetensors files that may hold more."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from ganframe.errors import BadInput


def load_frozen_weights(network: nn.Module, file: Path, remedy: str) -> None:
    """Fill the parameters and buffers of a network from a file; other tensors of the file are ignored.

    Counts of batches of batch norm are not read: a frozen network does not use them.

    Args:
        network: The network.
        file: A safetensors file.
        remedy: The file that is needed, as one sentence for the message.

    Raises:
        BadInput: When the file is missing, cannot be read, or lacks a tensor of the right shape. The error's path is
            `file`.
    """
    if not file.is_file():
        raise BadInput(f"there is no file {str(file)!r}", path=("file",), remedy=remedy)
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    try:
        with safe_open(file, framework="pt") as stored:
            names = set(stored.keys())
            for name, value in wanted.items():
                if name not in names:
                    raise BadInput(f"{str(file)!r} has no {name!r}", path=("file",), remedy=remedy)
                found = stored.get_tensor(name)
                if found.shape != value.shape:
                    message = f"{name!r} in {str(file)!r} is {tuple(found.shape)}, not {tuple(value.shape)}"
                    raise BadInput(message, path=("file",), remedy=remedy)
                value.copy_(found)
    except (OSError, SafetensorError) as problem:
        raise BadInput(f"{str(file)!r} cannot be read: {problem}", path=("file",), remedy=remedy) from None
