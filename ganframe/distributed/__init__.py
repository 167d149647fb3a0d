"""Many processes, one run: shards, collectives, FSDP, precision."""
