"""Whole training steps on synthetic input: every turn's loss, its backward and the optimizer's step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganframe_kernels import ops
from ganframe_kernels.bench.networks import cyclegan, stylegan2

Turns = Sequence["Turn"]


class Turn:
    """One optimizer step of some players, while the others are frozen.

    Args:
        loss: Takes the tensors that `draw` returns.
        draw: Draws synthetic input.
        players: The players that are trained.
        others: The other players, which are frozen.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        draw: Callable[[], Sequence[Tensor]],
        players: Sequence[nn.Module],
        others: Sequence[nn.Module],
    ) -> None:
        self.loss, self.draw, self.players, self.others = loss, draw, players, others
        self.parameters = list(chain.from_iterable(player.parameters() for player in players))
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-5, betas=(0.0, 0.99), fused=True)

    def gradients(self, loss: Callable[..., Tensor]) -> Tensor:
        """Compute the gradients of the turn's loss, or of its compiled form, into the parameters; return the loss."""
        for player in self.others:
            player.requires_grad_(False)
        for player in self.players:
            player.requires_grad_(True)
        found = loss(*self.draw())
        found.backward(inputs=self.parameters)
        return found.detach()

    def take(self, loss: Callable[..., Tensor]) -> None:
        """Take the turn, with its loss or the compiled form of it."""
        self.optimizer.zero_grad()
        self.gradients(loss)
        self.optimizer.step()


@dataclass(frozen=True)
class System:
    """A system of networks whose steps are timed.

    Attributes:
        name: Its name in the literature.
        batch: Examples of a step.
        shape: Shape of one example.
        small: The shape where the step is only checked.
        build: Makes the turns of each kind of step, for a batch, a shape, a device and a dtype.
        by_graphs: Whether to time CUDA graphs as well, since the kernels are short.
    """

    name: str
    batch: int
    shape: tuple[int, int, int]
    small: tuple[int, int, int]
    build: Callable[[int, tuple[int, int, int], torch.device, torch.dtype], Mapping[str, Turns]]
    by_graphs: bool = False


def _precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return autocast to bfloat16 on a GPU, for float32 parameters; float64 parameters are for checks."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" and dtype == torch.float32)


def _placed(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    return network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def stylegan2_turns(
    batch: int, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> Mapping[str, Turns]:
    """Make non-saturating turns of both players, plain and with R1 and path length, which are lazy in training."""
    side = shape[1]
    base = 32768 if side == 256 else 8 * side
    generator = stylegan2.Generator(side, base)
    discriminator = stylegan2.Discriminator(side, base)
    _placed(generator, device, dtype)
    _placed(discriminator, device, dtype)

    def latents() -> Tensor:
        return torch.randn(batch, stylegan2.LATENT, device=device, dtype=dtype)

    def images() -> Tensor:
        return torch.randn(batch, *shape, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def discriminator_loss(real: Tensor, latent: Tensor) -> Tensor:
        with _precision(device, dtype):
            of_real, of_fake = discriminator(real), discriminator(generator(latent))
            return ops.patch_loss(of_real, True, "bce") + ops.patch_loss(of_fake, False, "bce")

    def penalised_discriminator_loss(real: Tensor, latent: Tensor) -> Tensor:
        with _precision(device, dtype):
            of_real, of_fake = discriminator(real), discriminator(generator(latent))
            (slope,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
            loss = ops.patch_loss(of_real, True, "bce") + ops.patch_loss(of_fake, False, "bce")
            return loss + 5 * ops.gradient_norm(slope, squared=True).mean()

    def generator_loss(latent: Tensor) -> Tensor:
        with _precision(device, dtype):
            return ops.patch_loss(discriminator(generator(latent)), True, "bce")

    def penalised_generator_loss(latent: Tensor) -> Tensor:
        with _precision(device, dtype):
            w = generator.mapped(latent)
            image = generator.synthesize(w)
            # Drawn in the order of the axes, whatever the layout, so that all contenders draw the same.
            noise = torch.randn(image.shape, device=device, dtype=image.dtype) / side
            (slope,) = torch.autograd.grad((image * noise).sum(), w, create_graph=True)
            lengths = ops.gradient_norm(slope)
            # In training it is a running mean.
            penalty = (lengths - lengths.detach().mean()).square().mean()
            return ops.patch_loss(discriminator(image), True, "bce") + 2 * penalty

    def turns(of_discriminator: Callable[..., Tensor], of_generator: Callable[..., Tensor], penalised: bool) -> Turns:
        return (
            Turn(
                of_discriminator, lambda: (images().requires_grad_(penalised), latents()), [discriminator], [generator]
            ),
            Turn(of_generator, lambda: (latents(),), [generator], [discriminator]),
        )

    return {
        "plain": turns(discriminator_loss, generator_loss, penalised=False),
        "R1 and path length": turns(penalised_discriminator_loss, penalised_generator_loss, penalised=True),
    }


def cyclegan_turns(
    batch: int, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> Mapping[str, Turns]:
    """Make least-squares turns with cycles and identities; discriminators see earlier fakes, as in the paper."""
    blocks, width = (9, 64) if shape[1] == 256 else (1, 4)
    a_to_b, b_to_a = cyclegan.ResNet(blocks, width), cyclegan.ResNet(blocks, width)
    of_a, of_b = cyclegan.PatchGAN(width), cyclegan.PatchGAN(width)
    for network in (a_to_b, b_to_a, of_a, of_b):
        _placed(network, device, dtype)

    def images() -> Tensor:
        x = torch.rand(batch, *shape, device=device, dtype=dtype) * 2 - 1
        return x.contiguous(memory_format=torch.channels_last)

    def generator_loss(a: Tensor, b: Tensor) -> Tensor:
        with _precision(device, dtype):
            fake_b, fake_a = a_to_b(a), b_to_a(b)
            cycles = F.l1_loss(b_to_a(fake_b), a) + F.l1_loss(a_to_b(fake_a), b)
            identities = F.l1_loss(a_to_b(b), b) + F.l1_loss(b_to_a(a), a)
            adversarial = (ops.patch_loss(of(x), True, "least_squares") for of, x in ((of_a, fake_a), (of_b, fake_b)))
            return sum(adversarial, 10 * cycles + 5 * identities)

    def discriminator_loss(a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Tensor:
        with _precision(device, dtype):
            sides = ((of_a, a, True), (of_a, fake_a, False), (of_b, b, True), (of_b, fake_b, False))
            return torch.stack([ops.patch_loss(of(x), real, "least_squares") for of, x, real in sides]).sum() / 2

    generators, discriminators = (a_to_b, b_to_a), (of_a, of_b)
    return {
        "plain": (
            Turn(generator_loss, lambda: (images(), images()), generators, discriminators),
            Turn(discriminator_loss, lambda: (images(), images(), images(), images()), discriminators, generators),
        )
    }


SYSTEMS = (
    System("StyleGAN2-256", 16, (3, 256, 256), (3, 8, 8), stylegan2_turns),
    System("CycleGAN-256", 1, (3, 256, 256), (3, 24, 24), cyclegan_turns, by_graphs=True),
)
"""All systems, at the batch size of one GPU in training."""
