"""Samples from a game: rounds without a turn, over given tensors, balanced labels or data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ganframe.config.specs import TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.randomness import Randomness


class Inputs(Mapping[str, Tensor]):
    """The batch of a sampling round: given tensors, class labels in turn, and data only if it is asked for.

    Args:
        game: The game, for the names and shapes of its tensors.
        dataset: Opens the data, where tensors come from that are not given.
        size: Examples in the batch.
        randomness: Which examples of the data.
        device: Where the tensors go.
        given: Tensors that stand for those of the data, or for those that the game makes.
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
        self._given = {name: each.to(device) for name, each in given.items()}
        self._drawn: dict[str, Tensor] | None = None
        self._dataset, self._randomness = dataset, randomness
        self._free = all(role.source is None for role in game.player_specs().values())
        self._size, self._device = size, device

    def __getitem__(self, name: str) -> Tensor:
        """A tensor of the batch."""
        if name in self._given:
            return self._given[name]
        if name not in self._spec:
            raise KeyError(name)
        spec = self._spec[name]
        # Labels are free to choose unless they belong to samples of the data that somebody starts from.
        if self._free and self._drawn is None and spec.classes is not None and spec.shape == ():
            return balanced_labels(spec, self._size, self._device)
        if self._drawn is None:
            batches = BatchLoader(self._dataset(), self._size, self._randomness, self._device)
            self._drawn = next(batches.starting_at(0))
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        """Whether the batch has a tensor of this name."""
        return name in self._given or name in self._spec

    def __iter__(self) -> Iterator[str]:
        """The names that there are."""
        return iter({**self._spec, **self._given})

    def __len__(self) -> int:
        """How many names there are."""
        return len({**self._spec, **self._given})


def balanced_labels(spec: TensorSpec, size: int, device: torch.device) -> Tensor:
    """Every class in turn."""
    return torch.arange(size, device=device) % (spec.classes or 1)


def sampling_round(
    game: Game,
    dataset: Callable[[], Dataset],
    size: int,
    randomness: Randomness,
    device: torch.device,
    given: Mapping[str, Tensor] | None = None,
) -> Round:
    """A round outside training over `size` examples; see `Inputs` for what its batch is."""
    batch = Inputs(game, dataset, size, randomness, device, given or {})
    return Round(game, batch, size=size, device=device, randomness=randomness)


@contextmanager
def sampling_mode(game: Game, randomness: Randomness, device: torch.device) -> Generator[None, None, None]:
    """No gradients, every player in eval mode, and the global random state seeded and given back.

    Args:
        game: The game whose players are meant.
        randomness: What dropout that is active while sampling draws from.
        device: Where the players are.
    """
    players = list(game.players.values())
    # Of each part by itself: one that its player holds in eval mode, such as a frozen backbone, is to stay there.
    training = [(part, part.training) for player in players for part in player.modules()]
    # Not inference_mode: its tensors would crash a later judge that takes gradients.
    with torch.no_grad(), torch.random.fork_rng():
        randomness.seed_torch("sampling", device)
        for player in players:
            player.eval()
        try:
            yield
        finally:
            for part, before in training:
                part.training = before
