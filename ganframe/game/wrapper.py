"""Base class of networks that wrap another network, for transforms that add something to it."""

from __future__ import annotations

from typing import Any

from torch import nn


class Wrapper(nn.Module):
    """A network that passes calls and attributes on to another network; a subclass overrides those that differ.

    Args:
        network: The wrapped network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the wrapped network."""
        return self.network(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that only the wrapped network has, such as the `latent_shape` of a generator."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
