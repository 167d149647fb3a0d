"""Checks of games."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from ganframe.config.kinds import GameConfig
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.testing.fakes import AnyData, FakeGenerator, batch_of, round_of, with_built_players


def playable(config: GameConfig) -> Game:
    """The game with stand-in players over stand-in data."""
    try:
        return with_built_players(config.build(AnyData()))
    except BadInput:
        # A game whose generators start from a sample.
        swapped = {name: FakeGenerator(from_sample=True) for name, value in config if isinstance(value, FakeGenerator)}
        return with_built_players(config.model_copy(update=swapped).build(AnyData()))


def makers_work(config: GameConfig) -> None:
    """Every named tensor can be made, in every turn and while sampling, and is finite."""
    game = playable(config)
    for turn in (*game.turns, None):
        game_round = round_of(game, batch_of(game.data), turn)
        for name in game.makers:
            value = game_round[name]
            for part in value if isinstance(value, tuple) else (value,):
                assert isinstance(part, Tensor), f"{name!r} is no tensor"
                assert bool(part.isfinite().all()), f"{name!r} is not finite"


def _counted(game: Game) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in game.makers:
        maker = getattr(game, name)

        def make(game_round: Round, name: str = name, maker: Any = maker) -> Any:
            counts[name] += 1
            return maker(game_round)

        setattr(game, name, make)
    return counts


def made_once_if_asked(config: GameConfig) -> None:
    """A named tensor is made at most once a round, and not at all unless it is asked for."""
    game = playable(config)
    counts = _counted(game)
    game_round = round_of(game, batch_of(game.data), game.turns[0])
    assert not counts, "tensors were made before any was asked for"
    for name in game.makers * 2:
        game_round[name]
    assert set(counts.values()) <= {1}, f"made more than once: {counts}"


def _objective(game: Game, game_round: Round) -> Tensor:
    """A stand-in objective that every contest of the turn takes part in, on both sides."""
    total = torch.zeros(())
    for contest in game_round.contests:
        for side in ("real", "fake"):
            output: DiscriminatorOutput = game_round.discriminator_output(contest, side)
            total = total + output.logits.square().mean()
    return total


def frozen_players_get_no_gradient(config: GameConfig) -> None:
    """In each turn only the players who move get gradients."""
    game = playable(config)
    for turn in game.turns:
        for player in game.players.values():
            player.zero_grad(set_to_none=True)
        with game.only_trainable(turn.players):
            game_round = round_of(game, batch_of(game.data), turn)
            total = _objective(game, game_round)
            if total.requires_grad:
                total.backward()
        for name, player in game.players.items():
            touched = any(each.grad is not None for each in player.parameters())
            assert not touched or name in turn.players, f"{name!r} got a gradient in the turn {turn.name!r}"


def shared_rounds_lose_no_gradient(config: GameConfig) -> None:
    """Where a round may be shared by the turns of a step, each turn reaches whom it reaches in a round of its own."""
    try:
        game = playable(config.model_copy(update={"share_round": True}))
    except BadInput:
        return  # the game refuses to share
    if any(turn.repeats > 1 for turn in game.turns):
        return
    shared = round_of(game, batch_of(game.data), shared=True)
    for turn in game.turns:
        reached: list[set[str]] = []
        for game_round in (round_of(game, batch_of(game.data)), shared):
            for player in game.players.values():
                player.zero_grad(set_to_none=True)
            game_round = game_round.in_turn(turn)
            with game.only_trainable(turn.players):
                total = _objective(game, game_round)
                if total.requires_grad:
                    total.backward()
            players = game.players.items()
            reached.append({name for name, each in players if any(p.grad is not None for p in each.parameters())})
        assert reached[0] == reached[1], f"turn {turn.name!r}: {reached[0]} alone, {reached[1]} where it is shared"


def turns_move_whom_they_name(config: GameConfig) -> None:
    """Every player moves in some turn, turns name real players, and the contests move someone in each turn."""
    game = playable(config)
    moved = {name for turn in game.turns for name in turn.players}
    assert moved == set(game.players), f"players {set(game.players)}, but turns move {moved}"
    for turn in game.turns:
        if not game.contests_of(turn):
            continue
        with game.only_trainable(turn.players):
            total = _objective(game, round_of(game, batch_of(game.data), turn))
            total.backward()
        touched = any(each.grad is not None for name in turn.players for each in game.players[name].parameters())
        assert touched, f"the contests of the turn {turn.name!r} reach none of its players"


def names_are_known(config: GameConfig) -> None:
    """Contests, pictures and the output name tensors that there are."""
    game = playable(config)
    named = {*game.pictures, game.output, *(name for contest in game.contests for name in contest.tensors())}
    assert named <= set(game.names), f"unknown: {named - set(game.names)}"
    assert game.discriminators <= set(game.players)


def missing_data_is_named(config: GameConfig) -> None:
    """Over data that lacks what the game reads, the error names it."""
    inputs = playable(config).inputs
    try:
        config.build({})
    except BadInput as problem:
        assert all(name in str(problem) for name in inputs)
        return
    assert not inputs, "data without the game's inputs was taken"


CHECKS = {
    "game": {
        "every maker works": makers_work,
        "tensors are made at most once and only if asked for": made_once_if_asked,
        "frozen players get no gradient": frozen_players_get_no_gradient,
        "shared rounds lose no gradient": shared_rounds_lose_no_gradient,
        "turns move exactly whom they name": turns_move_whom_they_name,
        "contests and pictures name known tensors": names_are_known,
        "missing data is named": missing_data_is_named,
    }
}
