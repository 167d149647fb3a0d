"""The U-Net generator.

From 3 to 3 channels with 64 channels and batch norm it has 54,413,955 parameters at depth 8 (for 256 x 256) and
41,828,995 at depth 7 (for 128 x 128).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ganframe.config import BadInput, TensorSpec
from ganframe.game import init_normal
from ganframe_pix2pix import UNet

DROPOUT_LAYERS = 3
"""Number of layers of the decoder with dropout, from the innermost on."""


class Generator(nn.Module):
    """Maps an image to one of the same height and width.

    Args:
        config: Depth, widths, norm and dropout.
        output: The image that is generated.
        source: The image that goes in.

    Raises:
        BadInput: When the two images differ in height or width, or when a side is below 4 or below 2 to the power of
            `depth`.

    References:
        Isola et al. 2017, arXiv:1611.07004, sections 3.2.1 and 6.1.1.
    """

    def __init__(self, config: UNet, output: TensorSpec, source: TensorSpec | None) -> None:
        super().__init__()
        depth = _depth(config, output, source)
        sides = [tuple(side >> halvings for side in output.shape[1:]) for halvings in range(depth)]
        odd = [(height % 2, width % 2) for height, width in sides]
        channels = [source.shape[0] if source else 0, *(config.channels * min(2**index, 8) for index in range(depth))]
        # Batch norm has its own bias; instance norm has none here and removes the bias of the convolution.
        bias = config.norm != "batch"
        self.encoder = nn.ModuleList()
        for index, (outer, inner) in enumerate(itertools.pairwise(channels)):
            norm = [] if index in (0, depth - 1) else _norm(config, inner)
            convolution = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)
            self.encoder.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2)))
        self.decoder = nn.ModuleList()
        for index in range(depth - 1):
            inner, outer = channels[depth - index], channels[depth - index - 1]
            joined = inner if index == 0 else 2 * inner
            padding = odd[depth - index - 1]
            convolution = nn.ConvTranspose2d(joined, outer, 4, stride=2, padding=1, output_padding=padding, bias=bias)
            dropouts = [_Dropout(config.dropout)] if index < DROPOUT_LAYERS and config.dropout else []
            self.decoder.append(nn.Sequential(convolution, *_norm(config, outer), *dropouts, nn.ReLU()))
        last = nn.ConvTranspose2d(2 * config.channels, output.shape[0], 4, stride=2, padding=1, output_padding=odd[0])
        self.last = nn.Sequential(last, nn.Tanh())
        self.apply(init_normal)  # section 6.2

    def forward(self, source: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [-1, 1] for images `(B, C_source, H, W)`."""
        encoded = [source]
        for stage in self.encoder:
            encoded.append(stage(encoded[-1]))
        hidden = encoded.pop()
        for stage in self.decoder:
            hidden = torch.cat([stage(hidden), encoded.pop()], dim=1)
        return self.last(hidden)


class _Dropout(nn.Module):
    """Dropout that stays active in eval mode: it is the noise of the generator (section 3.1)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, hidden: Tensor) -> Tensor:
        return dropout(hidden, self.p, training=True)


def _depth(config: UNet, output: TensorSpec, source: TensorSpec | None) -> int:
    sides = output.shape[1:]
    if source is None or len(output.shape) != 3 or len(source.shape) != 3 or source.shape[1:] != sides:
        raise BadInput(f"'unet' makes an image from one of the same sides, not {output} from {source}")
    halvings = min(sides).bit_length() - 1
    depth = min(halvings, 8) if config.depth is None else config.depth
    if depth > halvings or depth < 2:
        raise BadInput(
            f"the sides of {output} can be halved {halvings} times, but the network halves them {max(depth, 2)} times",
            path=() if config.depth is None else ("depth",),
            remedy="Choose larger images, or a smaller depth (at least 2).",
        )
    return depth


def _norm(config: UNet, channels: int) -> list[nn.Module]:
    match config.norm:
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "instance":
            return [nn.InstanceNorm2d(channels)]
        case "none":
            return []
