"""The plugin host: discovery, hooks, the registry of types, and the scaffold of new packages."""
