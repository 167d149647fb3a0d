"""Pydantic validation errors with messages of ganframe."""

from __future__ import annotations

from typing import Any, cast

from pydantic import (
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError


def with_article(kind: str) -> str:
    """Return the name of a kind of component with its indefinite article: `an optimizer`."""
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def error_detail(code: str, message: str, loc: tuple[str | int, ...], value: object) -> InitErrorDetails:
    """Return one entry of a validation error, with this message in place of pydantic's."""
    # Braces would be read as placeholders of pydantic's message template.
    text = message.replace("{", "{{").replace("}", "}}")
    return InitErrorDetails(type=PydanticCustomError(cast(Any, code), cast(Any, text)), loc=loc, input=value)


def validation_error(code: str, message: str, loc: tuple[str | int, ...], value: object) -> ValidationError:
    """Return a validation error with one entry."""
    return ValidationError.from_exception_data("component", [error_detail(code, message, loc, value)])
