"""The ResNet generator.

From 3 to 3 channels with 64 channels it has 11,378,179 parameters with 9 blocks and 7,837,699 with 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganframe_kernels.instance_norm import InstanceNormAct2d
from torch import Tensor, nn

from ganframe.config import BadInput, TensorSpec
from ganframe.game import init_normal
from ganframe_cyclegan import ResNet


class Generator(nn.Module):
    """Maps an image to one of the same height and width.

    Args:
        config: Widths and number of blocks.
        output: The image that is generated.
        source: The image that goes in.

    Raises:
        BadInput: When the two images differ in height or width, or when a side is below 8.

    References:
        Zhu et al. 2017, arXiv:1703.10593, section 7.2, after Johnson et al. 2016, arXiv:1603.08155.
    """

    def __init__(self, config: ResNet, output: TensorSpec, source: TensorSpec | None) -> None:
        super().__init__()
        _check(output, source)
        width = config.channels
        sides = output.shape[1:]
        half = [(side + 1) // 2 for side in sides]
        self.layers = nn.Sequential(
            *_convolution(source.shape[0] if source else 0, width, 7),
            *_convolution(width, 2 * width, 3, stride=2),
            *_convolution(2 * width, 4 * width, 3, stride=2),
            *(_Block(4 * width) for _ in range(config.blocks)),
            *_upsampling(4 * width, 2 * width, half),
            *_upsampling(2 * width, width, sides),
            nn.Conv2d(width, output.shape[0], 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )
        self.apply(init_normal)  # section 7.1

    def forward(self, source: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [-1, 1] for images `(B, C_source, H, W)`."""
        return self.layers(source)


class _Block(nn.Module):
    """x + f(x), with two convolutions in f."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            InstanceNormAct2d(channels, act="relu", padding=1),
            nn.Conv2d(channels, channels, 3),
        )
        self.norm = InstanceNormAct2d(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.norm(self.layers(hidden), residual=hidden)


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    # Only convolutions that keep the sides are padded by reflection, as in the paper's architecture.
    mode = "reflect" if stride == 1 else "zeros"
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, padding_mode=mode)
    return [convolution, InstanceNormAct2d(after, act="relu")]


def _upsampling(before: int, after: int, sides: Sequence[int]) -> list[nn.Module]:
    # The encoder rounds up when it halves an odd side, so the double is one too many.
    height, width = sides
    even = (1 - height % 2, 1 - width % 2)
    convolution = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=even)
    return [convolution, InstanceNormAct2d(after, act="relu")]


def _check(output: TensorSpec, source: TensorSpec | None) -> None:
    sides = output.shape[1:]
    if source is None or len(output.shape) != 3 or len(source.shape) != 3 or source.shape[1:] != sides:
        raise BadInput(f"'resnet' makes an image from one of the same sides, not {output} from {source}")
    if min(sides) < 8:
        remedy = "Choose larger images: most data sets can resize them with `resolution`."
        raise BadInput(f"'resnet' needs sides of at least 8, not {output}", remedy=remedy)
