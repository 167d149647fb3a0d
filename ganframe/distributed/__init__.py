"""Many processes in one run: shards, collectives, FSDP, precision."""
