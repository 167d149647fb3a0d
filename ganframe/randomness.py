"""Counter-based randomness: every draw is a function of (seed, purpose, counters).

Nothing is carried from step to step, so a resumed run needs no random state, and one more draw for one purpose
changes no other.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganframe.distributed.shard import WHOLE_BATCH, Shard


@dataclass(frozen=True)
class Randomness:
    """A place in the space of random draws.

    Attributes:
        seed: The seed of the run.
        counters: Where in the run: step, turn, ...
        shard: Whose draws these are. Draws with a batch axis are this shard's rows of what a single process would
            draw; all others are the shard's own.
    """

    seed: int
    counters: tuple[str | int, ...] = ()
    shard: Shard = WHOLE_BATCH

    def at(self, *counters: str | int) -> Randomness:
        """Return the place with these counters added."""
        return Randomness(self.seed, (*self.counters, *counters), self.shard)

    def unsharded(self) -> Randomness:
        """Return the same place for the batch of all ranks together."""
        return self if self.shard.world_size == 1 else Randomness(self.seed, self.counters)

    def key(self, purpose: str) -> int:
        """Return a 63-bit integer that depends on the seed, the purpose, the counters and the shard."""
        place = self.counters if self.shard.world_size == 1 else (*self.counters, "rank", self.shard.rank)
        text = repr((self.seed, purpose, place)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1

    def generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a fresh generator for one purpose."""
        return torch.Generator(device).manual_seed(self.key(purpose))

    def normal(self, purpose: str, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Draw from N(0, 1); the first axis is the batch."""
        generator = self.unsharded().generator(purpose, device)
        return self.shard.of(torch.randn(self._global_shape(shape), generator=generator, device=device))

    def uniform(self, purpose: str, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Draw from U[0, 1); the first axis is the batch."""
        generator = self.unsharded().generator(purpose, device)
        return self.shard.of(torch.rand(self._global_shape(shape), generator=generator, device=device))

    def draw(self, purpose: str) -> float:
        """Draw one number from U[0, 1)."""
        return float(torch.rand((), generator=self.generator(purpose)))

    def integers(self, purpose: str, high: int, count: int) -> list[int]:
        """Draw from {0, ..., high - 1}, once for each example of the batch."""
        drawn = torch.randint(high, self._global_shape((count,)), generator=self.unsharded().generator(purpose))
        return self.shard.of(drawn).tolist()

    def _global_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self.shard.world_size, *shape[1:])

    def seed_torch(self, purpose: str, device: torch.device | None = None) -> None:
        """Seed the global generators, from which PyTorch's dropout and initialisers draw.

        Args:
            purpose: What the draws are for.
            device: A device whose generator is seeded too, beside the CPU's.
        """
        # Not torch.manual_seed: without a GPU it records a stack trace for each call, a millisecond and a leak.
        torch.default_generator.manual_seed(self.key(purpose))
        if device is not None and device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(self.key(purpose))


@contextlib.contextmanager
def preserve_global_randomness(device: torch.device) -> Generator[None, None, None]:
    """Restore the global random state at the end."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
