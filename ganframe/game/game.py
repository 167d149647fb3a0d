"""Games: named tensors and how each is made, contests, turns, and the round in which they meet.

A game is a set of named tensors; a term is a function of some of them. A plugin writes a game by declaring `inputs`,
`contests` and `turns`, by saying in `roles()` who plays, and by one `@tensor` method for each tensor that it makes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from torch import Tensor

from ganframe.config.specs import DataSpec, TensorSpec, parts
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.protocols import Loss

if TYPE_CHECKING:
    from torch import nn

from ganframe.game.contest import Contest
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn

Maker = TypeVar("Maker", bound=Callable[..., Any])


def tensor(maker: Maker) -> Maker:
    """Mark a method of a game as the maker of the named tensor that it is called after."""
    maker.__named_tensor__ = True  # pyright: ignore[reportFunctionMemberAccess]
    return maker


class Game:
    """Base class of games.

    Attributes:
        inputs: Names of the tensors that a batch brings.
        contests: The pairs that adversarial losses score.
        turns: The turns of a step, in order.
        output: Name of the tensor that sampling returns.
        pictures: Names of the tensors that a snapshot shows side by side.
        needs_double_backward: Whether playing takes second derivatives, beside those that terms take.
        makers: Names of the tensors that the game makes.
        players: The networks by name, once seated.
        memory: Tensors that outlive a round, such as a pool of past fakes; checkpoints keep them.
    """

    inputs: tuple[str, ...]
    contests: tuple[Contest, ...]
    turns: tuple[Turn, ...]
    output: str
    pictures: tuple[str, ...]
    needs_double_backward: bool = False
    makers: ClassVar[tuple[str, ...]] = ()
    players: dict[str, nn.Module]
    memory: dict[str, Tensor]

    def __init_subclass__(cls) -> None:
        """Collect the makers of the class and its bases."""
        named = (name for base in reversed(cls.__mro__) for name, value in vars(base).items() if _is_maker(value))
        cls.makers = tuple(dict.fromkeys(named))

    def __init__(self, data: DataSpec) -> None:
        """Begin a game over data of this shape.

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

    def player_specs(self) -> Mapping[str, PlayerSpec]:
        """The players to be built, by name."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """Every tensor that a term may ask for."""
        return tuple(dict.fromkeys((*self.data, *self.makers)))

    @functools.cached_property
    def discriminators(self) -> frozenset[str]:
        """The players who judge a contest."""
        return frozenset(contest.discriminator for contest in self.contests)

    def discriminator_inputs(self) -> tuple[TensorSpec, ...]:
        """Every tensor that a discriminator is given to judge: one example of each."""
        roles = self.player_specs()
        return tuple(spec for judge in sorted(self.discriminators) for spec in parts(roles[judge].sample))

    def set_players(self, players: Mapping[str, nn.Module]) -> None:
        """Let these networks play."""
        self.players = dict(players)
        self._trainable = {
            name: [each for each in player.parameters() if each.requires_grad] for name, player in players.items()
        }

    def with_players(self, players: Mapping[str, nn.Module]) -> Game:
        """The same game played by others, in a memory of its own: for sampling with averaged networks."""
        other = copy.copy(self)
        other.memory = {}
        other.set_players(self.players | dict(players))
        return other

    def __getattr__(self, name: str) -> Any:
        """A player, by name, with whatever its class offers."""
        try:
            return self.__dict__["players"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no player or attribute {name!r}") from None

    def trainable_parameters(self, names: Iterable[str]) -> list[nn.Parameter]:
        """The parameters of these players that may move."""
        return [each for name in names for each in self._trainable[name]]

    @contextmanager
    def only_trainable(self, names: Collection[str]) -> Generator[None, None, None]:
        """Freeze every player but these."""
        changed = [
            (each, name in names)
            for name, parameters in self._trainable.items()
            for each in parameters
            if each.requires_grad != (name in names)
        ]
        for each, moves in changed:
            each.requires_grad = moves
        try:
            yield
        finally:
            for each, moves in changed:
                each.requires_grad = not moves

    def contests_of(self, turn: Turn) -> tuple[Contest, ...]:
        """The contests that count in a turn: those whose judge moves, or else whose generators do."""
        moves = set(turn.players)
        if moves & self.discriminators:
            return tuple(contest for contest in self.contests if contest.discriminator in moves)
        return tuple(each for each in self.contests if each.generators is None or moves & set(each.generators))

    def is_discriminator_turn(self, turn: Turn) -> bool:
        """Whether a judge moves in the turn."""
        return bool(set(turn.players) & self.discriminators)

    def score(self, loss: Loss, turn: Turn, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """What a loss adds to a turn; a game whose players pull on both sides overrides it."""
        if self.is_discriminator_turn(turn):
            return loss.discriminator(real, fake)
        return loss.generator(real, fake)

    def play(self, game_round: Round, objective: Callable[..., Any]) -> Any:
        """Take a turn's objective; a game that looks ahead first (unrolling) overrides it.

        Args:
            round: The round, in the turn that is being taken.
            objective: `objective(round)` is the sum of the turn's terms, `objective(round, other)` that of another
                turn over the same round.
        """
        return objective(game_round)


def _is_maker(value: object) -> bool:
    return getattr(value, "__named_tensor__", False)
