"""Protocols of the objects that plugins build: the methods that a plugin implements and the core calls.

Most of these objects are an `nn.Module`, so the method to implement is `forward`. The conformance kit
(`ganframe.testing`) checks the requirements that types cannot express.

B is the batch size; the batch axis comes first. Samples are `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors.
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

    A generator that takes latents must have an attribute `latent_shape`, the shape of one latent without the batch
    axis, unless `latent_specs()` of its config has that shape. If both do, they must be equal.

    Any network may have a method `parameter_groups() -> Mapping[str, Iterable[nn.Parameter]]`. It names groups of
    parameters, such as those of a mapping network, and the config of an optimizer can have settings for each group. It
    must return the parameters that the network has now; they change when it grows.
    """

    def forward(self, source: Tensor, condition: Tensor | None = None, /) -> Tensor:
        """Return one sample for each row of `source`, which holds latents or samples of another domain."""
        ...


class Discriminator(Protocol):
    """A network that tells real samples from fakes.

    A discriminator with several heads of logits must have an attribute `head_names`, a tuple of the heads' names, and
    return `DiscriminatorOutput.of_heads(...)`.
    """

    def forward(self, sample: Sample, condition: Tensor | None = None, /) -> DiscriminatorOutput:
        """Return the logits of a batch of samples, with features and class logits if the network has them.

        Args:
            sample: One tensor `(B, ...)`, or a tuple of tensors if each sample consists of several.
            condition: The condition of each sample, `(B, ...)`; None if the discriminator is unconditional. It may be a
                tuple of tensors if the config sets `several_conditions`.
        """
        ...


class Loss(Protocol):
    """An adversarial loss of one batch of real samples and one batch of fakes.

    The discriminator runs on either batch only when the loss reads an attribute of the output for it.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generators minimise."""
        ...


class Regularizer(Protocol):
    """A term of the objective that is not an adversarial loss, such as a gradient penalty."""

    def forward(self, game_round: Round, /) -> Tensor:
        """Return the value of the term: a scalar, not yet multiplied by its weight."""
        ...


class Wrapping(Protocol):
    """An object of any kind whose config contains other components, such as a sum of losses.

    Because of `nested`, the inner objects follow the schedules in their configs, and their hooks are called. An inner
    object with parameters or buffers must also be a submodule.

    Attributes:
        nested: For each inner component, its config and the object that was built from it.
    """

    nested: Sequence[tuple[Component, object]]


class LabelPolicy(Protocol):
    """A change to the labels that a discriminator is trained towards (targets), such as label smoothing."""

    def forward(self, target: Tensor, real: bool, generator: torch.Generator, /) -> Tensor:
        """Return new targets `(B,)` in [0, 1] for the reals or the fakes of a contest.

        Args:
            target: The targets before this change, `(B,)` in [0, 1].
            real: True for reals, False for fakes.
            generator: The only source of random draws.
        """
        ...


class Augmentation(Protocol):
    """A differentiable change to the samples that a discriminator is given; its buffers are saved in checkpoints."""

    def forward(self, sample: Sample, generator: torch.Generator, /) -> Sample:
        """Return the augmented samples, in the shape of `sample`. Random draws must come from `generator` only."""
        ...


class TurnCondition(Protocol):
    """A rule that decides in each training step whether a turn (optimizer step) is taken, alike on all ranks."""

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Return whether to take the turn.

        Args:
            rounds: The batches of the turn, with the random draws that they will have if it is taken. The players are
                in eval mode, and gradients are disabled.
            step: The number of training steps completed before this one.
        """
        ...


class Balancer(Protocol):
    """A rule that weighs the terms of a turn (optimizer step) by their gradients."""

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float], /) -> Mapping[str, Tensor]:
        """Return the new weight of each term, a scalar; a term that is left out keeps the weight of its config.

        Args:
            gradients: The gradient of each term that takes part, not multiplied by the weight, over the batches of all
                ranks. It has the shape of the parameter, or `(B, ...)` for a named tensor.
            weights: The weight of each of these terms in the config.
        """
        ...


class Encoder(Protocol):
    """A frozen network in eval mode, such as VGG, whose activations a loss or metric compares.

    Gradients flow through the network to the samples, unless its config says that it is not `differentiable`. A metric
    takes the last activation as the features of a sample; if it is `(B, C, H, W)`, its mean over height and width.
    """

    def forward(self, sample: Tensor, /) -> tuple[Tensor, ...]:
        """Return activations of a batch of samples, each `(B, ...)`, from the first layer to the last."""
        ...


class Metric(Protocol):
    """A measurement that is updated batch by batch, and can be merged with measurements of other batches.

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
        """Add all batches that `other`, a metric of the same class and settings, was updated with."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the results by name."""
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
