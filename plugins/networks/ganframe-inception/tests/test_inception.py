"""Inception-v3 against the layout of the published weights, blocks by hand, and a resize worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_inception import Inception, blocks
from ganframe_inception.network import MixedBlock, Network, write_random
from ganframe_inception.resize import resize_bilinear
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, relu

from ganframe import BadInput

LAYOUT = [line.split() for line in (Path(__file__).parent / "inception_layout.txt").read_text().splitlines()]
"""Name and shape of each convolution in the order of torch-fidelity's network, listed from its state dict."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random(tmp_path_factory.mktemp("weights") / "inception.safetensors")


@pytest.fixture(scope="module")
def network(file: Path) -> Any:
    return Inception(file=file, layers=("pool", "logits_unbiased", "logits")).build()


def test_names_and_shapes_are_those_of_the_published_weights():
    expected: dict[str, tuple[int, ...]] = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    for name, text in LAYOUT:
        shape = tuple(int(side) for side in text.split("x"))
        expected[f"{name}.conv.weight"] = shape
        for statistic in ("weight", "bias", "running_mean", "running_var"):
            expected[f"{name}.bn.{statistic}"] = shape[:1]
        expected[f"{name}.bn.num_batches_tracked"] = ()
    with torch.device("meta"):
        found = {name: tuple(value.shape) for name, value in Network(("pool",)).state_dict().items()}
    assert len(LAYOUT) == 94
    assert found == expected


def test_parameters_are_those_of_torchvision_with_eight_more_classes():
    """torchvision documents 27,161,264 parameters, of which 3,326,696 are of the auxiliary classifier."""
    with torch.device("meta"):
        network = Network(("pool",))
    assert sum(each.numel() for each in network.parameters()) == 27_161_264 - 3_326_696 + 8 * (2048 + 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Pixel i of n lies at i * (4 / n): 0, 1/2, 1, ..., 3, 3 1/2, and nothing lies behind the last pixel.
        ([0.0, 10, 20, 40], [0.0, 5, 10, 15, 20, 30, 40, 40]),
        # Of 4 pixels 3 remain, at 0, 4/3 and 8/3.
        ([0.0, 3, 6, 12], [0.0, 4, 10]),
        # Every second pixel, without any smoothing.
        ([0.0, 100, 0, 100], [0.0, 0]),
        ([7.0], [7.0, 7, 7]),
    ],
)
def test_resize_by_hand(before: list[float], after: list[float]):
    row = torch.tensor(before).reshape(1, 1, 1, -1)
    wide = resize_bilinear(row, 1, len(after))
    torch.testing.assert_close(wide.flatten(), torch.tensor(after))
    torch.testing.assert_close(resize_bilinear(row.mT, len(after), 1), wide.mT)


def test_resize_of_a_picture_by_hand():
    """Rows at 0 and 1/2 of (0, 6; 12, 18), columns at 0, 2/3 and 4/3, where the last column is held."""
    image = torch.tensor([[[[0.0, 6], [12, 18]]]])
    expected = torch.tensor([[0.0, 4, 6], [6, 10, 12], [12, 16, 18], [12, 16, 18]])
    torch.testing.assert_close(resize_bilinear(image, 4, 3)[0, 0], expected)


def by_hand(module: MixedBlock, name: str, maps: Tensor, stride: int = 1, padding: Any = 0) -> Tensor:
    """Convolution, batch norm from its formula, ReLU."""
    layer: Any = module.get_submodule(name)
    out = conv2d(maps, layer.conv.weight, stride=stride, padding=padding)
    mean, variance, weight, bias = (
        each[:, None, None] for each in (layer.bn.running_mean, layer.bn.running_var, layer.bn.weight, layer.bn.bias)
    )
    return relu((out - mean) / (variance + 0.001).sqrt() * weight + bias)


def a_35(block: MixedBlock, maps: Tensor) -> list[Tensor]:
    five = by_hand(block, "branch5x5_2", by_hand(block, "branch5x5_1", maps), padding=2)
    three = by_hand(block, "branch3x3dbl_2", by_hand(block, "branch3x3dbl_1", maps), padding=1)
    three = by_hand(block, "branch3x3dbl_3", three, padding=1)
    ones = torch.ones_like(maps)
    mean = avg_pool2d(maps, 3, 1, 1) / avg_pool2d(ones, 3, 1, 1)  # the sum over pixels that exist / their number
    return [by_hand(block, "branch1x1", maps), five, three, by_hand(block, "branch_pool", mean)]


def a_6a(block: MixedBlock, maps: Tensor) -> list[Tensor]:
    three = by_hand(block, "branch3x3dbl_2", by_hand(block, "branch3x3dbl_1", maps), padding=1)
    three = by_hand(block, "branch3x3dbl_3", three, stride=2)
    return [by_hand(block, "branch3x3", maps, stride=2), three, max_pool2d(maps, 3, 2)]


def a_17(block: MixedBlock, maps: Tensor) -> list[Tensor]:
    seven = by_hand(block, "branch7x7_2", by_hand(block, "branch7x7_1", maps), padding=(0, 3))
    seven = by_hand(block, "branch7x7_3", seven, padding=(3, 0))
    double = by_hand(block, "branch7x7dbl_1", maps)
    for number, padding in ((2, (3, 0)), (3, (0, 3)), (4, (3, 0)), (5, (0, 3))):
        double = by_hand(block, f"branch7x7dbl_{number}", double, padding=padding)
    mean = avg_pool2d(maps, 3, 1, 1) / avg_pool2d(torch.ones_like(maps), 3, 1, 1)
    return [by_hand(block, "branch1x1", maps), seven, double, by_hand(block, "branch_pool", mean)]


def a_7a(block: MixedBlock, maps: Tensor) -> list[Tensor]:
    three = by_hand(block, "branch3x3_2", by_hand(block, "branch3x3_1", maps), stride=2)
    seven = by_hand(block, "branch7x7x3_2", by_hand(block, "branch7x7x3_1", maps), padding=(0, 3))
    seven = by_hand(block, "branch7x7x3_3", seven, padding=(3, 0))
    return [three, by_hand(block, "branch7x7x3_4", seven, stride=2), max_pool2d(maps, 3, 2)]


def a_7c(block: MixedBlock, maps: Tensor) -> list[Tensor]:
    found = [by_hand(block, "branch1x1", maps)]
    three = by_hand(block, "branch3x3_1", maps)
    double = by_hand(block, "branch3x3dbl_2", by_hand(block, "branch3x3dbl_1", maps), padding=1)
    for stem, inner in (("branch3x3_2", three), ("branch3x3dbl_3", double)):
        found += [by_hand(block, f"{stem}a", inner, padding=(0, 1)), by_hand(block, f"{stem}b", inner, padding=(1, 0))]
    return [*found, by_hand(block, "branch_pool", max_pool2d(maps, 3, 1, 1))]


@pytest.mark.parametrize(
    ("name", "inputs", "compute"),
    [
        ("Mixed_5b", 192, a_35),
        ("Mixed_6a", 288, a_6a),
        ("Mixed_6c", 768, a_17),
        ("Mixed_7a", 768, a_7a),
        ("Mixed_7c", 2048, a_7c),
    ],
)
def test_a_block_by_hand(network: Any, name: str, inputs: int, compute: Any):
    block = MixedBlock(inputs, next(each for each in blocks.BLOCKS if each.name == name)).double().eval()
    block.load_state_dict(network.get_submodule(name).state_dict())
    maps = torch.randn(2, inputs, 7, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(maps), torch.cat(compute(block, maps), dim=1), rtol=1e-10, atol=1e-12)


def test_the_whole_network(network: Any, monkeypatch: pytest.MonkeyPatch):
    """Pixel 0 is -1, 128 is 0 and 255 is 127 / 128; sizes are those of the paper's table; grey is seen as RGB."""
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [
        module.register_forward_hook(lambda _, inputs, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
        for name, module in network.named_children()
    ]
    seen: list[Tensor] = []
    handles.append(network.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])))
    grey = torch.tensor([0.0, 128, 255]).reshape(1, 1, 1, 3) / 127.5 - 1
    pool, unbiased, logits = network(grey)
    for handle in handles:
        handle.remove()
    assert seen[0].shape == (1, 3, 299, 299)
    assert seen[0].min().item() == pytest.approx(-1, abs=1e-6)
    assert seen[0].max().item() == pytest.approx(127 / 128, abs=1e-6)
    assert torch.equal(seen[0][:, 0], seen[0][:, 2])
    grids = {"Conv2d_2b_3x3": (64, 147, 147), "Conv2d_4a_3x3": (192, 71, 71), "Mixed_5d": (288, 35, 35)}
    grids |= {"Mixed_6e": (768, 17, 17), "Mixed_7c": (2048, 8, 8)}
    assert {name: shapes[name] for name in grids} == grids
    assert pool.shape == (1, 2048)
    torch.testing.assert_close(unbiased, pool @ network.fc.weight.T)
    torch.testing.assert_close(logits, unbiased + network.fc.bias)


def test_only_the_named_layers_are_returned_from_the_input_side(file: Path):
    with torch.device("meta"):
        found = Network(("logits", "pool"))(torch.zeros(3, 3, 8, 8))
    assert [tuple(each.shape) for each in found] == [(3, 2048), (3, 1008)]
    assert Inception(file=file).layers == ("pool",)


def test_weights_with_1000_classes_are_refused_even_if_no_logits_are_asked_for(file: Path, tmp_path: Path):
    """torchvision's own weights have the same names and give another distance."""
    other = load_file(file) | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    save_file(other, tmp_path / "torchvision.safetensors")
    with pytest.raises(BadInput, match=r"'fc\.weight' in .* is \(1000, 2048\), not \(1008, 2048\)\n.*pt_inception"):
        Inception(file=tmp_path / "torchvision.safetensors").build()


def test_what_else_is_in_the_file_is_ignored(file: Path, tmp_path: Path):
    more = {"AuxLogits.fc.bias": torch.zeros(3), "Mixed_5b.branch1x1.bn.num_batches_tracked": torch.ones(())}
    save_file(load_file(file) | more, tmp_path / "more.safetensors")
    assert not Inception(file=tmp_path / "more.safetensors").build().training


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"file: there is no file .*none\.safetensors'\n  It needs the weights"):
        Inception(file=tmp_path / "none.safetensors").build()


@pytest.mark.parametrize("shape", [(2, 8), (2, 4, 8, 8)])
def test_samples_that_are_not_colour_images_are_refused(shape: tuple[int, ...]):
    with torch.device("meta"), pytest.raises(BadInput, match="'inception' sees images with 1 or 3 channels"):
        Network(("pool",))(torch.zeros(shape))


@pytest.mark.parametrize("layers", [(), ("pool", "pool"), ("Mixed_5b",)])
def test_invalid_layers_are_refused(layers: Any):
    with pytest.raises(ValidationError):
        Inception(file=Path("x"), layers=layers)
