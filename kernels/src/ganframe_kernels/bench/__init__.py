"""Benchmarks of the operations: `python -m ganframe_kernels.bench`."""
