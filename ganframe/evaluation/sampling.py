"""Samples from a game: rounds outside training over given tensors, balanced labels or data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.randomness import Randomness


class SamplingBatch(Mapping[str, Tensor]):
    """The batch of a sampling round: given tensors, balanced labels, and data that is read on first use.

    Args:
        game: The game.
        dataset: Opens the data, the source of tensors that are not given.
        size: Examples in the batch.
        randomness: Chooses the examples of the data.
        device: Where the tensors go.
        given: Tensors to use instead of those of the data or those that the game makes.
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
        """Return a tensor of the batch."""
        if name in self._given:
            return self._given[name]
        if name not in self._spec:
            raise KeyError(name)
        spec = self._spec[name]
        # Labels can be chosen freely unless they belong to samples of the data that a generator starts from.
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
    """Return `size` labels that cycle through the classes."""
    return torch.arange(size, device=device) % (spec.classes or 1)


def sampling_round(
    game: Game,
    dataset: Callable[[], Dataset],
    size: int,
    randomness: Randomness,
    device: torch.device,
    given: Mapping[str, Tensor] | None = None,
) -> Round:
    """Return a round outside training over `size` examples of a `SamplingBatch`."""
    batch = SamplingBatch(game, dataset, size, randomness, device, given or {})
    return Round(game, batch, size=size, device=device, randomness=randomness)


@contextmanager
def sampling_mode(game: Game, randomness: Randomness, device: torch.device) -> Generator[None, None, None]:
    """Disable gradients, put every player in eval mode and seed the global random state; undo all of it at the end.

    Args:
        game: The game.
        randomness: The seed for dropout that is active while sampling.
        device: Where the players are.
    """
    players = list(game.players.values())
    # Of each module by itself: one that its player keeps in eval mode, such as a frozen backbone, stays there.
    modes = [(module, module.training) for player in players for module in player.modules()]
    # Not inference_mode: its tensors would crash a later discriminator that takes gradients.
    with torch.no_grad(), torch.random.fork_rng():
        randomness.seed_torch("sampling", device)
        for player in players:
            player.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
