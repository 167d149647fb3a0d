"""The JSON schema of configs over everything that is installed, for editors to complete and check from."""

from __future__ import annotations

from typing import Any, cast

from ganframe.config import KINDS
from ganframe.experiment import Experiment
from ganframe.plugins import installed


def json_schema() -> dict[str, Any]:
    """One schema, with a definition for each kind and each installed component."""
    registry = installed().registry
    definitions: dict[str, Any] = {}
    root = Experiment.model_json_schema()
    definitions |= root.pop("$defs", {})
    branches: dict[str, list[dict[str, Any]]] = {base.kind: [] for base in KINDS}
    for cls, package in registry:
        schema = cls.model_json_schema()
        definitions |= schema.pop("$defs", {})
        # The `type` is what tells the branches apart, so a mapping has to give it.
        schema["required"] = ["type", *schema.get("required", [])]
        schema["description"] = f"{cls.summary()} ({package})"
        name = f"{cls.kind}/{cls.type_name()}"
        definitions[name] = schema
        branches[cls.kind].append({"$ref": _reference(name)})
        shorthand = {"const": cls.type_name(), "description": schema["description"]}
        branches[cls.kind] += [
            shorthand,
            *({"const": alias, "description": schema["description"]} for alias in cls.aliases),
        ]
    definitions |= {kind: {"anyOf": found} for kind, found in branches.items()}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}
    return cast(dict[str, Any], _resolved(schema))


def _reference(name: str) -> str:
    return "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def _resolved(node: Any) -> Any:
    """Put the definition of a kind in the place of each placeholder."""
    if isinstance(node, list):
        return [_resolved(each) for each in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    mapping = cast(dict[str, Any], node)
    kind = mapping.get("x-ganframe-kind")
    rest = {key: _resolved(value) for key, value in mapping.items() if key != "x-ganframe-kind"}
    return rest if kind is None else rest | {"$ref": _reference(kind)}
