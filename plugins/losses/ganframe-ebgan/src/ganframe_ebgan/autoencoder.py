"""The discriminator.

B: examples. D: numbers in a sample. K: numbers in a code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganframe.config import SampleSpec, parts
from ganframe.game import DiscriminatorOutput, Sample, sample_parts
from ganframe_ebgan import Autoencoder


class AutoencoderNetwork(nn.Module):
    """Fully connected layers to a code and back, leaky ReLU between them; the code and the output are linear.

    Args:
        config: Widths.
        sample: Spec of a sample; several tensors are flattened and joined.

    References:
        Zhao et al. 2017, arXiv:1609.03126, section 2.3.
    """

    def __init__(self, config: Autoencoder, sample: SampleSpec) -> None:
        super().__init__()
        widths = [sum(math.prod(part.shape) for part in parts(sample)), *config.hidden, config.code]
        self.encode, self.decode = _layers(widths), _layers(widths[::-1])

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return minus the mean squared errors as logits `(B,)`, and the codes as features `(B, K)`."""
        flat = torch.cat([part.reshape(len(part), -1) for part in sample_parts(sample)], dim=1)
        code = self.encode(flat)
        return DiscriminatorOutput(-(self.decode(code) - flat).square().mean(1), features=(code,))


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.LeakyReLU(0.2)] if layers else []
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)
