"""Networks whose whole training steps are timed, built from this package's operations."""
