"""The base class of every config. Configs are frozen, refuse unknown keys, and document fields by docstrings."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Self, Union, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails

from ganframe.config.arguments import user_path
from ganframe.config.field_docstrings import field_docstrings
from ganframe.config.validation_errors import error_detail


@dataclass(frozen=True)
class RunLength:
    """The length of a run.

    Attributes:
        images: Real examples of the whole run.
        turns: Maximum number of times that any turn (optimizer step of the game) is taken.
    """

    images: int
    turns: int


class Settings(BaseModel):
    """A frozen pydantic model that refuses unknown keys. The docstrings of its fields are shown to users.

    In a setting of type `Path`, `~` stands for the home folder.
    """

    # `defer_build`: commands that do not validate a config, such as `--help`, need not wait for pydantic's schemas.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}
    """The current names of settings, by their former names. Configs may still use the former names."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for former, present in vars(cls).get("renamed", {}).items():
            _present_names.setdefault(former, set()).add(present)

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the settings that have no effect in a run of this length, each with the reason.

        Users see the path and the reason as one sentence: `regularizers.0.from_images lies beyond the end of the run`.
        """
        return {}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema with the docstrings of the fields as their descriptions."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in field_docstrings(cls).items():
            if name in properties:
                properties[name]["description"] = text
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _check_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Replace former names by current ones. Refuse unknown keys, and suggest settings with similar names."""
        if not isinstance(value, Mapping):
            return handler(value)
        fields = cls.__pydantic_fields__
        given = {key: _as_path(each, cls._annotation(key)) for key, each in cast(Mapping[Any, Any], value).items()}
        settings = {cls.renamed.get(key, key): each for key, each in given.items()}
        written = {cls.renamed[key]: key for key in given if key in cls.renamed}
        details = [*_unknown_keys(given, cls), *_repeated_keys(given, cls)]
        if not details and not written:
            return handler(given)
        meant = {_close(str(key), cls) for key in settings if key not in fields}
        try:
            validated = handler({key: each for key, each in settings.items() if key in fields})
            if not details:
                return validated
        except ValidationError as problem:
            details += [
                error_detail(error["type"], error["msg"], (written.get(str(first), first), *rest), error["input"])
                for error in problem.errors(include_url=False)
                for first, *rest in [error["loc"] or ("",)]
                if error["type"] != "missing" or first not in meant
            ]
        raise ValidationError.from_exception_data(cls._own_name(), details)

    @classmethod
    def _annotation(cls, key: object) -> Any:
        """Return the type of a setting, given its current or a former name; None if it does not exist."""
        found = cls.__pydantic_fields__.get(cls.renamed.get(str(key), str(key)))
        return None if found is None else found.annotation

    @classmethod
    def _own_name(cls) -> str:
        return cls.__name__.lower()


def _as_path(value: Any, annotation: Any) -> Any:
    """Expand `~` in the value of a setting that is or may be a path; return any other value unchanged.

    A number becomes a path as it is written in the config, such as `012`.
    """
    if annotation is Path:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(getattr(value, "text", value))
        return user_path(value) if isinstance(value, (str, Path)) else value
    options, origin = get_args(annotation), get_origin(annotation)
    if origin in (Union, UnionType) and not {str, int, float} & {*options}:
        return _as_path(value, Path) if Path in options else value
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return [_as_path(each, options[0]) for each in cast(Sequence[Any], value)] if Path in options else value
    return value


_present_names: dict[str, set[str]] = {}


def synonyms(key: str) -> set[str]:
    """Return `key`, and its current and former names in all settings classes."""
    formers = {former for former, present in _present_names.items() if key in present}
    return {key} | _present_names.get(key, set()) | formers


def _close(key: str, cls: type[Settings]) -> str | None:
    """Return the setting whose name is most similar to an unknown key; None if none is similar."""
    found = difflib.get_close_matches(key, [*cls.__pydantic_fields__, *cls.renamed], 1)
    return cls.renamed.get(found[0], found[0]) if found else None


def _unknown_keys(given: Mapping[Any, Any], cls: type[Settings]) -> Iterator[InitErrorDetails]:
    fields, owner = cls.__pydantic_fields__, cls._own_name()  # pyright: ignore[reportPrivateUsage]
    for key in (str(key) for key in given if key not in fields and key not in cls.renamed):
        close = _close(key, cls)
        hint = f"did you mean {close!r}?" if close else f"it has: {', '.join(fields)}"
        yield error_detail("unknown_setting", f"{owner} has no setting {key!r}; {hint}", (key,), key)


def _repeated_keys(given: Mapping[Any, Any], cls: type[Settings]) -> Iterator[InitErrorDetails]:
    for former, present in cls.renamed.items():
        if former in given and present in given:
            message = f"{former!r} is the former name of {present!r}, which is given too"
            yield error_detail("unknown_setting", message, (former,), former)
