"""The initialisation of DCGAN, which most convolutional GANs share."""

from __future__ import annotations

from torch import nn


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of a convolution from N(0, std^2) and of a batch norm from N(1, std^2); set biases to 0.

    Call it as `network.apply(init_normal)`. Modules of other types stay as they are.

    Args:
        module: Any module.
        std: Standard deviation of the draws.

    References:
        Radford et al. 2016, arXiv:1511.06434, section 4.
    """
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, 1.0, std)
        nn.init.zeros_(module.bias)
