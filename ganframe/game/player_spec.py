"""Player specs: the config of each network that a game needs, with the shapes of its input and output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.plugins.author_code import build_live


@dataclass(frozen=True)
class PlayerSpec:
    """The config of a player's network, with the specs of the tensors that the network takes and makes.

    Attributes:
        config: The config of the network.
        path: The path of `config` in the game's config, for errors, such as `("generator",)`.
        sample: The spec of one sample, which is the input of a discriminator or the output of a generator.
        source: The spec of a generator's input if that is a sample, as in image translation; None otherwise.
        condition: The spec of the condition of one sample, or a tuple of specs if the condition has several tensors;
            None if the player is unconditional.
        frozen: Whether the network never trains, such as a teacher or a feature network that the game calls. It stays
            in eval mode, and gradients pass through it. Checkpoints do not save it, so it is built again when the run
            is resumed or loaded.
    """

    config: GeneratorConfig | DiscriminatorConfig
    path: ConfigPath
    sample: SampleSpec
    source: TensorSpec | None = None
    condition: SampleSpec | None = None
    frozen: bool = False

    def check(self) -> None:
        """Refuse a network that does not take the inputs that the game gives.

        Raises:
            BadInput: When the network is unconditional but is given a condition, or takes one condition but is given
                several; when a generator takes a latent but is given a sample, or the reverse.
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
        """Build the network. A frozen network is in eval mode, and none of its weights requires a gradient.

        Raises:
            BadInput: When `check` refuses the network, or the network cannot take or make tensors of these shapes.
        """
        self.check()
        with within(*self.path):
            network = self._build()
        return network.eval().requires_grad_(False) if self.frozen else network

    def _build(self) -> nn.Module:
        # `check` has refused a tuple of conditions unless `build` of this config takes one.
        specs: Any = {"sample": self.sample, "condition": self.condition}
        if isinstance(self.config, GeneratorConfig):
            specs = {"output": self.sample, "source": self.source, "condition": self.condition}
        return build_live(self.config, returns=nn.Module, **specs)
