"""Callbacks of the training loop: work between steps, such as drawing samples and computing metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.training.run_state import Run
from ganframe.training.stop_request import StopRequest


class Callback:
    """Work between the steps of a run. Subclasses override the methods that they need."""

    def is_due(self, run: Run, previous_images: int) -> bool:
        """Return whether to call `after_step` after this step; after the last step it is always called.

        Args:
            run: The run, after the step.
            previous_images: Real examples seen before the step.
        """
        return False

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        """Do the work of this callback after a step, before a checkpoint of the step is saved.

        Args:
            run: The run.
            stop_request: Whether the run was asked to stop, for callbacks that take long.

        Raises:
            EvaluationAborted: When the run was asked to stop. `after_step` is called again when the run is resumed.
        """

    def at_end(self, run: Run) -> None:
        """Do the remaining work when the run has finished or failed."""


MakeCallbacks = Callable[[Experiment, Dataset], Sequence[Callback]]
"""A function that makes the callbacks of a run, in order, from its config and data set.

It is called before the run folder is created, and raises `BadInput` when a callback does not fit the config or data.
"""


def is_due(every: int, before: int, after: int) -> bool:
    """Return whether there is a multiple of `every` in (before, after]."""
    return after // every > before // every
