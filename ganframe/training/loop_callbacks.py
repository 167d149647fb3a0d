"""Callbacks of the training loop: work between steps, such as drawing samples and measuring them, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.training.run_state import Run
from ganframe.training.stop_request import StopRequest


class Callback:
    """Work between the steps of a run. Subclasses override the methods that they need."""

    def is_due(self, run: Run, previous_images: int) -> bool:
        """Return whether to call `after_step` after this step; after the last step it is called in any case.

        Args:
            run: The run, after the step.
            previous_images: Images seen before the step.
        """
        return False

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        """Do the work that is due after a step, before a checkpoint of the step is saved.

        Args:
            run: The run.
            stop_request: Tells whether the run was asked to stop.

        Raises:
            EvaluationAborted: When the run was asked to stop; `after_step` is called again when the run is resumed.
        """

    def at_end(self, run: Run) -> None:
        """Do the work that remains when the run has finished or failed."""


MakeCallbacks = Callable[[Experiment, Dataset], Sequence[Callback]]
"""A function that makes the callbacks of a run, in order, from its config and data.

It is called before the run folder is created, and raises BadInput when a callback cannot be made for this config and
data.
"""


def is_due(every: int, before: int, after: int) -> bool:
    """Return whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every
