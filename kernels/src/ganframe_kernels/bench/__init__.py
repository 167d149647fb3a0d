"""How fast the operations are here: `python -m ganframe_kernels.bench`."""
