"""The game of CycleGAN, with its pools of past fakes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from ganframe.config import BadInput, DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, gather, tensor
from ganframe_cyclegan import CycleGame

Domain = Literal["a", "b"]


class Cycle(Game):
    """Two generators against two discriminators; cycle consistency is a term, such as `cycle`.

    References:
        Zhu et al. 2017, arXiv:1703.10593, eq. 3.
    """

    inputs = ("real_a", "real_b")
    output = "fake_b"
    pictures = ("real_a", "fake_b", "real_b", "fake_a")
    sampling_inputs = ("real_a", "real_b")
    translations = (("real_a", "fake_b"), ("real_b", "fake_a"))
    contests = (
        Contest("d_a", real="real_a", fake="fake_a", replay="replayed_a"),
        Contest("d_b", real="real_b", fake="fake_b", replay="replayed_b"),
    )
    turns = (Turn("discriminators", players=("d_a", "d_b")), Turn("generators", players=("g_ab", "g_ba")))

    def __init__(self, config: CycleGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        a, b = self.data["real_a"], self.data["real_b"]
        return {
            "g_ab": PlayerSpec(self.config.generator, ("generator",), b, source=a),
            "g_ba": PlayerSpec(self.config.generator, ("generator",), a, source=b),
            "d_a": PlayerSpec(self.config.discriminator, ("discriminator",), a),
            "d_b": PlayerSpec(self.config.discriminator, ("discriminator",), b),
        }

    @tensor
    def fake_b(self, game_round: Round) -> Tensor:
        """Return G_ab(a): samples of A, translated to B."""
        return self.players["g_ab"](game_round["real_a"])

    @tensor
    def fake_a(self, game_round: Round) -> Tensor:
        """Return G_ba(b): samples of B, translated to A."""
        return self.players["g_ba"](game_round["real_b"])

    @tensor
    def reconstructed_a(self, game_round: Round) -> Tensor:
        """Return G_ba(G_ab(a)): samples of A, translated to B and back."""
        return self.players["g_ba"](game_round["fake_b"])

    @tensor
    def reconstructed_b(self, game_round: Round) -> Tensor:
        """Return G_ab(G_ba(b)): samples of B, translated to A and back."""
        return self.players["g_ab"](game_round["fake_a"])

    @tensor
    def identity_a(self, game_round: Round) -> Tensor:
        """Return G_ba(a): samples of A, given to the generator of A."""
        self._check_same_shape()
        return self.players["g_ba"](game_round["real_a"])

    @tensor
    def identity_b(self, game_round: Round) -> Tensor:
        """Return G_ab(b): samples of B, given to the generator of B."""
        self._check_same_shape()
        return self.players["g_ab"](game_round["real_b"])

    @tensor
    def replayed_a(self, game_round: Round) -> Tensor:
        """Return new fakes of A, half of them exchanged for past ones."""
        return self._replayed(game_round, "a")

    @tensor
    def replayed_b(self, game_round: Round) -> Tensor:
        """Return new fakes of B, half of them exchanged for past ones."""
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
        """Return the fakes that the discriminator sees, and update the pool; outside training the pool stays as it is.

        Fakes keep their graph, if they have one. In the discriminators' turn they have none. When a game simulates that
        turn during a generator's turn (unrolling), the generator learns through the graph how a discriminator responds.
        The pool stores detached fakes. The pool's tensor is replaced and never changed in place, because a game that
        looks ahead keeps a reference to the tensor.
        """
        own: Tensor = game_round[f"fake_{domain}"]
        if game_round.turn is None or self.config.pool_size == 0:
            return own
        # Every rank has the same pool, filled with the fakes of all ranks.
        fakes = gather(own)
        draws = game_round.randomness.unsharded().uniform(f"replay {domain}", (len(fakes), 2)).tolist()
        past = self.memory.get(f"pool_{domain}", fakes[:0])
        if past.shape[1:] != fakes.shape[1:] or not past.is_floating_point():
            found = f"{str(past.dtype).removeprefix('torch.')} of the shape {tuple(past.shape[1:])}"
            raise BadInput(
                f"the checkpoint's pool of past fakes ({domain}) holds {found}, not {tuple(fakes.shape[1:])}"
            )
        pool = list(past)
        shown: list[Tensor] = []
        for fake, (exchange, place) in zip(fakes, draws, strict=True):
            if len(pool) < self.config.pool_size:
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
