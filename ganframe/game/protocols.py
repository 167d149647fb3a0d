"""Protocols of live objects: the methods that plugins write and the core calls.

Protocols name `forward`, which is what an author writes; the core calls modules as PyTorch does. The conformance kit
(`ganframe.testing`) checks what types cannot express.

B is the batch axis; a sample is `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganframe.game.discriminator_output import DiscriminatorOutput
    from ganframe.game.round import Round
    from ganframe.game.samples import Sample


class Generator(Protocol):
    """A network that makes samples.

    A generator that starts from a latent has an attribute `latent_shape`: the shape of one latent, without batch axis.
    """

    def forward(self, source: Tensor, condition: Tensor | None = None, /) -> Tensor:
        """Return one sample for each latent, or for each sample of another domain."""
        ...


class Discriminator(Protocol):
    """A network that tells real samples from fakes."""

    def forward(self, sample: Sample, condition: Tensor | None = None, /) -> DiscriminatorOutput:
        """Return the logits of a batch, and its features and class logits if there are any; a tuple is one sample."""
        ...


class Loss(Protocol):
    """An adversarial loss over one contest. The discriminator is run on a side only if its output is read."""

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generators minimise."""
        ...


class Regularizer(Protocol):
    """Any other term of a turn's objective."""

    def forward(self, game_round: Round, /) -> Tensor:
        """Return the penalty, a scalar, before its weight."""
        ...


class LabelPolicy(Protocol):
    """A change to the discriminator's targets."""

    def forward(self, target: Tensor, real: bool, generator: torch.Generator, /) -> Tensor:
        """Return new targets `(B,)` in [0, 1] for one side of a contest."""
        ...


class Augmentation(Protocol):
    """A differentiable change to the samples that a discriminator is given; its buffers are saved in checkpoints."""

    def forward(self, sample: Sample, generator: torch.Generator, /) -> Sample:
        """Return the sample that the discriminator is given."""
        ...


class TurnCondition(Protocol):
    """A condition under which a turn is taken. It has the same value on every rank."""

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Return whether the turn is taken.

        Args:
            rounds: Rounds over the batches of the turn, in the turn and without gradients. They are not those that the
                turn is taken on, but have the same tensors.
            step: The number of steps taken before.
        """
        ...


class Balancer(Protocol):
    """A rule that weighs the terms of a turn by their gradients."""

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float], /) -> Mapping[str, Tensor]:
        """Return the weights of terms; a term that is left out keeps its own.

        Args:
            gradients: The gradient of each term that takes part, before its weight, over the batches of all ranks: by a
                parameter, of its shape; or by a named tensor, `(B, ...)`.
            weights: The weight of each of these terms in the config.
        """
        ...


class Encoder(Protocol):
    """A frozen network in eval mode; gradients pass through it to the sample."""

    def forward(self, sample: Tensor, /) -> tuple[Tensor, ...]:
        """Return the activations of a batch of samples, input side first, each with the batch axis first."""
        ...


class Metric(Protocol):
    """A measurement that is updated batch by batch; two halves can be merged."""

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add a batch of named tensors."""
        ...

    def merge(self, other: Any) -> None:
        """Add the batches of another measurement over the same data."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the results by name."""
        ...


class Optimizer(Protocol):
    """The part of `torch.optim.Optimizer` that the core uses."""

    param_groups: list[dict[str, Any]]

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
