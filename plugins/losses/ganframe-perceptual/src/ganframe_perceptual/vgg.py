"""VGG16 and VGG19 up to the last activation that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ganframe.game import BadInput, Randomness, as_rgb, load_frozen_weights
from ganframe_perceptual.layers import convolutions

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's channels, for values in [0, 1]."""


class Network(nn.Module):
    """The convolutions as `features.INDEX`, frozen and in eval mode.

    Args:
        depth: 16 or 19.
        layers: Names of the activations to return, in any order.

    References:
        Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, D and E.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, depth: int, layers: Sequence[str]) -> None:
        super().__init__()
        convs = convolutions(depth)
        last = max(number for number, conv in enumerate(convs) if conv.name in layers)
        self.convolutions = convs[: last + 1]
        self.layers = frozenset(layers)
        self.features = nn.ModuleDict(
            {str(conv.index): nn.Conv2d(conv.inputs, conv.outputs, 3, padding=1) for conv in self.convolutions}
        )
        # From [-1, 1] straight to deviations from the mean of ImageNet.
        self.register_buffer("mean", 2 * torch.tensor(MEAN)[:, None, None] - 1, persistent=False)
        self.register_buffer("deviation", 2 * torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        """Return activations of images `(B, 1 or 3, H, W)` in [-1, 1], input side first.

        Raises:
            BadInput: When the sample is not such an image, or too small for the pools.
        """
        hidden = (as_rgb(sample, "vgg") - self.mean) / self.deviation
        activations: list[Tensor] = []
        for conv in self.convolutions:
            if conv.pooled:
                if min(hidden.shape[2:]) < 2:
                    message = f"images of {sample.shape[2]} x {sample.shape[3]} are too small for {conv.name}"
                    raise BadInput(message, path=("encoder", "layers"), remedy="Name earlier layers.")
                hidden = max_pool2d(hidden, 2)
            hidden = self.features[str(conv.index)](hidden).relu()
            if conv.name in self.layers:
                activations.append(hidden)
        return tuple(activations)


def load(file: Path, depth: int, layers: Sequence[str]) -> Network:
    """Return the network with the weights of a file.

    Raises:
        BadInput: When the file is missing, cannot be read, or lacks weights of the right shape.
    """
    network = Network(depth, layers)
    remedy = f"It needs the weights of VGG{depth} as safetensors, named as torchvision names them."
    load_frozen_weights(network, file, remedy)
    return network


def write_random(file: Path, depth: int, count: int) -> Path:
    """Write random weights for the first convolutions, for tests that need a file of the right layout.

    Args:
        file: The file to write.
        depth: 16 or 19.
        count: Number of convolutions.

    Returns:
        The file.
    """
    weights: dict[str, Tensor] = {}
    for conv in convolutions(depth)[:count]:
        name = f"features.{conv.index}"
        shape = (conv.outputs, conv.inputs, 3, 3)
        weights[f"{name}.weight"] = Randomness(0).normal(name, shape) * (2 / (9 * conv.inputs)) ** 0.5
        weights[f"{name}.bias"] = Randomness(1).normal(name, (conv.outputs,)) * 0.1
    save_file(weights, file)
    return file
