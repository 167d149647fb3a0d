"""A network around another one, for transforms that add something to it."""

from __future__ import annotations

from typing import Any

from torch import nn


class Wrapper(nn.Module):
    """Does what the network inside does, and offers whatever it offers; a subclass says what is different.

    Args:
        network: The network inside.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Any, **named: Any) -> Any:
        """What the network inside gives."""
        return self.network(*given, **named)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the network inside offers, such as the `latent_shape` of a generator."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
