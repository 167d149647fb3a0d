"""The base of every config: frozen, documented by its fields, and strict about unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from ganframe.config.validation import error_detail


class Settings(BaseModel):
    """A frozen model that refuses unknown keys; field docstrings are its manual."""

    # Deferred: to list types, as `--help` does, nothing has to be validated.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys, with the setting that was probably meant, beside whatever else is wrong."""
        if not isinstance(value, Mapping):
            return handler(value)
        given = cast(Mapping[Any, Any], value)
        known = list(cls.__pydantic_fields__)
        owner = cls._own_name()
        details: list[InitErrorDetails] = []
        meant = set[str]()
        for key in (str(key) for key in given if key not in known):
            near = difflib.get_close_matches(key, known, 1)
            meant.update(near)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known)}"
            details.append(error_detail("unknown_setting", f"{owner} has no setting {key!r}; {hint}", (key,), key))
        if not details:
            return handler(value)
        try:
            handler({key: each for key, each in given.items() if key in known})
        except ValidationError as problem:
            details += [
                error_detail(each["type"], each["msg"], each["loc"], each["input"])
                for each in problem.errors(include_url=False)
                if each["type"] != "missing" or each["loc"][0] not in meant
            ]
        raise ValidationError.from_exception_data(owner, details)

    @classmethod
    def _own_name(cls) -> str:
        return cls.__name__.lower()
