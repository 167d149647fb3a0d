"""Rounds: the named tensors of one batch, and what discriminators say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor
from torch.func import functional_call

from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.randomness import Randomness

if TYPE_CHECKING:
    import torch

    from ganframe.game.protocols import Sample
from ganframe.game.contest import Contest, Side
from ganframe.game.game import Game
from ganframe.game.turn import Turn


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
        requires_grad_tensors: frozenset[str] = frozenset(),
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
        self._verdicts: dict[tuple[str, str, str | None], DiscriminatorOutput] = {}
        self._input_gradients: frozenset[Side] = frozenset()

    def enter(
        self, turn: Turn, grad_wrt_sides: frozenset[Side] = frozenset(), requires_grad_tensors: frozenset[str] = frozenset()
    ) -> None:
        """Begin a turn; verdicts of an earlier one are forgotten.

        Args:
            turn: The turn.
            grad_wrt_sides: The sides whose samples some term differentiates by.
            leaves: Names of the tensors that some term differentiates by.
        """
        self.turn = turn
        self._leaves |= leaves
        self._input_gradients = grad_wrt_sides
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
                with self.game.only_trainable(set(self.game.players) - self.game.discriminators):
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

    def discriminator_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
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
        output = self._verdicts[key]
        if (contest.name, side) not in self.logits:
            self.logits[contest.name, side] = output.logits.detach()
        return output

    def deferred_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
        """The verdict, computed when something of it is read."""
        return cast(DiscriminatorOutput, _Pending(self, contest, side))

    def judge(self, discriminator: str, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """What a discriminator says of any sample, seen through the augmentations."""
        seen = sample
        if self._augment is not None:
            # With draws of its own: what is the same for reals and fakes would tie their verdicts together.
            seen = self._augment(sample, self.randomness.at("judged", self._judged))
            self._judged += 1
        player = self.game.players[discriminator]
        given = (seen,) if condition is None else (seen, condition)
        weights = self.weights.get(discriminator)
        output: DiscriminatorOutput = player(*given) if weights is None else functional_call(player, weights, given)
        output.sample = sample
        output.condition = condition
        return output


class _Pending:
    def __init__(self, game_round: Round, contest: Contest, side: Side) -> None:
        self._of = game_round, contest, side

    def __getattr__(self, name: str) -> Any:
        game_round, contest, side = self._of
        return getattr(game_round.discriminator_output(contest, side), name)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return tuple(change(part) for part in value) if isinstance(value, tuple) else change(value)


def _by_itself(sample: Tensor) -> Tensor:
    """The sample as something to differentiate by; one with a graph already is."""
    return sample if sample.requires_grad or not sample.is_floating_point() else sample.detach().requires_grad_()
