"""A discriminator with a statistic over the batch beside its last features.

B samples of a batch, C channels of the last features, S numbers of the statistic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, Wrapper
from ganframe_minibatch_statistics import MinibatchDiscrimination, MinibatchStddev
from ganframe_minibatch_statistics.statistics import Closeness, Deviation, pooled

if TYPE_CHECKING:
    from ganframe.config import DiscriminatorConfig
    from ganframe.game import Sample


class WithStatistic(Wrapper):
    """A discriminator whose logits are also a linear function of its last features and their statistic.

    The features, averaged over their positions, and the statistic together are one more, last feature `(B, C + S)`.

    Args:
        network: The discriminator.
        statistic: From features `(B, C, ...)` to numbers `(B, S)`.
        width: C + S.
    """

    def __init__(self, network: nn.Module, statistic: nn.Module, width: int) -> None:
        super().__init__(network)
        self.statistic = statistic
        self.judge = nn.Linear(width, 1)

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Judge a batch; every logit of a sample is raised alike."""
        output: DiscriminatorOutput = self.network(sample) if condition is None else self.network(sample, condition)
        last = output.features[-1]
        joined = torch.cat([pooled(last), self.statistic(last).to(last.dtype)], dim=1)
        more = self.judge(joined).reshape(-1, *(1,) * (output.logits.ndim - 1))
        return DiscriminatorOutput(output.logits + more, (*output.features, joined), output.class_logits)


def discrimination(
    config: MinibatchDiscrimination, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> nn.Module:
    """The discriminator with minibatch discrimination.

    Raises:
        BadInput: When the discriminator gives no features.
    """
    channels = _channels(config.type, config.of, network, sample, condition)
    statistic = Closeness(channels, config.kernels, config.dimensions)
    return WithStatistic(network, statistic, channels + config.kernels)


def stddev(config: MinibatchStddev, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
    """The discriminator with the deviation over the batch.

    Raises:
        BadInput: When the discriminator gives no features, or their channels do not divide into so many shares.
    """
    channels = _channels(config.type, config.of, network, sample, condition)
    if channels % config.channels:
        message = f"the last features have {channels} channels, which do not divide into {config.channels} shares"
        raise BadInput(message, path=("channels",))
    return WithStatistic(network, Deviation(config.group_size, config.channels), channels + config.channels)


def _channels(
    name: str, of: DiscriminatorConfig, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> int:
    """The channels of the last features, as a trial with two samples shows them."""
    if "features" not in of.provides:
        message = f"{name!r} needs a discriminator that gives features, which {of.type_name()!r} does not"
        raise BadInput(message, path=("of",))
    zeros = tuple(torch.zeros(2, *part.shape) for part in parts(sample))
    given: list[Any] = [zeros if isinstance(sample, tuple) else zeros[0]]
    if condition is not None:
        dtype = torch.float32 if condition.classes is None else torch.int64
        given.append(torch.zeros(2, *condition.shape, dtype=dtype))
    network.eval()
    with torch.no_grad():
        output: DiscriminatorOutput = network(*given)
    network.train()
    return output.features[-1].shape[1]
