"""Validation errors in the words of ganframe."""

from __future__ import annotations

from typing import Any, cast

from pydantic import (
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError


def with_article(kind: str) -> str:
    """Return a kind of component with its article: `an optimizer`."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def error_detail(code: str, message: str, loc: tuple[str | int, ...], value: object) -> InitErrorDetails:
    """Return one detail of a validation error, with a message of our own."""
    # Braces would be read as placeholders of pydantic's message template.
    text = message.replace("{", "{{").replace("}", "}}")
    return InitErrorDetails(type=PydanticCustomError(cast(Any, code), cast(Any, text)), loc=loc, input=value)


def validation_error(code: str, message: str, loc: tuple[str | int, ...], value: object) -> ValidationError:
    """Return a validation error with one detail."""
    return ValidationError.from_exception_data("component", [error_detail(code, message, loc, value)])
