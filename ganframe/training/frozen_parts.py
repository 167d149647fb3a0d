"""Players, and parts of them, that are frozen for some time or for the whole run (the setting `freeze`).

References:
    Mo et al. 2020, Freeze the Discriminator, arXiv:2002.10964.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ganframe.config.weights import Freeze
from ganframe.errors import BadInput, within
from ganframe.game.game import Game
from ganframe.training.player_parts import find_part
from ganframe.training.rebuild_optimizers import rebuild_optimizers
from ganframe.training.run_state import Run


class FrozenParts:
    """The parts of players that are frozen: they get no gradients, stay in eval mode and are in no optimizer.

    What is frozen depends only on the number of images seen, so checkpoints do not save it.

    Args:
        game: The game, with its players.
        freeze: The parts, and until when each is frozen.

    Raises:
        BadInput: When a part does not exist, or belongs to a player that never trains.
    """

    def __init__(self, game: Game, freeze: Sequence[Freeze]) -> None:
        self._game = game
        self._parts: list[tuple[Freeze, list[nn.Module]]] = []
        for index, config in enumerate(freeze):
            with within("freeze", index, "part"):
                self._parts.append((config, list(find_part(game, config.part).modules())))
                if config.part.partition(".")[0] in game.frozen_players:
                    raise BadInput(f"{config.part!r} never trains in this game", remedy="Leave it out.")
        modules = {module: None for _, part in self._parts for module in part}
        # Parameters are kept by name, because sharding replaces them. Those that the network itself froze stay frozen.
        self._trainable = {module: _trainable_parameters(module) for module in modules}
        self._training = {module: module.training for module in modules}
        self._in_force: list[Freeze] = []

    def apply(self, images: int) -> bool:
        """Freeze the parts that are due to be frozen after `images` real examples, and unfreeze all others.

        Returns:
            Whether the set of frozen parts has changed.
        """
        in_force = [config for config, _ in self._parts if config.until_images is None or images < config.until_images]
        if in_force == self._in_force:
            return False
        frozen = {module for config, part in self._parts if config in in_force for module in part}
        for module, training in self._training.items():
            module.training = training and module not in frozen
        # Frozen modules come last, so that a parameter shared with a module that trains is frozen.
        for module in sorted(self._trainable, key=frozen.__contains__):
            for name in self._trainable[module]:
                getattr(module, name).requires_grad_(module not in frozen)
        self._game.set_players(self._game.players)
        self._in_force = in_force
        return True


def freeze_or_thaw(run: Run, images: int) -> bool:
    """Freeze the parts that are due to be frozen after `images` real examples, and unfreeze all others.

    Returns:
        Whether the set of frozen parts has changed. If so, optimizers were rebuilt, and the run needs a new `Trainer`.
    """
    changed = run.assembly.frozen_parts.apply(images)
    if changed:
        rebuild_optimizers(run)
    return changed


def _trainable_parameters(module: nn.Module) -> list[str]:
    return [name for name, parameter in module.named_parameters(recurse=False) if parameter.requires_grad]
