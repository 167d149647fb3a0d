"""Runs of several processes: each one's part of a batch (shard), collectives, FSDP, precision, and what they print."""
