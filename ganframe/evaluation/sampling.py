"""Rounds outside training, for samples from a game. Their batches have given tensors, balanced labels and data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.game.eval_mode import eval_mode
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.randomness import Randomness


class SamplingBatch(Mapping[str, Tensor]):
    """The batch of a round outside training.

    Its tensors are those that the caller gives, labels that cycle through the classes, and data. The data is opened
    only when a tensor of it is read.

    Args:
        game: The game.
        dataset: Opens the data set.
        size: Number of examples in the batch.
        randomness: The source of the draws that choose examples of the data.
        device: The device that the tensors are moved to.
        given: Tensors `(size, ...)` that replace tensors of the data, or tensors that the game makes.
    """

    def __init__(
        self,
        game: Game,
        dataset: Callable[[], Dataset],
        size: int,
        randomness: Randomness,
        device: torch.device,
        given: Mapping[str, Tensor],
    ) -> None:
        self._spec = game.data
        self._given = {name: tensor.to(device) for name, tensor in given.items()}
        self._data_batch: dict[str, Tensor] | None = None
        self._dataset, self._randomness = dataset, randomness
        self._labels_are_free = all(spec.source is None for spec in game.player_specs().values())
        self._size, self._device = size, device

    def __getitem__(self, name: str) -> Tensor:
        """Return the tensor of this name, `(size, ...)`.

        Raises:
            KeyError: When the name is neither given nor in the data.
            BadInput: When the data is missing or cannot be read.
        """
        if name in self._given:
            return self._given[name]
        if name not in self._spec:
            raise KeyError(name)
        spec = self._spec[name]
        # Balanced labels can replace those of the data, unless they must match samples of the data: samples that a
        # generator starts from, or that this batch has read already.
        if self._labels_are_free and self._data_batch is None and spec.classes is not None and spec.shape == ():
            return balanced_labels(spec, self._size, self._device)
        if self._data_batch is None:
            batches = BatchLoader(self._dataset(), self._size, self._randomness, self._device)
            self._data_batch = next(batches.starting_at(0))
        return self._data_batch[name]

    def __contains__(self, name: object) -> bool:
        """Return whether the batch has a tensor of this name."""
        return name in self._given or name in self._spec

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the tensors."""
        return iter({**self._spec, **self._given})

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len({**self._spec, **self._given})


def balanced_labels(spec: TensorSpec, size: int, device: torch.device) -> Tensor:
    """Return `size` labels that cycle through the classes of the spec: 0, 1, 2 and so on."""
    return torch.arange(size, device=device) % (spec.classes or 1)


def sampling_round(
    game: Game,
    dataset: Callable[[], Dataset],
    size: int,
    randomness: Randomness,
    device: torch.device,
    given: Mapping[str, Tensor] | None = None,
) -> Round:
    """Return a round outside training, whose batch is a `SamplingBatch` with these arguments."""
    batch = SamplingBatch(game, dataset, size, randomness, device, given or {})
    return Round(game, batch, size=size, device=device, randomness=randomness)


@contextmanager
def sampling_mode(game: Game, randomness: Randomness, device: torch.device) -> Generator[None, None, None]:
    """Disable gradients, put every player in eval mode and seed the global random state; undo all of it at the end.

    Args:
        game: The game.
        randomness: The source of the seed. Networks that keep dropout active while sampling draw from the global state.
        device: The device that the players are on.
    """
    with torch.random.fork_rng(), eval_mode(game):
        randomness.seed_torch("sampling", device)
        yield
