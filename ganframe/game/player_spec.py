"""Player specs: the networks that a game needs, and the tensors that each has to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import BadInput, ConfigPath, within

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PlayerSpec:
    """The config of a player and the tensors that its network has to fit.

    Attributes:
        config: The config of the network.
        path: The place of the config in the game's config.
        sample: One sample: the input of a discriminator, the output of a generator.
        source: The sample that a generator starts from; None if it starts from a latent.
        condition: The condition of one sample; None for an unconditional player.
    """

    config: GeneratorConfig | DiscriminatorConfig
    path: ConfigPath
    sample: SampleSpec
    source: TensorSpec | None = None
    condition: TensorSpec | None = None

    def check(self) -> None:
        """Refuse a network that does not fit.

        Raises:
            BadInput: When the network takes no condition but needs one, or starts from the wrong kind of tensor.
        """
        name = self.config.type_name()
        if self.condition is not None and not self.config.conditional:
            raise BadInput(f"{name!r} takes no condition, but the game is conditional", path=self.path)
        if isinstance(self.config, GeneratorConfig):
            expected = "latent" if self.source is None else "sample"
            if self.config.starts_from != expected:
                remedy = f"Use a generator that starts from a {expected}."
                message = f"{name!r} starts from a {self.config.starts_from}"
                raise BadInput(message, path=self.path, remedy=remedy)

    def heads(self) -> tuple[str, ...]:
        """Return the names of a discriminator's heads; empty for a single head, and for a generator."""
        return self.config.heads() if isinstance(self.config, DiscriminatorConfig) else ()

    def build(self) -> nn.Module:
        """Build the network.

        Raises:
            BadInput: When the network does not fit.
        """
        self.check()
        with within(*self.path):
            if isinstance(self.config, DiscriminatorConfig):
                return self.config.build(sample=self.sample, condition=self.condition)
            output = cast(TensorSpec, self.sample)
            return self.config.build(output=output, source=self.source, condition=self.condition)
