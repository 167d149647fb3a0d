"""Plugins: discovery, hooks, the registry of component types, and the scaffold of new packages."""
