"""Games: named tensors and how each is made, contests, turns, and the round in which they meet.

A game is a set of named tensors; a term is a function of some of them. A plugin writes a game by declaring `inputs`,
`contests` and `turns`, by naming its networks in `player_specs()`, and by one `@tensor` method for each tensor that it
makes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from ganframe.config.tensor_specs import DataSpec, TensorSpec, parts
from ganframe.errors import BadInput
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.makers import by_name, find_makers
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.protocols import Loss
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn

if TYPE_CHECKING:
    from ganframe.game.objective import ObjectiveValue


class Game:
    """Base class of games.

    Attributes:
        inputs: Names of the tensors that a batch brings.
        contests: The pairs that adversarial losses score.
        turns: The turns of a step, in order.
        output: Name of the tensor that sampling returns.
        pictures: Names of the tensors that a snapshot shows side by side.
        needs_double_backward: Whether playing takes second derivatives, beside those that terms take.
        makers: The method that makes each tensor of the game, by the name of the tensor.
        progress: How far the run is.
        players: The networks by name, once `set_players` was called.
        memory: Tensors that outlive a round, such as a pool of past fakes; checkpoints keep them.
    """

    inputs: tuple[str, ...]
    contests: tuple[Contest, ...]
    turns: tuple[Turn, ...]
    output: str
    pictures: tuple[str, ...]
    needs_double_backward: bool = False
    makers: ClassVar[Mapping[str, str]] = {}
    players: dict[str, nn.Module]
    memory: dict[str, Tensor]
    progress: TrainingProgress

    def __init_subclass__(cls) -> None:
        """Collect the makers of the class and its bases."""
        cls.makers = find_makers(cls)

    def __init__(self, data: DataSpec) -> None:
        """Check the data.

        Args:
            data: The tensors that the data set gives.

        Raises:
            BadInput: When the data lacks a tensor that the game needs.
        """
        missing = [name for name in self.inputs if name not in data]
        if missing:
            raise BadInput(
                f"the game reads {', '.join(missing)}, which the data set does not give",
                path=("data",),
                remedy=f"The game reads: {', '.join(self.inputs)}. The data set gives: {', '.join(data)}.",
            )
        self.data = data
        self.players = {}
        self.memory = {}
        self.progress = TrainingProgress(turn_count=0, images=0, total=1)

    def player_specs(self) -> Mapping[str, PlayerSpec]:
        """Return the networks that the game needs, by player."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors that a term may read."""
        return tuple(dict.fromkeys((*self.data, *self.makers)))

    @functools.cached_property
    def discriminators(self) -> frozenset[str]:
        """The players that discriminate in some contest."""
        return frozenset(contest.discriminator for contest in self.contests)

    def make(self, name: str, game_round: Round) -> Mapping[str, Any]:
        """Make a tensor, with the others that its maker makes.

        Returns:
            The tensors by name.

        Raises:
            BadInput: When the maker does not make the tensors that its decorator names.
        """
        maker = getattr(self, self.makers[name])
        return by_name(maker, maker(game_round))

    @functools.cached_property
    def _heads(self) -> Mapping[str, tuple[str, ...]]:
        return {name: spec.heads() for name, spec in self.player_specs().items()}

    def heads(self, discriminator: str) -> tuple[str, ...]:
        """Return the names of the heads of a discriminator; empty for one with a single head."""
        return self._heads[discriminator]

    def discriminator_inputs(self) -> tuple[TensorSpec, ...]:
        """Return the spec of every tensor that a discriminator is given as a sample."""
        specs = self.player_specs()
        return tuple(part for name in sorted(self.discriminators) for part in parts(specs[name].sample))

    def set_players(self, players: Mapping[str, nn.Module]) -> None:
        """Play with these networks.

        Args:
            players: A network for each name of `player_specs()`. Parameters that do not require a gradient now stay
                frozen.
        """
        self.players = dict(players)
        self._trainable = {
            name: [parameter for parameter in player.parameters() if parameter.requires_grad]
            for name, player in players.items()
        }

    def with_players(self, players: Mapping[str, nn.Module]) -> Game:
        """Return the same game with other networks and an empty memory: for sampling with averaged weights."""
        other = copy.copy(self)
        other.memory = {}
        other.set_players(self.players | dict(players))
        return other

    def trainable_parameters(self, names: Iterable[str]) -> list[nn.Parameter]:
        """Return the parameters of these players that train."""
        return [parameter for name in names for parameter in self._trainable[name]]

    @contextmanager
    def only_trainable(self, names: Collection[str]) -> Generator[None, None, None]:
        """Freeze every player but these."""
        changed = [
            (parameter, name in names)
            for name, parameters in self._trainable.items()
            for parameter in parameters
            if parameter.requires_grad != (name in names)
        ]
        for parameter, trains in changed:
            parameter.requires_grad = trains
        try:
            yield
        finally:
            for parameter, trains in changed:
                parameter.requires_grad = not trains

    def contests_of(self, turn: Turn) -> tuple[Contest, ...]:
        """Return the contests that count in a turn: those whose discriminator trains, or else whose generators do."""
        players = set(turn.players)
        if players & self.discriminators:
            return tuple(contest for contest in self.contests if contest.discriminator in players)
        return tuple(
            contest for contest in self.contests if contest.generators is None or players & set(contest.generators)
        )

    def is_discriminator_turn(self, turn: Turn) -> bool:
        """Return whether a discriminator trains in the turn."""
        return bool(set(turn.players) & self.discriminators)

    def score(self, loss: Loss, turn: Turn, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return what a loss adds to a turn; a game whose players pull on both sides overrides it.

        Args:
            loss: The loss.
            turn: The turn.
            real: The discriminator's output for the real side of a contest.
            fake: Its output for the fake side.
        """
        if self.is_discriminator_turn(turn):
            return loss.discriminator(real, fake)
        return loss.generator(real, fake)

    def play(self, game_round: Round, objective: Callable[..., ObjectiveValue]) -> ObjectiveValue:
        """Compute a turn's objective; a game that looks ahead first (unrolling) overrides it.

        Args:
            game_round: The round, in its turn.
            objective: `objective(game_round)` sums the terms of the round's turn, `objective(game_round, turn)` those
                of another turn over the same tensors.
        """
        return objective(game_round)
