"""Protocols of the objects that plugins build: the methods that a plugin implements and the core calls.

Most of these objects are an `nn.Module`, for which a protocol names `forward`: the method that the author of a plugin
writes. The conformance kit (`ganframe.testing`) checks the requirements that types cannot express.

B is the size of the batch, whose axis comes first. Samples are `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for
vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganframe.config.component import Component
    from ganframe.game.discriminator_output import DiscriminatorOutput
    from ganframe.game.round import Round
    from ganframe.game.samples import Sample


class Generator(Protocol):
    """A network that makes samples.

    A generator that takes latents has an attribute `latent_shape`: the shape of one latent, without the batch axis. If
    `latent_specs()` of the config tells the shape, the two are the same.

    Any network may have a method `parameter_groups() -> Mapping[str, Iterable[nn.Parameter]]`. It gives names to groups
    of the network's present parameters, such as those of a mapping network. The config of an optimizer can then have
    separate settings for each group.
    """

    def forward(self, source: Tensor, condition: Tensor | None = None, /) -> Tensor:
        """Return one sample for each row of `source`, which holds latents or samples of another domain."""
        ...


class Discriminator(Protocol):
    """A network that tells real samples from fakes.

    A discriminator with several heads of logits has an attribute `head_names`, the names of the heads, and returns
    `DiscriminatorOutput.of_heads`.
    """

    def forward(self, sample: Sample, condition: Tensor | None = None, /) -> DiscriminatorOutput:
        """Return the logits of a batch of samples, with features and class logits if the network has them.

        Args:
            sample: One tensor `(B, ...)`, or a tuple of tensors if each sample consists of several.
            condition: The condition of each sample, `(B, ...)`; None for an unconditional discriminator. A network
                whose config says `several_conditions` may be given a tuple of tensors.
        """
        ...


class Loss(Protocol):
    """An adversarial loss of one contest, that is of one batch of real samples and one of fakes.

    The discriminator is run on the samples of a side only when the loss reads an attribute of the output for that side.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generators minimise."""
        ...


class Regularizer(Protocol):
    """A term of a turn's objective that is not an adversarial loss, such as a gradient penalty."""

    def forward(self, game_round: Round, /) -> Tensor:
        """Return the value of the term: a scalar, not yet multiplied by its weight."""
        ...


class Wrapping(Protocol):
    """A live object of any kind that holds the live objects of components nested in its config.

    The objects in `nested` follow the schedules of their configs, and their hooks are called. If such an object has
    parameters or buffers, it must be a submodule of the object that holds it.

    Attributes:
        nested: The config and the live object of each nested component.
    """

    nested: Sequence[tuple[Component, object]]


class LabelPolicy(Protocol):
    """A change to the discriminator's targets, such as label smoothing."""

    def forward(self, target: Tensor, real: bool, generator: torch.Generator, /) -> Tensor:
        """Return new targets `(B,)` in [0, 1] for one side of a contest.

        Args:
            target: The targets before this change, `(B,)` in [0, 1].
            real: Whether the side is the real one.
            generator: The source of random draws.
        """
        ...


class Augmentation(Protocol):
    """A differentiable change to the samples that a discriminator is given; its buffers are saved in checkpoints."""

    def forward(self, sample: Sample, generator: torch.Generator, /) -> Sample:
        """Return the changed samples, which the discriminator is given; `generator` is the source of random draws."""
        ...


class TurnCondition(Protocol):
    """A condition under which a turn is taken. The decision is the same on every rank."""

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Return whether the turn is taken.

        Args:
            rounds: Rounds over the batches of the turn, with the same random draws as the rounds in which the turn is
                taken. The players are in eval mode, and there are no gradients.
            step: The number of steps taken before.
        """
        ...


class Balancer(Protocol):
    """A rule that weighs the terms of a turn by their gradients."""

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float], /) -> Mapping[str, Tensor]:
        """Return new weights of terms; a term that is left out keeps its weight in the config.

        Args:
            gradients: The gradient of each term that takes part, not multiplied by the weight, over the batches of all
                ranks. It has the shape of the parameter, or `(B, ...)` for a named tensor.
            weights: The weight of each of these terms in the config.
        """
        ...


class Encoder(Protocol):
    """A frozen network in eval mode, such as VGG, whose activations are compared.

    Gradients flow through the network to the samples, unless its config says that it is not `differentiable`. A metric
    takes the last activation as the features of a sample; if it is `(B, C, H, W)`, its mean over height and width.
    """

    def forward(self, sample: Tensor, /) -> tuple[Tensor, ...]:
        """Return activations of a batch of samples, each `(B, ...)`, from the first layer to the last."""
        ...


class Metric(Protocol):
    """A measurement that is updated batch by batch; measurements of parts of the data can be merged.

    A metric may have three more methods. `read(game_round)` returns the tensors that `update` is given, a row for each
    example, in place of those that the config's `tensors()` names; with it, a metric can call the players of
    `game_round.game`. `protocol()` returns whatever else decides the results, as text by name, such as the encoder and
    the number of real examples; it is shown with the results. `pictures()`, called after `compute`, returns tensors
    of images by name, drawn side by side.
    """

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add a batch of named tensors to the measurement."""
        ...

    def merge(self, other: Any) -> None:
        """Add all batches that another object of the same metric was updated with."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the measured numbers by name."""
        ...


class Optimizer(Protocol):
    """The part of `torch.optim.Optimizer` that the core uses."""

    param_groups: list[dict[str, Any]]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group: parameters under the key `params`, and their settings."""
        ...

    def step(self) -> Any:
        """Update the parameters."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state in PyTorch's format."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        ...
