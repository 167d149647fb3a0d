"""A discriminator that also sees a statistic over the batch, computed from its last features.

B samples of a batch, C channels of the last features, S numbers of the statistic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config import BadInput, DiscriminatorConfig, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, Sample, Wrapper, per_example
from ganframe_minibatch_statistics import MinibatchDiscrimination, MinibatchStddev
from ganframe_minibatch_statistics.statistics import Closeness, Deviation, pooled


class WithStatistic(Wrapper):
    """Adds a linear function of the last features and their statistic to the logits of a discriminator.

    The features, averaged over their positions, and the statistic are appended as one more feature `(B, C + S)`.

    Args:
        network: The discriminator.
        statistic: Maps features `(B, C, ...)` to numbers `(B, S)`.
        width: C + S.
    """

    def __init__(self, network: nn.Module, statistic: nn.Module, width: int) -> None:
        super().__init__(network)
        self.statistic = statistic
        self.judge = nn.Linear(width, 1)

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return the output for a batch; the same number is added to every logit of a sample."""
        output: DiscriminatorOutput = self.network(sample) if condition is None else self.network(sample, condition)
        last = output.features[-1]
        joined = torch.cat([pooled(last), self.statistic(last).to(last.dtype)], dim=1)
        added = per_example(self.judge(joined), output.logits)
        return DiscriminatorOutput(output.logits + added, (*output.features, joined), output.class_logits)


def discrimination(
    config: MinibatchDiscrimination, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> nn.Module:
    """Return the discriminator with minibatch discrimination.

    Raises:
        BadInput: When the discriminator returns no features.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.2.
    """
    channels = _channels(config.type, config.of, network, sample, condition)
    statistic = Closeness(channels, config.kernels, config.dimensions)
    return WithStatistic(network, statistic, channels + config.kernels)


def stddev(config: MinibatchStddev, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
    """Return the discriminator with the standard deviation over the batch.

    Raises:
        BadInput: When the discriminator returns no features, or their channels do not divide into `channels` shares.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 3.
    """
    channels = _channels(config.type, config.of, network, sample, condition)
    if channels % config.channels:
        message = f"the last features have {channels} channels, which do not divide into {config.channels} shares"
        raise BadInput(message, path=("channels",))
    return WithStatistic(network, Deviation(config.group_size, config.channels), channels + config.channels)


def _channels(
    name: str, of: DiscriminatorConfig, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> int:
    """Return the channels of the last features, found by a pass over two samples of zeros in eval mode."""
    if "features" not in of.provides:
        message = f"{name!r} needs a discriminator that returns features, which {of.type_name()!r} does not"
        raise BadInput(message, path=("of",))
    zeros = tuple(torch.zeros(2, *part.shape) for part in parts(sample))
    inputs: list[Any] = [zeros if isinstance(sample, tuple) else zeros[0]]
    if condition is not None:
        dtype = torch.float32 if condition.classes is None else torch.int64
        inputs.append(torch.zeros(2, *condition.shape, dtype=dtype))
    network.eval()
    with torch.no_grad():
        output: DiscriminatorOutput = network(*inputs)
    network.train()
    return output.features[-1].shape[1]
