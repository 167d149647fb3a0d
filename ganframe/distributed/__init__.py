"""Runs of several processes: each one's part of a batch (shard), collectives, FSDP and precision."""
