"""Warm start: initial weights of players, or of parts of them, from another run or a file (`init_from`)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.experiment import Experiment
from ganframe.config.weights import WeightSource
from ganframe.errors import BadInput, within
from ganframe.game.game import Game
from ganframe.runs.checkpoint_files import checkpoint_errors, load_latest
from ganframe.runs.folder import RunFolder
from ganframe.runs.weight_files import check_names_and_shapes, check_numbers, read_weights
from ganframe.training.player_parts import find_part


def fill_players(experiment: Experiment, game: Game, names: Collection[str]) -> None:
    """Load the weights that `init_from` names into players and parts of them.

    A player is loaded before its parts, whatever their order in the config.

    Args:
        experiment: The config.
        game: The game, with its players on their device and not sharded.
        names: The players to load, with their parts; all others are left unchanged.

    Raises:
        BadInput: When a player or part does not exist, the source cannot be read, or its weights do not fit. The error
            has the path in the config.
    """
    for part in sorted(experiment.init_from, key=lambda part: part.count(".")):
        with within("init_from", part):
            network = find_part(game, part)
            if part.partition(".")[0] in names:
                _fill(network, part, experiment.init_from[part])


def _fill(network: nn.Module, part: str, source: WeightSource) -> None:
    expected = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    if not expected:
        raise BadInput(f"{part!r} has no weights")
    if source.file is not None:
        place = source.file
        weights = read_weights(place, (source.prefix or "").rstrip("."), expected)
    else:
        assert source.run is not None
        place = source.run
        weights = _read_run(place, source.player or part, averages=source.averages)
        shapes = {name: tuple(value.shape) for name, value in weights.items()}
        check_names_and_shapes(shapes, expected, place=str(place))
    check_numbers(weights, expected, place=str(place))
    try:
        network.load_state_dict(weights, strict=False)  # the names are checked; extra state is left unchanged
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())
        raise BadInput(f"the network refuses the weights: {reason}", place=str(place)) from None


def _read_run(path: Path, part: str, *, averages: bool) -> dict[str, Tensor]:
    """Return the weights of a player, or of a part of one, from the latest checkpoint of a run."""
    checkpoint = load_latest(RunFolder.open(path).checkpoints)
    if checkpoint is None:
        raise BadInput("this run has no checkpoint yet", place=str(path))
    _, sections = checkpoint
    player, _, module = part.partition(".")
    saved = [name.removeprefix("player.") for name in sections if name.startswith("player.")]
    if player not in saved:
        raise BadInput(f"the run saved no player {player!r}", place=str(path), remedy=f"It has: {', '.join(saved)}.")
    with checkpoint_errors(path):
        # As `AveragedPlayers.state_dict` names them.
        averaged = _under(f"{player}.module.", sections.get("averages", {})) if averages else {}
        weights = _under(f"{module}." if module else "", averaged or sections[f"player.{player}"])
    if not weights:
        raise BadInput(f"the player {player!r} of the run has no part {module!r}", place=str(path))
    return weights


def _under(prefix: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and isinstance(value, Tensor)
    }


def digest_of(network: nn.Module) -> str:
    """Return the SHA-256 of the weights of a network: of their names, dtypes, shapes and values."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, Tensor):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
