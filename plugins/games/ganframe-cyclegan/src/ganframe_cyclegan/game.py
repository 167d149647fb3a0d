"""The game of CycleGAN, with its pools of past fakes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ganframe.config import BadInput, DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, gather, tensor
from ganframe_cyclegan import CycleGame

Domain = Literal["a", "b"]


class Cycle(Game):
    """Two translators against two judges. That cycles end where they began is a term's business."""

    inputs = ("real_a", "real_b")
    output = "fake_b"
    pictures = ("real_a", "fake_b", "real_b", "fake_a")
    contests = (
        Contest("d_a", real="real_a", fake="fake_a", replay="replayed_a"),
        Contest("d_b", real="real_b", fake="fake_b", replay="replayed_b"),
    )
    turns = (Turn("discriminators", players=("d_a", "d_b")), Turn("generators", players=("g_ab", "g_ba")))

    def __init__(self, config: CycleGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """Who plays."""
        a, b = self.data["real_a"], self.data["real_b"]
        return {
            "g_ab": PlayerSpec(self.config.generator, ("generator",), b, source=a),
            "g_ba": PlayerSpec(self.config.generator, ("generator",), a, source=b),
            "d_a": PlayerSpec(self.config.discriminator, ("discriminator",), a),
            "d_b": PlayerSpec(self.config.discriminator, ("discriminator",), b),
        }

    @tensor
    def fake_b(self, game_round: Round) -> Tensor:
        """Samples of A, translated to B."""
        return self.players["g_ab"](game_round["real_a"])

    @tensor
    def fake_a(self, game_round: Round) -> Tensor:
        """Samples of B, translated to A."""
        return self.players["g_ba"](game_round["real_b"])

    @tensor
    def reconstructed_a(self, game_round: Round) -> Tensor:
        """Samples of A, translated to B and back."""
        return self.players["g_ba"](game_round["fake_b"])

    @tensor
    def reconstructed_b(self, game_round: Round) -> Tensor:
        """Samples of B, translated to A and back."""
        return self.players["g_ab"](game_round["fake_a"])

    @tensor
    def identity_a(self, game_round: Round) -> Tensor:
        """What the generator of A makes of samples that are in A already."""
        self._check_same_shape()
        return self.players["g_ba"](game_round["real_a"])

    @tensor
    def identity_b(self, game_round: Round) -> Tensor:
        """What the generator of B makes of samples that are in B already."""
        self._check_same_shape()
        return self.players["g_ab"](game_round["real_b"])

    @tensor
    def replayed_a(self, game_round: Round) -> Tensor:
        """New fakes of A, half of them exchanged for past ones."""
        return self._replayed(game_round, "a")

    @tensor
    def replayed_b(self, game_round: Round) -> Tensor:
        """New fakes of B, half of them exchanged for past ones."""
        return self._replayed(game_round, "b")

    def _check_same_shape(self) -> None:
        a, b = self.data["real_a"], self.data["real_b"]
        if a.shape != b.shape:
            raise BadInput(
                f"an identity term needs domains of the same shape, but A is {a} and B is {b}",
                path=("regularizers",),
                remedy="Leave the term out, or give both domains the same number of channels.",
            )

    def _replayed(self, game_round: Round, domain: Domain) -> Tensor:
        """The new fakes as the discriminator is to see them; outside training the pool is left alone.

        Fakes keep what graph they have: in the discriminators' own turn none, in one that is only foreseen that by
        which generators learn how a discriminator answers to them. The pool keeps numbers alone, and its tensor is
        never written into, because a game that looks ahead holds on to it.
        """
        own: Tensor = game_round[f"fake_{domain}"]
        if game_round.turn is None or self.config.pool == 0:
            return own
        # Every rank has the same pool, which takes in the fakes of all.
        fakes = gather(own)
        draws = game_round.randomness.unsharded().uniform(f"replay {domain}", (len(fakes), 2)).tolist()
        pool = list(self.memory.get(f"pool_{domain}", fakes[:0]))
        shown: list[Tensor] = []
        for fake, (exchange, place) in zip(fakes, draws, strict=True):
            if len(pool) < self.config.pool:
                pool.append(fake)
                shown.append(fake)
            elif exchange < 0.5:
                index = int(place * len(pool))
                shown.append(pool[index])
                pool[index] = fake
            else:
                shown.append(fake)
        self.memory[f"pool_{domain}"] = torch.stack(pool).detach()
        return game_round.randomness.shard.of(torch.stack(shown))
