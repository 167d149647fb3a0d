"""Player specs: which networks a game needs, and what each has to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.specs import SampleSpec, TensorSpec
from ganframe.errors import BadInput, ConfigPath, within

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PlayerSpec:
    """A player to be built: its config and what it has to fit.

    Attributes:
        config: The config of the network.
        path: Where the config stands in the game's config.
        sample: One sample that goes in (a discriminator) or comes out (a generator).
        source: What a generator starts from, where that is a sample.
        condition: The condition of one sample; None for an unconditional player.
    """

    config: GeneratorConfig | DiscriminatorConfig
    path: ConfigPath
    sample: SampleSpec
    source: TensorSpec | None = None
    condition: TensorSpec | None = None

    def check(self) -> None:
        """Refuse a network that cannot play the role.

        Raises:
            BadInput: When the network lacks what the role takes.
        """
        name = self.config.type_name()
        if self.condition is not None and not self.config.conditional:
            raise BadInput(f"{name!r} takes no condition, but the game is conditional", path=self.path)
        if isinstance(self.config, GeneratorConfig):
            wanted = "latent" if self.source is None else "sample"
            if self.config.starts_from != wanted:
                remedy = f"The game needs a generator that starts from a {wanted}."
                message = f"{name!r} starts from a {self.config.starts_from}"
                raise BadInput(message, path=self.path, remedy=remedy)

    def build(self) -> nn.Module:
        """Make the network.

        Raises:
            BadInput: When the network cannot play the role.
        """
        self.check()
        with within(*self.path):
            if isinstance(self.config, DiscriminatorConfig):
                return self.config.build(sample=self.sample, condition=self.condition)
            output = cast(TensorSpec, self.sample)
            return self.config.build(output=output, source=self.source, condition=self.condition)
