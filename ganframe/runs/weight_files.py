"""Files of weights in the safetensors format, which are not trusted: everything in them is checked."""

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
"""Maximum number of tensors that an error message names for one problem."""


def read_weights(file: Path, prefix: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors whose names begin with a prefix from a file of weights.

    Names and shapes are checked from the header, before any tensor is read.

    Args:
        file: The file.
        prefix: The prefix without its last dot, such as `generator.trunk`; empty for the whole file.
        expected: Tensors with the expected names, without the prefix, and shapes.

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
        place: The file or folder of the weights, for the error.

    Raises:
        BadInput: When names or shapes differ. The error lists some of them.
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
    """Refuse weights that are not finite or have other dtypes than a network.

    Args:
        weights: The weights, with the names of the network.
        expected: The tensors of the network by name.
        place: The file or folder of the weights, for the error.

    Raises:
        BadInput: When there are such weights. The error lists some of them.
    """
    check_types(weights, expected, place=place)
    refuse_differences({"not finite": not_finite({name: weights[name] for name in expected})}, place)


def check_types(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, place: str) -> None:
    """Refuse weights that have other dtypes than a network, because loading would convert them.

    Args:
        weights: The weights, with the names of the network.
        expected: The tensors of the network by name.
        place: The file or folder of the weights, for the error.

    Raises:
        BadInput: When there are such weights. The error lists some of them.
    """
    others = [
        f"{name} is {_type(weights[name])}, and not {_type(tensor)}"
        for name, tensor in expected.items()
        if weights[name].dtype != tensor.dtype
    ]
    refuse_differences({"of another type": others}, place)


def not_finite(weights: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors with an infinite or NaN element."""
    return [name for name, value in weights.items() if isinstance(value, Tensor) and not _is_finite(value)]


def refuse_differences(names: Mapping[str, Iterable[Any]], place: str) -> None:
    """Refuse weights if any list of wrong tensors is not empty.

    Args:
        names: The names of the wrong tensors, by what is wrong with them.
        place: The file or folder of the weights, for the error.

    Raises:
        BadInput: When a list is not empty. The error has the first names of each list.
    """
    found = [f"{what}: {listed(wrong)}" for what, each in names.items() if (wrong := list(each))]
    if found:
        raise BadInput(f"the weights do not fit; {'; '.join(found)}", place=place)


def listed(names: list[str]) -> str:
    """Return the first names as text, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED_TENSORS} more" if len(names) > MAX_NAMED_TENSORS else ""
    return ", ".join(names[:MAX_NAMED_TENSORS]) + more


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
