"""The folder of a run: its files, environment, logs and checkpoints."""
