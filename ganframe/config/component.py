"""Components: configs with a `type`, each of which builds an object that takes part in a run."""

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
    """The config of one part of a run, such as a loss. `type` names the class, and `build()` makes the object."""

    kind: ClassVar[str] = ""
    """The kind of component, such as `loss`; set by the base class of the kind."""
    default_type: ClassVar[str | None] = None
    """The type to use if a mapping has no `type`; set by the base class of a kind in which one type is usual."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of the type in configs."""
    paper: ClassVar[str] = ""
    """The publication that describes the method: authors, year, and title, section or equation."""

    applies: ClassVar[frozenset[str]] = frozenset()
    """Settings of nested terms, such as `weight`, that this component applies itself. Other settings that only the
    objective applies are refused in a nested term."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings for the config that the conformance kit (`ganframe.testing`) tests.

        Required components can be left out: the kit fills them with stand-ins.

        Args:
            folder: An empty folder, in which a data set may write the files that it reads.
        """
        return {}

    @classmethod
    def type_name(cls) -> str:
        """Return the `type` of this class, such as `hinge`; empty for the base class of a kind."""
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
        """Validate a class with a type by its fields, and the base class of a kind as any of its installed types."""
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
        """Represent the base class of a kind by a placeholder, which `ganframe.config.json_schema` replaces."""
        if cls.type_name() or not cls.kind:
            return super().__get_pydantic_json_schema__(schema, handler)
        return {"x-ganframe-kind": cls.kind}

    @classmethod
    def from_value(cls, value: object) -> Component:
        """Convert an instance, a mapping or the name of a type to a config of this kind.

        Raises:
            ValidationError: When the type is missing, unknown or of another kind, or a setting is not valid.
        """
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
