"""Checks of a game before training: the names that it uses, its makers, its player specs and its networks."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from torch import nn

from ganframe.config.component_kinds import TurnConditionConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.errors import BadInput, known_names
from ganframe.game.contest import Contest
from ganframe.game.makers import made_tensors
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import author_code, check_arguments, has_method, name_of, source_of

if TYPE_CHECKING:
    from ganframe.game.game import Game


def check_game(game: Game) -> None:
    """Refuse a game whose parts do not fit together. Call this before the networks are built.

    Raises:
        BadInput: When a part does not fit. The error names the part, and the game's class with its file and line.
    """
    if not hasattr(game, "data"):
        _refuse(game, "its `__init__` does not call that of `Game`", "Call `super().__init__(data)` in it.")
    check_names(game, "pictures")
    _check_makers(game)
    players = _check_player_specs(game)
    _check_turns(game, players)
    _check_contests(game, players)
    output = getattr(game, "output", None)
    if not isinstance(output, str):
        what = "it has no `output`" if output is None else f"`output` is {output!r}"
        _refuse(game, what, "Set it to the name of the tensor that sampling returns.")
    for setting, names in {"output": (game.output,), "pictures": game.pictures}.items():
        for name in names:
            _check_tensor(game, name, f"`{setting}`")


def check_names(game: Game, setting: str) -> None:
    """Refuse a game unless one of its attributes is a tuple (or list) of strings.

    Args:
        game: The game.
        setting: The name of the attribute.

    Raises:
        BadInput: When it is not. The error names the game's class and the attribute.
    """
    names = getattr(game, setting, None)
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
        written = "is missing" if names is None else f"is {names!r}"
        _refuse(game, f"`{setting}` {written}", f'Set it to a tuple of names, such as `{setting} = ("real",)`.')


def check_networks(game: Game) -> None:
    """Refuse networks that do not fit the game. Call this after `set_players`.

    Raises:
        BadInput: When a network does not fit. The error names the player, and the file and line of its network or of
            the game.
    """
    for name, spec in game.player_specs().items():
        network = game.players[name]
        _check_forward(name, spec, network)
        if isinstance(spec.config, GeneratorConfig) and spec.config.starts_from == "latent":
            _check_latent_shape(name, spec.config, network)
        heads = getattr(network, "head_names", ())
        if not isinstance(heads, tuple) or len(set(heads)) != len(heads):
            message = f"`head_names` of the network of {name!r} is {heads!r}, and not a tuple of different names"
            raise BadInput(message, place=source_of(network))
    in_turns = {name for turn in game.turns for name in turn.players}
    for name in game.players:
        if name not in in_turns and game.trainable_parameters([name]):
            remedy = "Name it in `players` of a turn, or freeze it: `PlayerSpec(..., frozen=True)`."
            what = "discriminator of a contest" if name in game.discriminators else "player"
            _refuse(game, f"the {what} {name!r} is in no turn, so it never trains", remedy)


def _check_forward(name: str, spec: PlayerSpec, network: nn.Module) -> None:
    if not has_method(network, "forward"):
        message = f"the network of {name!r}, {name_of(type(network))}, has no method `forward`"
        raise BadInput(message, place=source_of(network))
    if isinstance(spec.config, DiscriminatorConfig):  # a game calls its generators itself, with any arguments
        given = ("the samples",) if spec.condition is None else ("the samples", "their condition")
        check_arguments(network.forward, f"{name_of(type(network))}.forward", len(given), given)


def _check_latent_shape(name: str, config: GeneratorConfig, network: nn.Module) -> None:
    # A missing shape is refused only by `draw_latents`, because a game that draws latents otherwise needs none.
    shape: Any = getattr(network, "latent_shape", ())
    if isinstance(shape, (tuple, list)) and all(isinstance(side, int) for side in shape):
        return
    message = f"the generator {name!r} ({name_of(type(network))}) has the `latent_shape` {shape!r}, no tuple of sizes"
    remedy = "Set it in the network, such as `self.latent_shape = (128,)`, or return its spec from `latent_specs`."
    raise BadInput(message, place=source_of(network), remedy=remedy)


def _check_makers(game: Game) -> None:
    for cls in type(game).__mro__:
        made = [name for value in vars(cls).values() for name in made_tensors(value)]
        for name in _repeated(made):
            _refuse(game, f"two makers of {name_of(cls)} make the tensor {name!r}", "Rename one of them.")
    for name, method in game.makers.items():
        maker = getattr(game, method)
        if name not in made_tensors(maker):
            message = f"{game.maker_name(name)} replaces the maker of {name!r}, but is not marked as one"
            _refuse(game, message, "Mark it with `@tensor`, too.")
        with author_code(game.maker_name(name), maker):
            check_arguments(maker, game.maker_name(name), 1, ("the round",))
        if name in set(game.data):
            remedy = f"The data set gives: {', '.join(game.data)}. Rename the method."
            _refuse(game, f"{game.maker_name(name)} makes {name!r}, which the data set gives too", remedy)


def _check_player_specs(game: Game) -> Mapping[str, PlayerSpec]:
    if type(game).player_specs.__module__ == "ganframe.game.game":
        _refuse(game, "it has no method `player_specs`", "Return the spec of each player from it.")
    with author_code(f"{name_of(type(game))}.player_specs()", type(game).player_specs):
        specs: Any = game.player_specs()
    remedy = "Return a mapping from player names to `PlayerSpec`."
    if not isinstance(specs, Mapping):
        _refuse(game, f"player_specs() returned {type(specs).__name__}", remedy)
    for name, spec in specs.items():
        if not isinstance(spec, PlayerSpec):
            _refuse(game, f"player_specs() gives {type(spec).__name__} for the player {name!r}", remedy)
        path: Any = spec.path
        if not isinstance(path, tuple):
            _refuse(game, f"`path` of the spec of {name!r} is {path!r}, and no tuple", f"Write `({path!r},)`.")
    return specs


def _check_turns(game: Game, players: Collection[str]) -> None:
    for turn in _parts(game, "turns", Turn):
        where = f"the turn {turn.name!r}"
        if not isinstance(turn.players, (tuple, list)):
            _refuse(game, f"`players` of {where} is {turn.players!r}", f"Write a tuple: `({turn.players!r},)`.")
        if not turn.players:
            _refuse(game, f"{where} has no players", "Name those that train in it.")
        for name in turn.players:
            _check_player(players, game, name, where)
        for name in _repeated(turn.players):
            _refuse(game, f"{where} names the player {name!r} twice", "Name it once.")
        if not isinstance(turn.repeats, int) or turn.repeats < 1:
            _refuse(game, f"{where} has {turn.repeats!r} repeats", "Set `repeats` to 1 or more.")
        if turn.condition is not None and not isinstance(turn.condition, TurnConditionConfig):
            message = f"the condition of {where} is {name_of(type(turn.condition))}, no turn condition's config"
            _refuse(game, message, "Give it the config, such as `EveryKthStep(steps=2)`.")
    for name in _repeated(turn.name for turn in game.turns):
        _refuse(game, f"two turns are called {name!r}", "Give each turn a name of its own.")
    if not game.turns:
        _refuse(game, "it has no turns", "Add one, such as `Turn('generator', players=('generator',))`.")


def _check_contests(game: Game, players: Mapping[str, PlayerSpec]) -> None:
    for contest in _parts(game, "contests", Contest):
        where = f"the contest {contest.name!r}"
        _check_player(players, game, contest.discriminator, where)
        config: object = players[contest.discriminator].config
        if not isinstance(config, DiscriminatorConfig):
            message = f"{contest.discriminator!r}, the discriminator of {where}, is a {name_of(type(config))}"
            _refuse(game, message, "The config of its player spec has to be a DiscriminatorConfig.")
        for side, condition in {"real": contest.real_condition, "fake": contest.fake_condition}.items():
            if (condition is None) != (players[contest.discriminator].condition is None):
                given = "none" if condition is None else f"{condition!r}"
                message = f"`{side}_condition` of {where} is {given}, and the spec of {contest.discriminator!r} has "
                message += "a condition" if condition is None else "no condition"
                _refuse(game, message, "Give both a condition, or none.")
        if isinstance(contest.generators, str):
            message = f"`generators` of {where} is {contest.generators!r}"
            _refuse(game, message, f"Write a tuple: `({contest.generators!r},)`.")
        for name in contest.generators or ():
            _check_player(players, game, name, where)
        for name in contest.tensors():
            _check_tensor(game, name, where)
        if (contest.real, contest.real_condition) == (contest.fake, contest.fake_condition):
            _refuse(game, f"both sides of {where} are {contest.real!r}", "Name the tensor of the fakes as `fake`.")
    for name in _repeated(contest.name for contest in game.contests):
        _refuse(game, f"two contests are called {name!r}", 'Name each: `Contest(..., name="first")`.')


def _parts(game: Game, setting: str, cls: type) -> Iterable[Any]:
    parts: Any = getattr(game, setting, None)
    if not isinstance(parts, (tuple, list)) or not all(isinstance(part, cls) for part in parts):
        written = "is missing" if parts is None else f"is {parts!r}"
        remedy = f"Set it to a tuple of {cls.__name__}, such as `({cls.__name__}(...),)`."
        _refuse(game, f"`{setting}` {written}", remedy)
    return parts


def _check_player(players: Collection[str], game: Game, name: object, where: str) -> None:
    if name not in players:
        _refuse(
            game, f"{where} names the player {name!r}, which player_specs() does not have", known_names(name, players)
        )


def _check_tensor(game: Game, name: str, where: str) -> None:
    if name in game.names:
        return
    remedy = known_names(name, game.names)
    if inspect.isroutine(getattr(type(game), str(name), None)):
        remedy = f"Mark the method `{name}` with `@tensor`."
    _refuse(game, f"{where} names the tensor {name!r}, which the game does not have", remedy)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _refuse(game: Game, message: str, remedy: str) -> NoReturn:
    name = name_of(type(game))
    raise BadInput(f"the game {name}: {message}", place=source_of(type(game)), remedy=remedy)
