"""Games: named tensors and how each is made, contests, turns, and the round in which they meet.

A game is a set of named tensors; a term is a function of some of them. A plugin writes a game by declaring `inputs`,
`contests` and `turns`, by saying in `roles()` who plays, and by one `@tensor` method for each tensor that it makes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from torch import Tensor
from torch.func import functional_call

from ganframe.config import DiscriminatorConfig, GeneratorConfig
from ganframe.errors import BadInput, Path, within
from ganframe.protocols import Loss, Verdict
from ganframe.randomness import Randomness
from ganframe.specs import DataSpec, SampleSpec, TensorSpec, parts

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ganframe.protocols import Sample

Side = Literal["real", "fake"]
Maker = TypeVar("Maker", bound=Callable[..., Any])


@dataclass(frozen=True)
class Contest:
    """One pair of tensors that an adversarial loss scores.

    Attributes:
        discriminator: The player who judges.
        real: Name of the tensor that is to be judged real.
        fake: Name of the tensor that is to be judged fake.
        real_condition: Name of the condition that is judged with `real`.
        fake_condition: Name of the condition that is judged with `fake`.
        replay: Name of the tensor that stands for `fake` in the discriminator's own turn, where past fakes are shown.
        generators: Players behind `fake`: the contest counts in their turns. All but discriminators when None.
        weight: Share of the contest in a loss over several.
        name: How configs call the contest; the discriminator's name when empty.
    """

    discriminator: str
    real: str
    fake: str
    real_condition: str | None = None
    fake_condition: str | None = None
    replay: str | None = None
    generators: tuple[str, ...] | None = None
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.discriminator)

    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the contest reads."""
        named = (self.real, self.fake, self.real_condition, self.fake_condition, self.replay)
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True)
class Turn:
    """One optimizer step of some players; the others are frozen meanwhile.

    Attributes:
        name: How configs call the turn.
        moves: The players who move.
        repeats: How often the turn is taken in a step, each time on a batch of its own.
    """

    name: str
    moves: tuple[str, ...]
    repeats: int = 1


@dataclass(frozen=True)
class Role:
    """A player to be built: its config and what it has to fit.

    Attributes:
        config: The config of the network.
        path: Where the config stands in the game's config.
        sample: One sample that goes in (a discriminator) or comes out (a generator).
        source: What a generator starts from, where that is a sample.
        condition: The condition of one sample; None for an unconditional player.
    """

    config: GeneratorConfig | DiscriminatorConfig
    path: Path
    sample: SampleSpec
    source: TensorSpec | None = None
    condition: TensorSpec | None = None

    def check(self) -> None:
        """Refuse a network that cannot play the role.

        Raises:
            BadInput: When the network lacks what the role takes.
        """
        name = self.config.type_name()
        if self.condition is not None and not self.config.conditional:
            raise BadInput(f"{name!r} takes no condition, but the game is conditional", path=self.path)
        if isinstance(self.config, GeneratorConfig):
            wanted = "latent" if self.source is None else "sample"
            if self.config.starts_from != wanted:
                remedy = f"The game needs a generator that starts from a {wanted}."
                message = f"{name!r} starts from a {self.config.starts_from}"
                raise BadInput(message, path=self.path, remedy=remedy)

    def build(self) -> nn.Module:
        """Make the network.

        Raises:
            BadInput: When the network cannot play the role.
        """
        self.check()
        with within(*self.path):
            if isinstance(self.config, DiscriminatorConfig):
                return self.config.build(sample=self.sample, condition=self.condition)
            output = cast(TensorSpec, self.sample)
            return self.config.build(output=output, source=self.source, condition=self.condition)


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
        differentiates_twice: Whether playing takes second derivatives, beside those that terms take.
        makers: Names of the tensors that the game makes.
        players: The networks by name, once seated.
        memory: Tensors that outlive a round, such as a pool of past fakes; checkpoints keep them.
    """

    inputs: tuple[str, ...]
    contests: tuple[Contest, ...]
    turns: tuple[Turn, ...]
    output: str
    pictures: tuple[str, ...]
    differentiates_twice: bool = False
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

    def roles(self) -> Mapping[str, Role]:
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

    def judged(self) -> tuple[TensorSpec, ...]:
        """Every tensor that a discriminator is given to judge: one example of each."""
        roles = self.roles()
        return tuple(spec for judge in sorted(self.discriminators) for spec in parts(roles[judge].sample))

    def seat(self, players: Mapping[str, nn.Module]) -> None:
        """Let these networks play."""
        self.players = dict(players)
        self._trainable = {
            name: [each for each in player.parameters() if each.requires_grad] for name, player in players.items()
        }

    def with_players(self, players: Mapping[str, nn.Module]) -> Game:
        """The same game played by others, in a memory of its own: for sampling with averaged networks."""
        other = copy.copy(self)
        other.memory = {}
        other.seat(self.players | dict(players))
        return other

    def __getattr__(self, name: str) -> Any:
        """A player, by name, with whatever its class offers."""
        try:
            return self.__dict__["players"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no player or attribute {name!r}") from None

    def trainable(self, names: Iterable[str]) -> list[nn.Parameter]:
        """The parameters of these players that may move."""
        return [each for name in names for each in self._trainable[name]]

    @contextmanager
    def moving(self, names: Collection[str]) -> Generator[None, None, None]:
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
        moves = set(turn.moves)
        if moves & self.discriminators:
            return tuple(contest for contest in self.contests if contest.discriminator in moves)
        return tuple(each for each in self.contests if each.generators is None or moves & set(each.generators))

    def is_discriminator_turn(self, turn: Turn) -> bool:
        """Whether a judge moves in the turn."""
        return bool(set(turn.moves) & self.discriminators)

    def score(self, loss: Loss, turn: Turn, real: Verdict, fake: Verdict) -> Tensor:
        """What a loss adds to a turn; a game whose players pull on both sides overrides it."""
        if self.is_discriminator_turn(turn):
            return loss.discriminator(real, fake)
        return loss.generator(real, fake)

    def play(self, round: Round, objective: Callable[..., Any]) -> Any:
        """Take a turn's objective; a game that looks ahead first (unrolling) overrides it.

        Args:
            round: The round, in the turn that is being taken.
            objective: `objective(round)` is the sum of the turn's terms, `objective(round, other)` that of another
                turn over the same round.
        """
        return objective(round)


def _is_maker(value: object) -> bool:
    return getattr(value, "__named_tensor__", False)


class Round(Mapping[str, Any]):
    """The named tensors of a turn over one batch, each made on first use and at most once.

    Args:
        game: The game being played.
        batch: The tensors that the data gives.
        size: How many examples the round is over.
        device: Where tensors are made.
        randomness: The draws of this round.
        augment: What stands between a sample and the discriminators.
        shared: Whether several turns read this round: tensors are then made with their graph.
        leaves: Names of the tensors that are made to require a gradient.
    """

    def __init__(
        self,
        game: Game,
        batch: Mapping[str, Tensor],
        *,
        size: int,
        device: torch.device,
        randomness: Randomness,
        augment: Callable[[Sample, Randomness], Sample] | None = None,
        shared: bool = False,
        leaves: frozenset[str] = frozenset(),
    ) -> None:
        self.game = game
        self.size = size
        self.device = device
        self.randomness = randomness
        self.turn: Turn | None = None
        self.weights: dict[str, dict[str, Tensor]] = {}
        """Parameters to judge with instead of a player's own, by player: for turns that look ahead."""
        self.logits: dict[tuple[str, Side], Tensor] = {}
        """What this turn's discriminators said so far, by contest and side, without a graph."""
        self._batch = batch
        self._augment = augment
        self._shared = shared
        self._leaves = leaves
        self._makers_at_work = 0
        self._judged = 0
        self._made: dict[str, Any] = {}
        self._verdicts: dict[tuple[str, str, str | None], Verdict] = {}
        self._input_gradients: frozenset[Side] = frozenset()

    def enter(
        self, turn: Turn, input_gradients: frozenset[Side] = frozenset(), leaves: frozenset[str] = frozenset()
    ) -> None:
        """Begin a turn; verdicts of an earlier one are forgotten.

        Args:
            turn: The turn.
            input_gradients: The sides whose samples some term differentiates by.
            leaves: Names of the tensors that some term differentiates by.
        """
        self.turn = turn
        self._leaves |= leaves
        self._input_gradients = input_gradients
        self._verdicts.clear()
        self.logits.clear()

    def leave(self) -> None:
        """End a turn: let go of the verdicts, whose activations the backward pass can then free as it goes."""
        self._verdicts.clear()

    def __getitem__(self, name: str) -> Any:
        """A named tensor. In a discriminator's turn it carries no graph."""
        if name not in self._made:
            made = self._make(name)
            self._made[name] = _each(made, _by_itself) if name in self._leaves else made
        value = self._made[name]
        detached = self._shared and not self._makers_at_work
        if detached and self.turn is not None and self.game.is_discriminator_turn(self.turn):
            return _each(value, Tensor.detach)
        return value

    def _make(self, name: str) -> Any:
        if name in self.game.makers and name not in self._batch:
            maker = getattr(self.game, name)
            if not self._shared or self._makers_at_work:
                return maker(self)
            # What a maker reads keeps its graph, also while a discriminator moves.
            self._makers_at_work += 1
            try:
                with self.game.moving(set(self.game.players) - self.game.discriminators):
                    return maker(self)
            finally:
                self._makers_at_work -= 1
        return self._batch[name]

    def __iter__(self) -> Iterator[str]:
        """The names that there are."""
        return iter(self.game.names)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self.game.names)

    def made(self) -> Mapping[str, Any]:
        """What was made so far."""
        return dict(self._made)

    @property
    def contests(self) -> tuple[Contest, ...]:
        """The contests that count in this turn."""
        return self.game.contests if self.turn is None else self.game.contests_of(self.turn)

    def verdict(self, contest: Contest, side: Side) -> Verdict:
        """What the discriminator says of one side of a contest; judged on first use."""
        name, condition = contest.real, contest.real_condition
        if side == "fake":
            name, condition = contest.fake, contest.fake_condition
            if contest.replay and self.turn is not None and self.game.is_discriminator_turn(self.turn):
                name = contest.replay
        key = (contest.discriminator, name, condition)
        if key not in self._verdicts:
            given = None if condition is None else self[condition]
            sample = self[name]
            if side in self._input_gradients:
                sample = _each(sample, _by_itself)
            self._verdicts[key] = self.judge(contest.discriminator, sample, given)
        verdict = self._verdicts[key]
        if (contest.name, side) not in self.logits:
            self.logits[contest.name, side] = verdict.logits.detach()
        return verdict

    def pending(self, contest: Contest, side: Side) -> Verdict:
        """The verdict, computed when something of it is read."""
        return cast(Verdict, _Pending(self, contest, side))

    def judge(self, discriminator: str, sample: Sample, condition: Tensor | None = None) -> Verdict:
        """What a discriminator says of any sample, seen through the augmentations."""
        seen = sample
        if self._augment is not None:
            # With draws of its own: what is the same for reals and fakes would tie their verdicts together.
            seen = self._augment(sample, self.randomness.at("judged", self._judged))
            self._judged += 1
        player = self.game.players[discriminator]
        given = (seen,) if condition is None else (seen, condition)
        weights = self.weights.get(discriminator)
        verdict: Verdict = player(*given) if weights is None else functional_call(player, weights, given)
        verdict.sample = sample
        verdict.condition = condition
        return verdict


class _Pending:
    def __init__(self, round: Round, contest: Contest, side: Side) -> None:
        self._of = round, contest, side

    def __getattr__(self, name: str) -> Any:
        round, contest, side = self._of
        return getattr(round.verdict(contest, side), name)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return tuple(change(part) for part in value) if isinstance(value, tuple) else change(value)


def _by_itself(sample: Tensor) -> Tensor:
    """The sample as something to differentiate by; one with a graph already is."""
    return sample if sample.requires_grad or not sample.is_floating_point() else sample.detach().requires_grad_()
