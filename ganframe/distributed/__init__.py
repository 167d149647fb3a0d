"""Runs of several processes (ranks): shards of a batch, collectives, FSDP, precision, terminal output."""
