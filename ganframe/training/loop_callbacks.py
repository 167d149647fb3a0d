"""Callbacks of the loop: work beside the steps of a run, such as drawing and measuring, in an explicit order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.training.run_state import Run
from ganframe.training.stop_request import StopRequest


class Callback:
    """Work beside the steps of a run; subclasses override what they need."""

    def is_due(self, run: Run, previous_images: int) -> bool:
        """Return whether `after_step` is called after this step; after the last step it always is.

        Args:
            run: The run, after the step.
            previous_images: Images seen before the step.
        """
        return False

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        """Work after a step, before its checkpoint is saved.

        Args:
            run: The run.
            stop_request: Tells whether the run was asked to stop.

        Raises:
            EvaluationAborted: When the run was asked to stop; what is due is done anew when it is resumed.
        """

    def at_end(self, run: Run) -> None:
        """Work when the run is over, finished or failed."""


MakeCallbacks = Callable[[Experiment, Dataset], Sequence[Callback]]
"""Makes the callbacks of a run, in order, from its config and data; raises BadInput before a run folder is made."""


def is_due(every: int, before: int, after: int) -> bool:
    """Return whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every
