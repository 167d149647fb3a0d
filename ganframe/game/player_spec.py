"""Player specs: the config of each network that a game needs, with the shapes of its input and output."""

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
    """The config of a player's network, with the specs of the tensors that the network takes and makes.

    Attributes:
        config: The config of the network.
        path: The place of `config` in the game's config, for errors.
        sample: The spec of one sample, which is the input of a discriminator or the output of a generator.
        source: The spec of the sample that a generator takes as input; None for a generator that takes a latent, and
            for a discriminator.
        condition: The spec of the condition of one sample, or of each of its tensors if there are several; None for an
            unconditional player.
    """

    config: GeneratorConfig | DiscriminatorConfig
    path: ConfigPath
    sample: SampleSpec
    source: TensorSpec | None = None
    condition: SampleSpec | None = None

    def check(self) -> None:
        """Refuse a network that does not take the kinds of input that the game gives.

        Raises:
            BadInput: When the network is given a condition but takes none, or several conditions but takes one, or when
                a generator takes a latent but is given a sample, or the reverse.
        """
        name = self.config.type_name()
        if self.condition is not None and not self.config.conditional:
            raise BadInput(f"{name!r} takes no condition, but the game is conditional", path=self.path)
        if isinstance(self.condition, tuple) and not self.config.several_conditions:
            given = " and ".join(map(str, self.condition))
            raise BadInput(f"{name!r} takes one condition, but the game gives {given}", path=self.path)
        if isinstance(self.config, GeneratorConfig):
            expected = "latent" if self.source is None else "sample"
            if self.config.starts_from != expected:
                remedy = f"Use a generator that starts from a {expected}."
                message = f"{name!r} starts from a {self.config.starts_from}"
                raise BadInput(message, path=self.path, remedy=remedy)

    def build(self) -> nn.Module:
        """Build the network.

        Raises:
            BadInput: When `check` refuses the network, or it cannot take or make tensors of these shapes.
        """
        self.check()
        # A tuple goes only to a config whose `build` takes one, which `check` has seen to.
        condition = cast("TensorSpec | None", self.condition)
        with within(*self.path):
            if isinstance(self.config, DiscriminatorConfig):
                return self.config.build(sample=self.sample, condition=condition)
            output = cast(TensorSpec, self.sample)
            return self.config.build(output=output, source=self.source, condition=condition)
