"""Checks of games."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.component_kinds import GameConfig
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.testing.fakes import AnyData, FakeGenerator, make_round, random_batch, with_built_players


def build_playable_game(config: GameConfig) -> Game:
    """Build a game with stand-in players, for data that has every tensor the game asks for."""
    try:
        return with_built_players(config.build(AnyData()))
    except BadInput:
        # The game refused generators that start from a latent, so its generators start from a sample.
        from_sample = {
            name: FakeGenerator(from_sample=True) for name, value in config if isinstance(value, FakeGenerator)
        }
        return with_built_players(config.model_copy(update=from_sample).build(AnyData()))


def every_maker_works(config: GameConfig) -> None:
    """Every named tensor that the game makes is finite, in every turn and outside training."""
    game = build_playable_game(config)
    for turn in (*game.turns, None):
        game_round = make_round(game, random_batch(game.data), turn)
        for name in game.makers:
            value = game_round[name]
            for part in value if isinstance(value, tuple) else (value,):
                assert isinstance(part, Tensor), f"{name!r} is not a tensor"
                assert bool(part.isfinite().all()), f"{name!r} is not finite"


def _count_maker_calls(game: Game) -> Counter[str]:
    counts: Counter[str] = Counter()
    for method in set(game.makers.values()):
        maker = getattr(game, method)

        @functools.wraps(maker)
        def make(game_round: Round, method: str = method, maker: Any = maker) -> Any:
            counts[method] += 1
            return maker(game_round)

        setattr(game, method, make)
    return counts


def made_at_most_once(config: GameConfig) -> None:
    """A named tensor is made at most once per round, and only if it is read."""
    game = build_playable_game(config)
    counts = _count_maker_calls(game)
    game_round = make_round(game, random_batch(game.data), game.turns[0])
    assert not counts, "tensors were made before any was read"
    for name in (*game.makers, *game.makers):
        game_round[name]
    assert set(counts.values()) <= {1}, f"made more than once: {counts}"


def _objective(game: Game, game_round: Round) -> Tensor:
    """Return a simple objective: the mean squared logit of each side of each contest of the turn, summed."""
    total = torch.zeros(())
    for contest in game_round.contests:
        for side in ("real", "fake"):
            output: DiscriminatorOutput = game_round.discriminator_output(contest, side)
            total = total + output.logits.square().mean()
    return total


def _has_gradient(player: nn.Module) -> bool:
    return any(parameter.grad is not None for parameter in player.parameters())


def frozen_players_get_no_gradient(config: GameConfig) -> None:
    """In each turn, no player but those that train in it gets a gradient."""
    game = build_playable_game(config)
    for turn in game.turns:
        for player in game.players.values():
            player.zero_grad(set_to_none=True)
        with game.only_trainable(turn.players):
            game_round = make_round(game, random_batch(game.data), turn)
            total = _objective(game, game_round)
            if total.requires_grad:
                total.backward()
        for name, player in game.players.items():
            assert name in turn.players or not _has_gradient(player), (
                f"{name!r} got a gradient in the turn {turn.name!r}"
            )


def shared_rounds_lose_no_gradient(config: GameConfig) -> None:
    """In each turn, the same players get gradients from a shared round as from a round of that turn alone.

    Not checked where the game refuses `share_round` or a turn has repeats.
    """
    try:
        game = build_playable_game(config.model_copy(update={"share_round": True}))
    except BadInput:
        return  # the game refuses `share_round`
    if any(turn.repeats > 1 for turn in game.turns):
        return
    shared = make_round(game, random_batch(game.data), shared=True)
    for turn in game.turns:
        reached: list[set[str]] = []
        for step_round in (make_round(game, random_batch(game.data)), shared):
            for player in game.players.values():
                player.zero_grad(set_to_none=True)
            game_round = step_round.in_turn(turn)
            with game.only_trainable(turn.players):
                total = _objective(game, game_round)
                if total.requires_grad:
                    total.backward()
            players = game.players.items()
            reached.append({name for name, player in players if _has_gradient(player)})
        assert reached[0] == reached[1], (
            f"turn {turn.name!r}: reaches {reached[0]} in its own round, {reached[1]} in a shared one"
        )


def turns_train_their_players(config: GameConfig) -> None:
    """Every player that is not frozen trains in some turn, and turns name no others.

    In each turn that has contests, these give a gradient to at least one player that trains in it.
    """
    game = build_playable_game(config)
    trained = {name for turn in game.turns for name in turn.players}
    trainable = set(game.players) - game.frozen_players
    assert trained == trainable, f"players {trainable} can train, but turns train {trained}"
    for turn in game.turns:
        if not game.contests_of(turn):
            continue
        with game.only_trainable(turn.players):
            total = _objective(game, make_round(game, random_batch(game.data), turn))
            total.backward()
        touched = any(_has_gradient(game.players[name]) for name in turn.players)
        assert touched, f"the contests of the turn {turn.name!r} reach none of its players"


def names_are_known(config: GameConfig) -> None:
    """Contests and what is said of sampling name tensors of the game, and the discriminators of contests are players.

    Sampling is `output`, `pictures`, `label`, `sampling_inputs` and `translations`. A `label` is a class label.
    """
    game = build_playable_game(config)
    named = {*game.pictures, game.output, *(name for contest in game.contests for name in contest.tensors())}
    named |= {*(game.sampling_inputs or ()), *(name for pair in game.translations for name in pair)}
    named |= set() if game.label is None else {game.label}
    assert named <= set(game.names), f"unknown: {named - set(game.names)}"
    assert game.discriminators <= set(game.players)
    assert game.label is None or game.label_spec() is not None, f"{game.label!r} is no class label"


def missing_data_is_named(config: GameConfig) -> None:
    """A game refuses data without its inputs, with an error that names every input."""
    inputs = build_playable_game(config).inputs
    try:
        config.build({})
    except BadInput as problem:
        assert all(name in str(problem) for name in inputs)
        return
    assert not inputs, "data without the game's inputs was accepted"


CHECKS = {
    "game": {
        "every maker works": every_maker_works,
        "tensors are made at most once and only if asked for": made_at_most_once,
        "frozen players get no gradient": frozen_players_get_no_gradient,
        "shared rounds lose no gradient": shared_rounds_lose_no_gradient,
        "turns move exactly whom they name": turns_train_their_players,
        "contests and pictures name known tensors": names_are_known,
        "missing data is named": missing_data_is_named,
    }
}
