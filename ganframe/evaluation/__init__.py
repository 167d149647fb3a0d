"""A run looked at: samples, metrics, pictures, diagnostics and the report."""
