"""Tiny ONNX files, written byte by byte, for tests: the package `onnx` is not needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

FLOAT = 1
"""The number of float32 in ONNX."""
IR_VERSION = 8
OPSET = 13


def write_model(
    file: Path,
    nodes: Sequence[bytes],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    weights: Mapping[str, Tensor],
) -> Path:
    """Write a model of float32 tensors.

    Args:
        file: The file to write.
        nodes: The operations in order, from `node`.
        inputs: The shape of each input; a name stands for any size.
        outputs: The shape of each output.
        weights: The constant tensors by name.

    Returns:
        The file.

    References:
        The messages of onnx.proto3 in https://github.com/onnx/onnx.
    """
    graph = [_field(1, each) for each in nodes]
    graph.append(_field(2, b"tiny"))
    graph += [_field(5, _weight(name, value)) for name, value in weights.items()]
    graph += [_field(11, _value(name, shape)) for name, shape in inputs.items()]
    graph += [_field(12, _value(name, shape)) for name, shape in outputs.items()]
    file.write_bytes(_field(1, IR_VERSION) + _field(7, b"".join(graph)) + _field(8, _field(2, OPSET)))
    return file


def node(operation: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """Return an operation with one output; attributes are whole numbers or lists of them."""
    parts = [_field(1, name.encode()) for name in inputs]
    parts += [_field(2, output.encode()), _field(4, operation.encode())]
    for name, value in attributes.items():
        if isinstance(value, int):
            content = _field(3, value) + _field(20, 2)
        else:
            content = b"".join(_field(8, each) for each in value) + _field(20, 7)
        parts.append(_field(5, _field(1, name.encode()) + content))
    return b"".join(parts)


def write_example(file: Path) -> Path:
    """Write a network of one convolution of RGB images of any size, with a ReLU, and its mean over the pixels.

    Returns:
        The file.
    """
    weight = torch.linspace(-1, 1, 4 * 3 * 9).reshape(4, 3, 3, 3)
    nodes = [
        node("Conv", ["images", "weight"], "maps", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["maps"], "activations"),
        node("GlobalAveragePool", ["activations"], "means"),
        node("Flatten", ["means"], "features", axis=1),
    ]
    inputs = {"images": ("N", 3, "H", "W")}
    outputs = {"features": ("N", 4), "activations": ("N", 4, "H", "W")}
    return write_model(file, nodes, inputs, outputs, {"weight": weight})


def _field(number: int, value: int | bytes) -> bytes:
    """Return a field of a message: a whole number, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Return a whole number of at least 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _weight(name: str, value: Tensor) -> bytes:
    dims = b"".join(_field(1, size) for size in value.shape)
    return dims + _field(2, FLOAT) + _field(8, name.encode()) + _field(9, value.float().numpy().tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = [_field(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape]
    described = _field(1, FLOAT) + _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name.encode()) + _field(2, _field(1, described))
