"""ONNX files through onnxruntime: against PyTorch's own operations, and the preparation of images by hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_onnx import Onnx
from ganframe_onnx.example_model import node, write_example, write_model
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from ganframe import BadInput

IMAGE = torch.tensor([-1.0, 0, 1]).reshape(1, 3, 1, 1)
"""One pixel: red 0, green 0.5, blue 1 in [0, 1]."""


def write_copy(folder: Path, shape: Sequence[int | str]) -> Path:
    """Write a network that returns its input."""
    return write_model(folder / "copy.onnx", [node("Identity", ["x"], "y")], {"x": shape}, {"y": shape}, {})


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return write_example(tmp_path / "example.onnx")


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_example_agrees_with_pytorch(example: Path):
    sample = images(2, 3, 9, 7)
    weight = torch.linspace(-1, 1, 108, dtype=torch.float64).reshape(4, 3, 3, 3)
    maps = conv2d(sample.double(), weight, padding=1).relu()
    torch.testing.assert_close(Onnx(file=example).build()(sample)[0].double(), maps.mean(dim=(2, 3)), rtol=0, atol=1e-5)
    (activations,) = Onnx(file=example, output="activations").build()(sample)
    torch.testing.assert_close(activations.double(), maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (-1, 0, 1)),
        ({"mean": [0], "std": [1]}, (0, 0.5, 1)),
        ({"max_value": 255, "mean": [0], "std": [1]}, (0, 127.5, 255)),
        ({"max_value": 255, "mean": [104, 117, 123], "std": [1], "channel_order": "bgr"}, (151, 10.5, -123)),
        ({"mean": [0.5, 0.25, 0], "std": [0.5, 0.25, 2]}, (-1, 1, 0.5)),
    ],
)
def test_values_by_hand(tmp_path: Path, settings: dict[str, Any], expected: tuple[float, ...]):
    network = Onnx(file=write_copy(tmp_path, ("N", 3, "H", "W")), **settings).build()
    torch.testing.assert_close(network(IMAGE)[0].flatten(), torch.tensor(expected, dtype=torch.float32))
    # It computes in float32, whatever it is given.
    assert network(IMAGE.double())[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "layout"),
    [(("N", 3, 4, 6), None), (("N", 4, 6, 3), None), (("N", "a", "b", "c"), "nchw"), (("N", "a", "b", "c"), "nhwc")],
)
def test_maps_of_both_layouts_come_out_alike(tmp_path: Path, shape: Sequence[int | str], layout: Any):
    sample = images(2, 3, 4, 6)
    (found,) = Onnx(file=write_copy(tmp_path, shape), layout=layout).build()(sample)
    torch.testing.assert_close(found, sample)


def test_layout_and_size_are_told_where_the_file_leaves_them_open(tmp_path: Path):
    file = write_copy(tmp_path, ("N", "a", "b", "c"))
    with pytest.raises(BadInput, match=r"layout: the shape of the input 'x'.*does not tell the order"):
        Onnx(file=file).build()
    (found,) = Onnx(file=file, layout="nhwc", size=(5, 4)).build()(images(1, 3, 20, 16))
    assert found.shape == (1, 3, 5, 4)


def test_images_are_resized_to_the_size_of_the_file(tmp_path: Path):
    """Twice as large to half: with antialiasing, a constant stays and a checkerboard becomes its mean."""
    network = Onnx(file=write_copy(tmp_path, ("N", 3, 4, 4))).build()
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1).expand(1, 3, 8, 8)
    (found,) = network(board)
    assert found.shape == (1, 3, 4, 4)
    assert found.abs().max() < 0.1
    sample = images(1, 3, 12, 10)
    torch.testing.assert_close(network(sample)[0], interpolate(sample, (4, 4), mode="bilinear", antialias=True))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_file_with_a_fixed_batch_takes_any_number_of_images(tmp_path: Path, batch: int):
    sample = images(6, 3, 2, 2)
    torch.testing.assert_close(Onnx(file=write_copy(tmp_path, (batch, 3, 2, 2))).build()(sample)[0], sample)


def test_grey_images_are_repeated_unless_the_network_sees_grey(tmp_path: Path):
    grey = images(2, 1, 4, 4)
    (found,) = Onnx(file=write_copy(tmp_path, ("N", 3, 4, 4))).build()(grey)
    torch.testing.assert_close(found, grey.expand(-1, 3, -1, -1))
    network = Onnx(file=write_copy(tmp_path, ("N", 1, 4, 4))).build()
    torch.testing.assert_close(network(grey)[0], grey)
    with pytest.raises(BadInput, match=r"sees grey images, but one example here is \(3, 4, 4\)"):
        network(images(2, 3, 4, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "pool"}, r"output: the file has no output 'pool'\n  There are: features, activations\."),
        ({"input": "data"}, r"input: the file has no input 'data'\n  There are: images\."),
        ({"mean": (0.5, 0.5)}, "mean: 2 numbers are given for 3 channels"),
        ({"layout": "nhwc"}, None),
    ],
)
def test_settings_that_do_not_fit_the_file_are_refused(example: Path, settings: dict[str, Any], message: str | None):
    if message is None:  # any size of the last axis: it is taken as channels
        assert Onnx(file=example, **settings).build() is not None
        return
    with pytest.raises(BadInput, match=message):
        Onnx(file=example, **settings).build()


def test_another_size_than_that_of_the_file_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="size: the file takes images of 4 x 6, not 8 x 8"):
        Onnx(file=write_copy(tmp_path, ("N", 3, 4, 6)), size=8).build()


def test_inputs_and_outputs_that_are_no_images_and_features_are_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"input: the input 'x' takes tensor\(float\) of shape \['N', 3\], not images"):
        Onnx(file=write_copy(tmp_path, ("N", 3))).build()
    with pytest.raises(BadInput, match=r"layout: as nchw, the input 'x' of shape .* has 4 channels"):
        Onnx(file=write_copy(tmp_path, ("N", 4, 4, 3)), layout="nchw").build()
    nodes = [node("ReduceMean", ["x"], "y", axes=[1], keepdims=0)]
    file = write_model(tmp_path / "rows.onnx", nodes, {"x": ("N", 3, "H", "W")}, {"y": ("N", "H", "W")}, {})
    with pytest.raises(BadInput, match=r"output: the output 'y' is \(2, 4, 4\), not \(B, D\)"):
        Onnx(file=file).build()(images(2, 3, 4, 4))


def test_files_that_cannot_be_used_are_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"file: there is no file .*none\.onnx"):
        Onnx(file=tmp_path / "none.onnx").build()
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(BadInput, match=r"file: .*text\.onnx' cannot be read"):
        Onnx(file=tmp_path / "text.onnx").build()


def test_without_onnxruntime_the_message_says_what_to_install(example: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInput, match=r"needs onnxruntime.*\n  pip install 'ganframe-onnx\[onnxruntime\]'"):
        Onnx(file=example).build()


def test_no_gradients_and_no_parameters(example: Path):
    network = Onnx(file=example).build()
    assert not Onnx.differentiable
    assert list(network.parameters()) == []
    assert not network(images(2, 3, 4, 4).requires_grad_())[0].requires_grad


@pytest.mark.parametrize("settings", [{"std": [0]}, {"mean": []}, {"size": 0}, {"max_value": 2}])
def test_invalid_settings_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValidationError):
        Onnx(file=Path("x"), **settings)
