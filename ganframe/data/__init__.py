"""From a data set to batches: order, loading, workers, and files that cannot be read."""
