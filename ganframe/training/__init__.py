"""Training: live objects from a config, the steps of a run, its loop and callbacks, save and restore."""
