"""An encoder that needs no training: random convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ganframe.game import Randomness, as_rgb


class Network(nn.Module):
    """3 x 3 convolutions with ReLUs, and a mean over 2 x 2 between two of them; frozen and in eval mode.

    Weights are N(0, 2 / (9 inputs)), which keeps the size of activations from layer to layer; there are no biases.

    Args:
        channels: Channels of each layer.
        seed: Seed of the weights.

    References:
        Ustyuzhaninov et al. 2016, arXiv:1606.00021; He et al. 2016, arXiv:1606.04801.
    """

    def __init__(self, channels: Sequence[int], seed: int) -> None:
        super().__init__()
        randomness = Randomness(seed)
        self.layers = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(zip((3, *channels), channels, strict=False)):
            layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            drawn = randomness.normal(f"random convolution {index}", tuple(layer.weight.shape))
            layer.weight.data.copy_(drawn * (2 / (9 * inputs)) ** 0.5)
            self.layers.append(layer)
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        """Return activations of images `(B, 1 or 3, H, W)`, input side first.

        Raises:
            BadInput: When the sample is not such an image.
        """
        hidden = as_rgb(sample, "random-convolutions")
        activations: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            if index:
                hidden = avg_pool2d(hidden, 2, ceil_mode=True)
            hidden = layer(hidden).relu()
            activations.append(hidden)
        return tuple(activations)
