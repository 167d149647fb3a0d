"""Changes of the parameters that train, between two steps of a run: players grow, and frozen parts are unfrozen."""

from __future__ import annotations

from ganframe.training.frozen_parts import freeze_or_thaw
from ganframe.training.rebuild_optimizers import rebuild_optimizers
from ganframe.training.run_state import Run


def change_parameters(run: Run, images: int) -> bool:
    """Grow players, and unfreeze parts of them, if that is due after `images` real examples.

    Returns:
        Whether anything has changed. If so, optimizers were rebuilt, and the run needs a new `Trainer`.
    """
    grown = _grow(run, images)
    return freeze_or_thaw(run, images) or grown


def _grow(run: Run, images: int) -> bool:
    growing, growth = run.assembly.growing, run.experiment.growth
    before = growing.stage
    if growth is None or not growing.apply(images):
        return False
    for stage in growth.stages[before + 1 : growing.stage + 1]:
        if run.averages is not None:
            run.averages.grow(stage.downscale)
    rebuild_optimizers(run, keep_state=not growth.reset_optimizers)
    return True
