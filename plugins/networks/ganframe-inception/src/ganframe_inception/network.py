"""Inception-v3 as the Frechet inception distance uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, linear, max_pool2d

from ganframe.game import Randomness, as_rgb, load_frozen_weights
from ganframe_inception import Layer, blocks
from ganframe_inception.resize import resize_bilinear


class ConvBatchNormReLU(nn.Module):
    """A convolution as `conv` and its batch norm as `bn`, then a ReLU.

    Args:
        inputs: Number of input channels.
        config: The convolution.
    """

    def __init__(self, inputs: int, config: blocks.Convolution) -> None:
        super().__init__()
        height, width = config.kernel
        padding = (height // 2, width // 2) if config.padded else (0, 0)
        self.conv = nn.Conv2d(inputs, config.outputs, config.kernel, config.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(config.outputs, eps=blocks.EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps `(B, outputs, H', W')`."""
        return self.bn(self.conv(maps)).relu()


class MixedBlock(nn.Module):
    """A block of branches, each convolution under its own name.

    Args:
        inputs: Number of input channels.
        config: The block.

    Attributes:
        outputs: Number of output channels.
    """

    def __init__(self, inputs: int, config: blocks.Block) -> None:
        super().__init__()
        self.config = config
        self.outputs = 0
        for branch in config.branches:
            channels = inputs
            for step in branch:
                forked = step if isinstance(step, tuple) else (step,)
                for convolution in forked:
                    self.add_module(convolution.name, ConvBatchNormReLU(channels, convolution))
                channels = sum(convolution.outputs for convolution in forked)
            self.outputs += channels
        if config.pool_outputs is not None:
            convolution = blocks.Convolution("branch_pool", config.pool_outputs)
            self.add_module(convolution.name, ConvBatchNormReLU(inputs, convolution))
        self.outputs += config.pool_outputs or inputs

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps `(B, outputs, H', W')`."""
        return torch.cat([*(self._branch(branch, maps) for branch in self.config.branches), self._pool(maps)], dim=1)

    def _branch(self, branch: blocks.Branch, maps: Tensor) -> Tensor:
        for step in branch:
            forked = step if isinstance(step, tuple) else (step,)
            maps = torch.cat([self.get_submodule(convolution.name)(maps) for convolution in forked], dim=1)
        return maps

    def _pool(self, maps: Tensor) -> Tensor:
        match self.config.pool:
            case "average":
                pooled = avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
            case "max":
                pooled = max_pool2d(maps, 3, stride=1, padding=1)
            case "halve":
                pooled = max_pool2d(maps, 3, stride=2)
        return pooled if self.config.pool_outputs is None else self.get_submodule("branch_pool")(pooled)


class Network(nn.Module):
    """The network, frozen and in eval mode.

    Args:
        layers: The activations to return.

    References:
        Szegedy et al. 2016, arXiv:1512.00567, table 1; Heusel et al. 2017, arXiv:1706.08500, section 4.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = frozenset(layers)
        channels = 3
        for convolution in (*blocks.STEM_1, *blocks.STEM_2):
            self.add_module(convolution.name, ConvBatchNormReLU(channels, convolution))
            channels = convolution.outputs
        for config in blocks.BLOCKS:
            block = MixedBlock(channels, config)
            self.add_module(config.name, block)
            channels = block.outputs
        self.fc = nn.Linear(blocks.FEATURES, blocks.CLASSES)
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        """Return activations of images `(B, 1 or 3, H, W)` in [-1, 1], from the input side.

        Raises:
            BadInput: When the sample is not such an image.
        """
        pixels = (as_rgb(sample, "inception") + 1) * 127.5
        # The graph of 2015 subtracts 128, although the middle of 0 and 255 is 127.5.
        maps = (resize_bilinear(pixels, blocks.SIDE, blocks.SIDE) - 128) / 128
        for stem in (blocks.STEM_1, blocks.STEM_2):
            for convolution in stem:
                maps = self.get_submodule(convolution.name)(maps)
            maps = max_pool2d(maps, 3, stride=2)
        for block in blocks.BLOCKS:
            maps = self.get_submodule(block.name)(maps)
        return tuple(self._activations(maps.mean(dim=(2, 3))))

    def _activations(self, pooled: Tensor) -> Iterator[Tensor]:
        if "pool" in self.layers:
            yield pooled
        if "logits_unbiased" in self.layers:
            yield linear(pooled, self.fc.weight)
        if "logits" in self.layers:
            yield self.fc(pooled)


def load(file: Path, layers: Sequence[Layer]) -> Network:
    """Return the network with the weights of a file.

    The weights of all layers have to be there, whatever is returned: the 1008 outputs tell the standard weights from
    those of other training, which would give another distance.

    Raises:
        BadInput: When the file is missing, cannot be read, or lacks weights of the right shape.
    """
    with torch.device("meta"):
        network = Network(layers)
    network.to_empty(device="cpu")
    remedy = (
        "It needs the weights `pt_inception-2015-12-05` of pytorch-fid or torch-fidelity as safetensors, under their"
        " names: 94 convolutions and 1008 outputs."
    )
    load_frozen_weights(network, file, remedy)
    return network


def write_random(file: Path) -> Path:
    """Write random weights of the right names and shapes, for tests.

    They repeat 65,521 random numbers and are float16, so that the file is made quickly.

    Args:
        file: The file to write.

    Returns:
        The file.
    """
    with torch.device("meta"):
        wanted = Network(("logits",)).state_dict()
    numbers = Randomness(0).normal("inception", (65_521,))

    def repeated(values: Tensor, shape: torch.Size) -> Tensor:
        return values.half().repeat(shape.numel() // len(values) + 1)[: shape.numel()].reshape(shape)

    weights: dict[str, Tensor] = {}
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.ndim > 1:
            values = numbers * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            values = 1 + 0.5 * numbers.tanh()
        else:
            values = 0.1 * numbers
        weights[name] = repeated(values, tensor.shape)
    save_file(weights, file)
    return file
