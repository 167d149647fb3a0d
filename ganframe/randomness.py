"""Counter-based randomness: every draw is a function of (seed, purpose, counters).

No random state is carried from step to step. A resumed run therefore needs none, and an additional draw for one purpose
changes the draws for no other.
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
    """A source of random draws, which depend only on the attributes and on the purpose of each draw.

    Attributes:
        seed: The seed of the run.
        counters: The point in the run at which the draws are made, such as the step, turn and batch.
        shard: The part of the batch that a rank has. `normal`, `uniform` and `integers` return this shard's rows of the
            draws that a run of one process makes. `key` and `generator` differ from shard to shard.
    """

    seed: int
    counters: tuple[str | int, ...] = ()
    shard: Shard = WHOLE_BATCH

    def at(self, *counters: str | int) -> Randomness:
        """Return a source of draws that has this source's counters, followed by `counters`."""
        return Randomness(self.seed, (*self.counters, *counters), self.shard)

    def unsharded(self) -> Randomness:
        """Return a source of the draws for the whole batch, which is the same on every rank."""
        return self if self.shard.world_size == 1 else Randomness(self.seed, self.counters)

    def key(self, purpose: str) -> int:
        """Return a 63-bit integer that depends on the seed, the purpose, the counters and the shard."""
        place = self.counters if self.shard.world_size == 1 else (*self.counters, "rank", self.shard.rank)
        text = repr((self.seed, purpose, place)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1

    def generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a new PyTorch generator, seeded with the key of a purpose."""
        return torch.Generator(device).manual_seed(self.key(purpose))

    def normal(self, purpose: str, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Draw a tensor from N(0, 1); the first axis of `shape` is the batch of this rank."""
        generator = self.unsharded().generator(purpose, device)
        return self.shard.of(torch.randn(self._global_shape(shape), generator=generator, device=device))

    def uniform(self, purpose: str, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """Draw a tensor from U[0, 1); the first axis of `shape` is the batch of this rank."""
        generator = self.unsharded().generator(purpose, device)
        return self.shard.of(torch.rand(self._global_shape(shape), generator=generator, device=device))

    def draw(self, purpose: str) -> float:
        """Draw one number from U[0, 1)."""
        return float(torch.rand((), generator=self.generator(purpose)))

    def integers(self, purpose: str, high: int, count: int) -> list[int]:
        """Draw `count` integers from {0, ..., high - 1}, one for each example in the batch of this rank."""
        drawn = torch.randint(high, self._global_shape((count,)), generator=self.unsharded().generator(purpose))
        return self.shard.of(drawn).tolist()

    def _global_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self.shard.world_size, *shape[1:])

    def seed_torch(self, purpose: str, device: torch.device | None = None) -> None:
        """Seed the global generators, from which PyTorch's dropout and initialisers draw.

        Args:
            purpose: The purpose of the draws.
            device: A device whose generator is seeded in addition to the generator of the CPU.
        """
        # Not torch.manual_seed: without a GPU each call records a stack trace, which takes 1 ms and leaks memory.
        torch.default_generator.manual_seed(self.key(purpose))
        if device is not None and device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(self.key(purpose))


@contextlib.contextmanager
def preserve_global_randomness(device: torch.device) -> Generator[None, None, None]:
    """Restore PyTorch's global random state, of the CPU and of `device`, at the end of the `with` block."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
