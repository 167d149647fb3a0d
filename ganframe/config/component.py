"""Components: configs that name their `type` and build the live object."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import (
    BaseModel,
)
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler

from ganframe.config import installed_components
from ganframe.config.settings import Settings
from ganframe.config.validation_errors import validation_error, with_article


class Component(Settings):
    """One configurable part: `type` says which, `build()` makes the live object."""

    kind: ClassVar[str] = ""
    """The kind of component; set by the kind base."""
    default_type: ClassVar[str | None] = None
    """The type of a mapping without a `type`; set by a kind base where one type is usual."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of the type in configs."""
    paper: ClassVar[str] = ""
    """The source: authors, year, title or equation."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings with which the conformance kit can build the config.

        Required fields that hold another component can be left out.

        Args:
            folder: An empty folder, in which a data set may write the files that it reads.
        """
        return {}

    @classmethod
    def type_name(cls) -> str:
        """Return the value of the `type` literal; empty for a kind base."""
        field = cls.__pydantic_fields__.get("type")
        return "" if field is None else str(field.default)

    @classmethod
    def _own_name(cls) -> str:
        return f"{cls.kind} {cls.type_name()!r}"

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return inspect.getdoc(cls).splitlines()[0] if cls.__doc__ else ""  # pyright: ignore[reportOptionalMemberAccess]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate a concrete config as itself, and a kind base as the union of the installed types."""
        if cls.type_name() or not cls.kind:
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            cls.from_value,
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Represent a kind base by a placeholder, which `ganframe.config.json_schema` replaces by the union."""
        if cls.type_name() or not cls.kind:
            return handler(schema)
        return {"x-ganframe-kind": cls.kind}

    @classmethod
    def from_value(cls, value: object) -> Component:
        """Turn an instance, a mapping or a type name into a config of this kind."""
        if isinstance(value, cls):
            return value
        if isinstance(value, Component):
            message = f"{with_article(value.kind)} stands where {with_article(cls.kind)} is needed"
            raise validation_error("wrong_kind", message, (), value)
        settings: dict[str, Any]
        if isinstance(value, str):
            settings = {"type": value}
        elif isinstance(value, Mapping):
            settings = dict(cast(Mapping[str, Any], value))
        else:
            raise validation_error(
                "component", f"{with_article(cls.kind)} is a type name or a mapping with a `type`", (), value
            )
        available = installed_components.find_installed()
        name = settings.get("type", cls.default_type)
        if not isinstance(name, str):
            known = ", ".join(available.type_names(cls.kind))
            raise validation_error("missing_type", f"this {cls.kind} has no `type`; installed: {known}", (), value)
        found = available.find_type(cls.kind, name)
        if isinstance(found, str):
            broken = ", ".join(available.broken_packages())
            hint = f" (broken and left out: {broken}; see `ganframe plugins`)" if broken else ""
            raise validation_error("unknown_type", found + hint, ("type",), name)
        return found.model_validate(settings | {"type": found.type_name()})


def _dump(value: Component, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode, exclude_defaults=info.exclude_defaults) | {"type": value.type_name()}
