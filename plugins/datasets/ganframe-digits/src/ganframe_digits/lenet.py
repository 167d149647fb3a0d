"""LeNet-5 for digits, trained on the package's training digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ganframe.data import BadInput
from ganframe.game import load_frozen_weights
from ganframe_digits import Layer

FILE = Path(__file__).parent / "data" / "lenet.safetensors"
"""The weights, which `scripts/train_lenet.py` writes."""


class LeNet(nn.Module):
    """LeNet-5 with ReLUs, max pools and a linear last layer.

    Two convolutions 5 x 5 with 6 and 16 channels, each with a max pool, then layers of 120, 84 and 10 units: 61,706
    parameters.

    References:
        LeCun et al. 1998, figure 2. There, units are tanh, pools are means with weights, and the last layer has
        radial basis functions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> dict[Layer, Tensor]:
        """Return all activations of images `(B, 1, 28, 28)` in [-1, 1] by name, from the input side."""
        pool1 = max_pool2d(self.conv1(images).relu(), 2)
        pool2 = max_pool2d(self.conv2(pool1).relu(), 2)
        features = self.fc2(self.fc1(pool2.flatten(1)).relu()).relu()
        return {"pool1": pool1, "pool2": pool2, "features": features, "logits": self.fc3(features)}


class Encoder(nn.Module):
    """The trained LeNet, frozen and in eval mode.

    Args:
        layers: Names of the activations to return.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = [name for name in get_args(Layer) if name in layers]
        self.lenet = LeNet()
        load_frozen_weights(self.lenet, FILE, "Reinstall ganframe-digits, which brings the file.")
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        """Return activations of images `(B, 1, 28, 28)` in [-1, 1], from the input side.

        Raises:
            BadInput: When the sample is not such an image.
        """
        if sample.shape[1:] != (1, 28, 28):
            message = f"'lenet-digits' sees images of 1 x 28 x 28, but one example here is {tuple(sample.shape[1:])}"
            raise BadInput(message, path=("encoder",), remedy="Use it for samples of digits, or use another encoder.")
        activations = self.lenet(sample)
        return tuple(activations[name] for name in self.layers)
