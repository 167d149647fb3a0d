"""Checks of games."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.component_kinds import GameConfig
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.game_checks import check_game, check_networks
from ganframe.game.loss_term import LossTerm
from ganframe.game.round import Round
from ganframe.game.samples import sample_parts
from ganframe.testing.fakes import (
    BATCH,
    AnyData,
    FakeDiscriminator,
    FakeGenerator,
    FakeLoss,
    make_round,
    random_batch,
    with_built_players,
)


def build_playable_game(config: GameConfig, heads: int = 0) -> Game:
    """Build a game with stand-in players, for data with every tensor that the game asks for.

    Args:
        config: The config of the game, with stand-ins.
        heads: Number of named heads of stand-in discriminators; 0 for networks with a single output.

    Raises:
        BadInput: When the game is refused both with generators that take latents and with ones that take samples. The
            error is that of the first try.
    """
    generators = [name for name, value in config if isinstance(value, FakeGenerator)]
    networks: dict[str, Any] = {
        name: FakeDiscriminator(heads=heads) for name, value in config if heads and isinstance(value, FakeDiscriminator)
    }
    problems: list[BadInput] = []
    # A game may have generators that start from a latent, from a sample, or some of each kind.
    for kinds in itertools.product((False, True), repeat=len(generators)):
        networks |= {name: FakeGenerator(from_sample=kind) for name, kind in zip(generators, kinds, strict=True)}
        try:
            game = config.model_copy(update=networks).build(AnyData(config.example_specs()))
            check_game(game)
            with_built_players(game)
            check_networks(game)
        except BadInput as problem:
            problems.append(problem)
        else:
            return game
    problem = problems[0]
    remedy = problem.remedy or "Return other settings from `example` of the config, or the data from `example_specs`."
    raise BadInput(problem.message, place=problem.place, path=problem.path, remedy=remedy)


def every_maker_works(config: GameConfig) -> None:
    """Every named tensor that the game makes is finite and has a row for each example, in turns and outside training.

    This is tested with two batch sizes.
    """
    game = build_playable_game(config)
    for size, turn in itertools.product((BATCH, BATCH - 1), (*game.turns, None)):
        game_round = make_round(game, random_batch(game.data, size), turn)
        for name in game.makers:
            for part in sample_parts(game_round[name]):
                assert bool(part.isfinite().all()), f"{game.maker_name(name)} makes a {name!r} that is not finite"


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
    """A named tensor is made at most once for each batch, and only if it is read."""
    game = build_playable_game(config)
    counts = _count_maker_calls(game)
    game_round = make_round(game, random_batch(game.data), game.turns[0])
    assert not counts, "tensors were made before any was read"
    for name in (*game.makers, *game.makers):
        game_round[name]
    assert set(counts.values()) <= {1}, f"made more than once: {counts}; read tensors from the round, call no maker"


def _objective(game: Game, game_round: Round) -> Tensor:
    """Return a simple objective: the sum of the mean squared logits of each side of each contest of the turn."""
    total = torch.zeros(())
    for contest in game_round.contests:
        for side in ("real", "fake"):
            output: DiscriminatorOutput = game_round.discriminator_output(contest, side)
            total = total + output.logits.square().mean()
    return total


def _has_gradient(player: nn.Module) -> bool:
    return any(parameter.grad is not None for parameter in player.parameters())


def frozen_players_get_no_gradient(config: GameConfig) -> None:
    """In each turn, only the players that train in it get a gradient."""
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
    """In each turn, the same players get gradients whether or not turns share the tensors of a batch (`share_round`).

    Not checked if the game refuses `share_round` or a turn has repeats.
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


def _everything(game: Game, game_round: Round) -> Tensor:
    """Return the sum of `_objective` and of the mean square of each tensor that the game makes."""
    total = _objective(game, game_round)
    for name in game.makers:
        for part in sample_parts(game_round[name]):
            if part.requires_grad:
                total = total + part.square().mean()
    return total


def turns_train_their_players(config: GameConfig) -> None:
    """Every player that is not frozen trains in some turn, and turns do not name other players.

    In each turn, every player that trains gets a gradient from the contests of the turn and the tensors that the game
    makes, or from `example_objective` of the config.
    """
    game = build_playable_game(config)
    trained = {name for turn in game.turns for name in turn.players}
    trainable = set(game.players) - game.frozen_players
    assert trained == trainable, f"players {trainable} can train, but turns train {trained}"
    for turn in game.turns:
        for player in game.players.values():
            player.zero_grad(set_to_none=True)
        with game.only_trainable(turn.players):
            game_round = make_round(game, random_batch(game.data), turn)
            total = config.example_objective(game_round)
            total = _everything(game, game_round) if total is None else total
            if total.requires_grad:
                total.backward()
        idle = [
            name for name in turn.players if game.trainable_parameters([name]) and not _has_gradient(game.players[name])
        ]
        assert not idle, (
            f"{', '.join(idle)}: nothing in the turn {turn.name!r} depends on the network. Make a tensor with it, "
            "name it in a contest, or override `example_objective` of the config if terms call it"
        )


def names_are_known(config: GameConfig) -> None:
    """Contests and the attributes for sampling name existing tensors, and discriminators of contests are players.

    The attributes for sampling are `output`, `pictures`, `label`, `sampling_inputs` and `translations`. `label` must
    name a class label.
    """
    game = build_playable_game(config)
    named = {*game.pictures, game.output, *(name for contest in game.contests for name in contest.tensors())}
    named |= {*(game.sampling_inputs or ()), *(name for pair in game.translations for name in pair)}
    named |= set() if game.label is None else {game.label}
    assert named <= set(game.names), f"unknown: {named - set(game.names)}"
    assert game.label is None or game.label_spec() is not None, f"{game.label!r} is no class label"


def heads_are_scored(config: GameConfig) -> None:
    """If discriminators have two heads of logits, a loss is a finite scalar in every turn in which it takes part."""
    game = build_playable_game(config, heads=2)
    loss = LossTerm("stub", ("losses", 0), FakeLoss())
    for turn in game.turns:
        if loss.joins(game, turn):
            value = loss.value(make_round(game, random_batch(game.data), turn), turn)
            assert bool(value.isfinite()), f"the loss in the turn {turn.name!r} is {float(value)}"


def missing_data_is_named(config: GameConfig) -> None:
    """Data without the game's inputs is refused, with an error that names every input."""
    inputs = build_playable_game(config).inputs
    try:
        config.build({})
    except BadInput as problem:
        unnamed = [name for name in inputs if name not in str(problem)]
        assert not unnamed, f"the error does not name {', '.join(unnamed)}: call `super().__init__(data)` first"
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
        "heads are scored": heads_are_scored,
        "missing data is named": missing_data_is_named,
    }
}
