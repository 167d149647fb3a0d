"""Training: building the objects of a config, the training step and loop, callbacks, saving and restoring."""
