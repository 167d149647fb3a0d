"""Training: assembly of the config, the step, the loop and its callbacks, checkpoints."""
