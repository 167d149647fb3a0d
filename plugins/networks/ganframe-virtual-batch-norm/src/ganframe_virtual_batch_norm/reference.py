"""Virtual batch norm: statistics of a fixed reference batch and of the sample itself.

B samples of a batch, N samples of the reference batch, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from ganframe.config import BadInput, TensorSpec
from ganframe.game import Wrapper
from ganframe_virtual_batch_norm import VirtualBatchNorm


class VirtualNorm(nn.Module):
    """Normalises each sample by the statistics (reference sum + own value) / (N + 1) of the numbers and their squares.

    The first N samples of a batch are the reference, which is normalised by its own statistics. A sample contributes
    its mean over positions, so that it counts as much as one sample of the reference.

    Args:
        replaced: The batch norm to replace, whose scale, shift and epsilon are kept.
        reference: Number of reference samples, N.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.5.
    """

    def __init__(self, replaced: _BatchNorm, reference: int) -> None:
        super().__init__()
        self.reference = reference
        self.eps = replaced.eps
        self.weight: nn.Parameter | None = replaced.weight
        self.bias: nn.Parameter | None = replaced.bias

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features `(N + B, C, ...)`, the reference first."""
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(torch.promote_types(features.dtype, torch.float32))
            positions = tuple(range(2, wide.ndim))
            # Around a common centre, so that E x^2 - (E x)^2 is not a small difference of large numbers.
            centre = wide[: self.reference].detach().mean((0, *positions), keepdim=True)
            wide = wide - centre
            mean, square = (self._statistics(_mean(power, positions)) for power in (wide, wide.square()))
            normed = (wide - mean) * torch.rsqrt((square - mean.square()).clamp(min=0) + self.eps)
            shape = (1, -1, *(1,) * len(positions))
            if self.weight is not None:
                normed = normed * self.weight.reshape(shape)
            if self.bias is not None:
                normed = normed + self.bias.reshape(shape)
        return normed.to(features.dtype)

    def _statistics(self, means: Tensor) -> Tensor:
        """Return the statistic for each of the N + B samples, from the mean of each sample over its positions."""
        count = self.reference
        reference = means[:count].sum(0, keepdim=True)
        return torch.cat([(reference / count).expand_as(means[:count]), (reference + means[count:]) / (count + 1)])


class WithReference(Wrapper):
    """A generator that also generates the reference samples with each batch, for its virtual batch norms.

    Args:
        network: The generator, whose layers expect the reference first.
        latents: The reference latents `(N, ...)`.
        classes: Number of labels, which the reference takes in turn; None for an unconditional generator.
    """

    def __init__(self, network: nn.Module, latents: Tensor, classes: int | None) -> None:
        super().__init__(network)
        self.latents: Tensor
        self.register_buffer("latents", latents)
        self.classes = classes

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return samples `(B, ...)` for latents `(B, ...)`."""
        inputs = [torch.cat([self.latents.to(latent.dtype), latent])]
        if condition is not None and self.classes is not None:
            # Not a buffer: averaging would round the labels.
            labels = torch.arange(len(self.latents), device=condition.device) % self.classes
            inputs.append(torch.cat([labels.to(condition.dtype), condition]))
        return self.network(*inputs)[len(self.latents) :]


def with_reference(
    config: VirtualBatchNorm, network: nn.Module, source: TensorSpec | None, condition: TensorSpec | None
) -> nn.Module:
    """Replace the batch norms of a generator, and draw the reference batch.

    Raises:
        BadInput: When no reference can be drawn for the generator, or it has no batch norm.
    """
    if source is not None:
        raise BadInput("'virtual-batch-norm' draws latents, but this generator starts from a sample", path=("of",))
    if condition is not None and condition.classes is None:
        raise BadInput(f"'virtual-batch-norm' can draw class labels, but the condition is {condition}", path=("of",))
    batch_norms = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm)
    ]
    if not batch_norms:
        raise BadInput("'virtual-batch-norm' finds no batch norm in this generator", path=("of",))
    for parent, name, child in batch_norms:
        setattr(parent, name, VirtualNorm(child, config.reference))
    shape: Any = (config.reference, *network.latent_shape)  # pyright: ignore[reportGeneralTypeIssues]
    latents = torch.randn(shape) if config.prior == "normal" else torch.rand(shape) * 2 - 1
    return WithReference(network, latents, None if condition is None else condition.classes)


def _mean(values: Tensor, positions: tuple[int, ...]) -> Tensor:
    return values.mean(positions, keepdim=True) if positions else values
