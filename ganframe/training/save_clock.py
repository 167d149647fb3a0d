"""The time since the last checkpoint."""

from __future__ import annotations

from time import monotonic

from ganframe.distributed.shard import is_main_process


class SaveClock:
    """A clock that tells when the last checkpoint is too old.

    Only the clock of the main process decides, so that all ranks save after the same step.

    Args:
        minutes: Maximum time between two checkpoints, in minutes; None for no maximum.
    """

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None or not is_main_process() else minutes * 60
        self._last = monotonic()

    def is_due(self) -> bool:
        """Return whether a checkpoint is due; always False outside the main process."""
        return self._seconds is not None and monotonic() - self._last >= self._seconds

    def restart(self) -> None:
        """Restart the clock, because a checkpoint was saved."""
        self._last = monotonic()
