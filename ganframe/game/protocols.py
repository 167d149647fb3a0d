"""What live objects look like to the core: the methods that plugins write.

Protocols name `forward`, because that is what an author writes; the core calls modules as PyTorch does. The
conformance kit (`ganframe.testing`) checks what types cannot say.

B is the batch axis; a sample is `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganframe.game.discriminator_output import DiscriminatorOutput
    from ganframe.game.round import Round
    from ganframe.game.samples import Sample


class Generator(Protocol):
    """A network that makes samples.

    One that starts from a latent says in `latent_shape` what one latent is, without the batch axis.
    """

    def forward(self, source: Tensor, condition: Tensor | None = None, /) -> Tensor:
        """Make one sample for each latent, or for each sample of another domain."""
        ...


class Discriminator(Protocol):
    """A network that judges samples."""

    def forward(self, sample: Sample, condition: Tensor | None = None, /) -> DiscriminatorOutput:
        """Judge a batch; a tuple is judged as one."""
        ...


class Loss(Protocol):
    """An adversarial loss over one contest. A verdict is computed only if it is read."""

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the discriminator minimises."""
        ...

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the generators minimise."""
        ...


class Regularizer(Protocol):
    """Any other term of a turn's objective."""

    def forward(self, game_round: Round, /) -> Tensor:
        """The scalar penalty, before its weight."""
        ...


class LabelPolicy(Protocol):
    """A change to the discriminator's targets."""

    def forward(self, target: Tensor, real: bool, generator: torch.Generator, /) -> Tensor:
        """New targets `(B,)` in [0, 1] for one side of a contest."""
        ...


class Augmentation(Protocol):
    """A differentiable change to what a discriminator sees; its buffers survive a resume."""

    def forward(self, sample: Sample, generator: torch.Generator, /) -> Sample:
        """The sample as the discriminator is to see it."""
        ...


class Encoder(Protocol):
    """A frozen network in eval mode; gradients pass through it to the sample."""

    def forward(self, sample: Tensor, /) -> tuple[Tensor, ...]:
        """Activations of a batch of samples, input side first, each with the batch axis first."""
        ...


class Metric(Protocol):
    """A measurement that is filled batch by batch; two halves can be merged."""

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Take in a batch of named tensors."""
        ...

    def merge(self, other: Any) -> None:
        """Take in what another measurement over the same data has seen."""
        ...

    def compute(self) -> dict[str, float]:
        """The results by name."""
        ...


class Optimizer(Protocol):
    """What the core uses of `torch.optim.Optimizer`."""

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Move the parameters."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The state, as PyTorch lays it out."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state back."""
        ...
