"""From a config to weights: assembly, the step, the loop and its callbacks."""
