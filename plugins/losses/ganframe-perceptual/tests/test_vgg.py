"""VGG against its table in the paper, torchvision's layout, and convolutions in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_perceptual import VGG
from ganframe_perceptual.layers import convolutions
from ganframe_perceptual.vgg import Network, write_random
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from scipy.signal import correlate2d

from ganframe import BadInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_random(tmp_path / "vgg.safetensors", 16, count=4)


@pytest.mark.parametrize(("depth", "last", "count"), [(16, "relu5_3", 14_714_688), (19, "relu5_4", 20_024_384)])
def test_parameters_of_the_convolutions(depth: int, last: str, count: int):
    with torch.device("meta"):
        network = Network(depth, [last])
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_the_indices_are_those_of_torchvision():
    """Read off torchvision's configurations D and E, without batch norm."""
    d = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    e = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert [conv.index for conv in convolutions(16)] == d
    assert [conv.index for conv in convolutions(19)] == e


@pytest.mark.parametrize(("depth", "size"), [(16, 13), (19, 16)])
def test_shapes_of_all_activations(depth: int, size: int):
    """The sides are halved by each of the four pools between blocks; the fifth comes behind the last convolution."""
    names = [conv.name for conv in convolutions(depth)]
    assert len(names) == size
    with torch.device("meta"):
        found = Network(depth, names)(torch.zeros(1, 3, 64, 48))
    expected = {"1": (64, 64, 48), "2": (128, 32, 24), "3": (256, 16, 12), "4": (512, 8, 6), "5": (512, 4, 3)}
    assert [tuple(activation.shape[1:]) for activation in found] == [expected[name[4]] for name in names]


def test_two_blocks_agree_with_convolutions_of_scipy(file: Path):
    """The image in [0, 1], normalised as ImageNet; correlations, biases, ReLUs, a max pool, correlations."""
    sample = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = VGG(file=file, layers=("relu1_1", "relu2_2")).build()(sample)
    weights = {name: tensor.double().numpy() for name, tensor in load_file(file).items()}

    def layer(maps: list[np.ndarray], index: int) -> list[np.ndarray]:
        kernels, biases = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
        return [
            np.maximum(bias + sum(correlate2d(m, k, mode="same") for m, k in zip(maps, kernel, strict=True)), 0)
            for kernel, bias in zip(kernels, biases, strict=True)
        ]

    statistics = zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    unit = (sample[0].double().numpy() + 1) / 2
    maps = [(channel - mean) / deviation for channel, (mean, deviation) in zip(unit, statistics, strict=True)]
    first = layer(maps, 0)
    second = layer(first, 2)
    pooled = [plane[:, :6].reshape(3, 2, 3, 2).max(axis=(1, 3)) for plane in second]
    fourth = layer(layer(pooled, 5), 7)
    np.testing.assert_allclose(found[0][0].numpy(), np.stack(first), atol=2e-5)
    np.testing.assert_allclose(found[1][0].numpy(), np.stack(fourth), atol=2e-5)


def test_only_the_layers_in_use_are_loaded(file: Path):
    network = VGG(file=file, layers=("relu1_1",)).build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 64 * 27 + 64


def test_the_rest_of_the_file_is_ignored(file: Path):
    weights = load_file(file) | {"classifier.0.weight": torch.zeros(2, 2)}
    save_file(weights, file)
    assert VGG(file=file, layers=("relu2_2",)).build()(torch.zeros(1, 1, 8, 8))[0].shape == (1, 128, 4, 4)


def test_grey_images_are_repeated(file: Path):
    encoder = VGG(file=file, layers=("relu1_2",)).build()
    grey = torch.rand(2, 1, 8, 8) * 2 - 1
    assert torch.equal(encoder(grey)[0], encoder(grey.repeat(1, 3, 1, 1))[0])


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"there is no file .*none\.safetensors'\n  It needs the weights of VGG16"):
        VGG(file=tmp_path / "none.safetensors").build()


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    file = tmp_path / "vgg.pth"
    file.write_bytes(b"PK\x03\x04 a pickle in a zip")
    with pytest.raises(BadInput, match=r"cannot be read"):
        VGG(file=file).build()


def test_a_file_that_lacks_layers_is_refused(file: Path):
    with pytest.raises(BadInput, match=r"has no 'features\.10\.weight'"):
        VGG(file=file, layers=("relu3_1",)).build()


def test_a_file_of_another_network_is_refused(file: Path):
    save_file(load_file(file) | {"features.0.weight": torch.zeros(32, 3, 3, 3)}, file)
    with pytest.raises(BadInput, match=r"is \(32, 3, 3, 3\), not \(64, 3, 3, 3\)"):
        VGG(file=file, layers=("relu1_2",)).build()


def test_images_that_the_pools_leave_nothing_of_are_refused(file: Path):
    with pytest.raises(BadInput, match="images of 1 x 9 are too small for relu2_1"):
        VGG(file=file, layers=("relu2_1",)).build()(torch.zeros(1, 3, 1, 9))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"file": "x", "layers": ("relu3_4",)},
        {"file": "x", "layers": ("conv1_1",)},
        {"file": "x", "layers": ()},
        {"file": "x", "layers": ("relu1_1", "relu1_1")},
        {"file": "x", "depth": 11},
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValidationError):
        VGG(**settings)


def test_the_fourth_convolution_of_the_third_block_is_only_in_vgg19():
    assert VGG(file=Path("x"), depth=19, layers=("relu3_4",)).layers == ("relu3_4",)
