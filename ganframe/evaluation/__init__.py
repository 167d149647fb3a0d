"""Evaluation of a run: samples, metrics, pictures, diagnostics and the report."""
