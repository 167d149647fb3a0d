"""Run folders: their files, software versions, logs and checkpoints."""
