"""An encoder as text, for what a metric says of how it measured."""

from __future__ import annotations

from ganframe.config import EncoderConfig


def describe(encoder: EncoderConfig) -> str:
    """Return the type of an encoder and its settings that are not at their defaults: `vgg (depth 19)`."""
    settings = encoder.model_dump(mode="json", exclude={"type"}, exclude_defaults=True)
    given = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{encoder.type_name()} ({given})" if given else encoder.type_name()
