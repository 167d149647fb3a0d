"""Files of weights in the safetensors format, which anybody may have made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganframe.errors import BadInput
from ganframe.runs.tensor_sizes import read_size

MAX_NAMED_TENSORS = 3
"""The largest number of tensors of one sort that an error message names."""


def read_weights(file: Path, prefix: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors under a prefix from a file of weights.

    If the tensors of a file have other names or shapes, only its header is read, however large the file is.

    Args:
        file: The file.
        prefix: The part of the file, without the last dot; empty for the whole file.
        expected: Tensors with the shapes that the file must have, by name without the prefix.

    Returns:
        The tensors by name, without the prefix.

    Raises:
        BadInput: When the file cannot be read or is damaged, or its tensors have other names or shapes.
    """
    if not file.is_file():  # a pipe would be waited for
        remedy = "" if file.is_absolute() else f"The path is relative to {Path.cwd()}."
        raise BadInput("there is no such file of weights", place=str(file), remedy=remedy)
    beginning = f"{prefix}." if prefix else ""
    try:
        read_size(file)
        with safe_open(file, framework="pt") as opened:
            names = {key.removeprefix(beginning): key for key in opened.keys() if key.startswith(beginning)}
            shapes = {name: tuple(opened.get_slice(key).get_shape()) for name, key in names.items()}
            check_names_and_shapes(shapes, expected, place=str(file))
            return {name: opened.get_tensor(key) for name, key in names.items()}
    except (OSError, SafetensorError, ValueError, RuntimeError) as problem:
        reason = (str(problem).splitlines() or [""])[0]
        raise BadInput(f"this is not a whole file in the safetensors format: {reason}", place=str(file)) from None


def check_names_and_shapes(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor], *, place: str
) -> None:
    """Refuse weights that have other names or shapes than a network.

    Args:
        shapes: The shapes of the weights by name.
        expected: The tensors of the network by name.
        place: The file or folder of the weights, for the message.

    Raises:
        BadInput: When names or shapes differ; the message lists some of them.
    """
    others = [
        f"{name} is {shapes[name]}, and not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in shapes and shapes[name] != tuple(tensor.shape)
    ]
    refuse_differences(
        {
            "missing": [name for name in expected if name not in shapes],
            "not in the network": [name for name in shapes if name not in expected],
            "of another shape": others,
        },
        place,
    )


def check_numbers(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, place: str) -> None:
    """Refuse weights that have other types than those of a network, or numbers that are not finite.

    Args:
        weights: The weights, with the names of the network.
        expected: The tensors of the network by name.
        place: The file or folder of the weights, for the message.

    Raises:
        BadInput: With the names of some of these weights.
    """
    check_types(weights, expected, place=place)
    refuse_differences({"not finite": not_finite({name: weights[name] for name in expected})}, place)


def check_types(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, place: str) -> None:
    """Refuse weights that have other types than those of a network, which loading would convert.

    Args:
        weights: The weights, with the names of the network.
        expected: The tensors of the network by name.
        place: The file or folder of the weights, for the message.

    Raises:
        BadInput: With the names of some of these weights.
    """
    others = [
        f"{name} is {_type(weights[name])}, and not {_type(tensor)}"
        for name, tensor in expected.items()
        if weights[name].dtype != tensor.dtype
    ]
    refuse_differences({"of another type": others}, place)


def not_finite(weights: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors in which some number is infinite or NaN."""
    return [name for name, value in weights.items() if isinstance(value, Tensor) and not _is_finite(value)]


def refuse_differences(names: Mapping[str, Iterable[Any]], place: str) -> None:
    """Refuse weights if any of these lists of wrong tensors has an entry.

    Raises:
        BadInput: When there is an entry. The message has the first names of each list.
    """
    found = [f"{what}: {listed(wrong)}" for what, each in names.items() if (wrong := list(each))]
    if found:
        raise BadInput(f"the weights do not fit; {'; '.join(found)}", place=place)


def listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED_TENSORS} more" if len(names) > MAX_NAMED_TENSORS else ""
    return ", ".join(names[:MAX_NAMED_TENSORS]) + more


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
