"""The base class of games: which networks play, how named tensors are made, and which optimizer steps make a step.

The terms of the objective (losses and regularizers) are functions of the named tensors. A plugin defines a game as a
subclass of `Game`. The subclass sets `inputs`, `contests`, `turns`, `output` and `pictures`, and describes its networks
in `player_specs()`. It has one method marked `@tensor` for each tensor that the game makes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from ganframe.config.tensor_specs import DataSpec, TensorSpec, parts
from ganframe.errors import BadInput, UnknownName
from ganframe.game.contest import Contest, condition_names
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game_checks import check_names
from ganframe.game.made_tensor_checks import check_made
from ganframe.game.makers import by_name, find_makers
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.players import Players
from ganframe.game.protocols import Loss
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import name_of, source_of

if TYPE_CHECKING:
    from ganframe.game.objective import ObjectiveValue


class Game:
    """Base class of games.

    Attributes:
        inputs: Names of the tensors that the game needs from the data set.
        contests: The pairs of a real and a fake tensor that discriminators tell apart.
        turns: The optimizer steps of one training step, in order.
        output: Name of the tensor that sampling returns.
        pictures: Names of the tensors that the pictures of a run show side by side.
        label: Name of the class label to sample for, which `ganframe sample --label` sets. It is a tensor of the data,
            or one that the game makes if no label is given. If None, it is the first class label of the data that
            conditions the fakes of a contest.
        sampling_inputs: Names of the tensors, apart from the label, that users may supply for sampling in place of
            drawn ones or those of the data. If None, any tensor.
        translations: Pairs of names: a tensor, and its translation to another domain. They are the inputs and outputs
            of `ganframe translate`, which uses the first pair unless the user names another.
        needs_double_backward: Whether `play` itself, apart from the terms, takes second derivatives.
        makers: The name of the method that makes each tensor of the game, by the name of the tensor.
        progress: How many images the run has seen, and how many it will see.
        players: The networks by player name; empty until `set_players` is called.
        memory: Tensors that the game keeps from batch to batch, by name, such as a pool of past fakes. Checkpoints
            save them.
    """

    inputs: tuple[str, ...]
    contests: tuple[Contest, ...]
    turns: tuple[Turn, ...]
    output: str
    pictures: tuple[str, ...]
    label: str | None = None
    sampling_inputs: tuple[str, ...] | None = None
    translations: tuple[tuple[str, str], ...] = ()
    needs_double_backward: bool = False
    makers: ClassVar[Mapping[str, str]] = {}
    players: dict[str, nn.Module]
    memory: dict[str, Tensor]
    progress: TrainingProgress

    def __init_subclass__(cls) -> None:
        """Set `makers` from the methods of the class and its bases that are marked `@tensor` or `@tensors`."""
        cls.makers = find_makers(cls)

    def __init__(self, data: DataSpec) -> None:
        """Check that the data set gives every tensor in `inputs`.

        Args:
            data: The spec of each tensor that the data set gives, by name.

        Raises:
            BadInput: When the data set lacks a tensor in `inputs`.
        """
        check_names(self, "inputs")
        missing = [name for name in self.inputs if name not in data]
        if missing:
            raise BadInput(
                f"the game reads {', '.join(missing)}, which the data set does not give",
                path=("data",),
                remedy=f"The game reads: {', '.join(self.inputs)}. The data set gives: {', '.join(data)}.",
            )
        self.data = data
        self.players = Players(self)
        self.memory = {}
        self.progress = TrainingProgress(turn_count=0, images=0, total=1)

    def player_specs(self) -> Mapping[str, PlayerSpec]:
        """Return the spec of the network of each player, by player name."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors that a term may read: those of the data set and those that the game makes."""
        return tuple(dict.fromkeys((*self.data, *self.makers)))

    @functools.cached_property
    def discriminators(self) -> frozenset[str]:
        """The names of the players that are the discriminator of some contest."""
        return frozenset(contest.discriminator for contest in self.contests)

    @functools.cached_property
    def frozen_players(self) -> frozenset[str]:
        """The names of the players that never train, such as teachers and feature networks."""
        return frozenset(name for name, spec in self.player_specs().items() if spec.frozen)

    @property
    def trained_players(self) -> dict[str, nn.Module]:
        """The networks of the players that are not frozen, by name. Turns train them, and checkpoints save them."""
        return {name: player for name, player in self.players.items() if name not in self.frozen_players}

    def make(self, name: str, game_round: Round) -> Mapping[str, Any]:
        """Make a tensor by calling its maker, the method marked `@tensor`.

        Returns:
            All tensors that the maker returned, by name.

        Raises:
            BadInput: When these are not the tensors that the maker's decorator names, or one of them does not have one
                row for each example.
        """
        maker = getattr(self, self.makers[name])
        try:
            made = maker(game_round)
        except UnknownName as problem:
            problem.place = problem.place or source_of(maker)
            raise
        except Exception as problem:
            problem.add_note(f"in {self.maker_name(name)}, the maker of {name!r}")
            raise
        tensors = by_name(maker, made)
        check_made(self, tensors, game_round)
        return tensors

    def maker_name(self, name: str) -> str:
        """Return the name of the method that makes a tensor, with its class, for messages: `Duel.fake`."""
        maker = getattr(self, self.makers[name])
        return name_of(maker)

    def heads(self, discriminator: str) -> tuple[str, ...]:
        """Return the `head_names` of a discriminator; empty if it has a single head."""
        return getattr(self.players[discriminator], "head_names", ())

    def discriminator_inputs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of the samples that discriminators score: one spec for each tensor of a sample."""
        specs = self.player_specs()
        return tuple(part for name in sorted(self.discriminators) for part in parts(specs[name].sample))

    def label_spec(self) -> tuple[str, TensorSpec] | None:
        """Return the name and the spec of the class label to sample for; None if the game has no labels.

        If the game makes the label itself, the spec is that of a generator's condition.
        """
        if self.label is None:
            conditions = [name for each in self.contests for name in condition_names(each.fake_condition)]
            # Only conditions from the data: one that the game makes may have to match its other tensors. If it does
            # not, the game names it in `label`.
            found = ((name, self.data[name]) for name in conditions if name in self.data)
            return next(((name, spec) for name, spec in found if spec.kind == "label"), None)
        if self.label in self.data and self.label not in self.makers:
            spec = self.data[self.label]
            return (self.label, spec) if spec.kind == "label" else None
        specs = (spec for player, spec in self.player_specs().items() if player not in self.discriminators)
        taken = (part for spec in specs if spec.condition is not None for part in parts(spec.condition))
        return next(((self.label, spec) for spec in taken if spec.kind == "label"), None)

    def set_players(self, players: Mapping[str, nn.Module]) -> None:
        """Set the networks of the players.

        Args:
            players: A network for each name in `player_specs()`. Parameters that do not require a gradient at this
                call never train.
        """
        self.players = Players(self, players)
        self._trainable = {
            name: [parameter for parameter in player.parameters() if parameter.requires_grad]
            for name, player in players.items()
        }

    def with_players(self, players: Mapping[str, nn.Module]) -> Game:
        """Return a copy of the game with other networks and an empty memory, for sampling with averaged weights.

        Args:
            players: The new networks by player name; players that are left out keep their networks.
        """
        other = copy.copy(self)
        other.memory = {}
        other.set_players(self.players | dict(players))
        return other

    def trainable_parameters(self, names: Iterable[str]) -> list[nn.Parameter]:
        """Return the parameters of these players, except those that never train."""
        return [parameter for name in names for parameter in self._trainable[name]]

    @contextmanager
    def only_trainable(self, names: Collection[str]) -> Generator[None, None, None]:
        """Freeze all players but these inside the `with` block: set `requires_grad`, and restore it at the end."""
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
        """Return the contests whose losses are computed in a turn (optimizer step).

        In a turn that trains discriminators these are the contests of those discriminators, otherwise the contests of
        the generators that train.
        """
        players = set(turn.players)
        if players & self.discriminators:
            return tuple(contest for contest in self.contests if contest.discriminator in players)
        return tuple(
            contest for contest in self.contests if contest.generators is None or players & set(contest.generators)
        )

    def is_discriminator_turn(self, turn: Turn) -> bool:
        """Return whether the turn trains a discriminator."""
        return bool(set(turn.players) & self.discriminators)

    def score(self, loss: Loss, turn: Turn, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Compute a loss for one contest in a turn (optimizer step), a scalar.

        This is `loss.discriminator` in a turn that trains a discriminator, and `loss.generator` in any other turn. A
        game that trains discriminators and generators in the same turn overrides this method.

        Args:
            loss: The loss.
            turn: The turn.
            real: The discriminator's output for the real side of the contest.
            fake: The discriminator's output for the fake side.
        """
        if self.is_discriminator_turn(turn):
            return loss.discriminator(real, fake)
        return loss.generator(real, fake)

    def play(self, game_round: Round, objective: Callable[..., ObjectiveValue]) -> ObjectiveValue:
        """Compute the objective of a turn. Games that first simulate discriminator steps (unrolled GAN) override this.

        Args:
            game_round: The tensors of the batch; `game_round.turn` is the turn.
            objective: `objective(game_round)` computes the weighted sum of the terms of `game_round.turn`, and
                `objective(game_round, turn)` that of another turn over the same tensors.
        """
        return objective(game_round)
