"""Networks whose whole training steps are timed, out of the operations of this package."""
