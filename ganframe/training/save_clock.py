"""When a checkpoint is due by time."""

from __future__ import annotations

from time import monotonic

from ganframe.distributed.shard import is_main_process


class SaveClock:
    """Tells when a checkpoint is due because the last one is some minutes old.

    Only the clock of the main process counts, so that all ranks save after the same step.

    Args:
        minutes: The longest time between two checkpoints, in minutes; None for any time.
    """

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None or not is_main_process() else minutes * 60
        self._last = monotonic()

    def is_due(self) -> bool:
        """Return whether a checkpoint is due by the clock of this process; never except in the main process."""
        return self._seconds is not None and monotonic() - self._last >= self._seconds

    def restart(self) -> None:
        """Measure time from now on, because a checkpoint was saved."""
        self._last = monotonic()
