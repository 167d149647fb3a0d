"""The JSON schema of configs, for completion and checks in editors."""

from __future__ import annotations

from typing import Any, cast

from ganframe.config import installed_components
from ganframe.config.component_kinds import KINDS
from ganframe.config.experiment import Experiment


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of `Experiment`, with a definition for each kind and each installed component."""
    definitions: dict[str, Any] = {}
    root = Experiment.model_json_schema()
    definitions |= root.pop("$defs", {})
    branches: dict[str, list[dict[str, Any]]] = {base.kind: [] for base in KINDS}
    for cls, package in installed_components.find_installed().types():
        name = f"{cls.kind}/{cls.type_name()}"
        schema = cls.model_json_schema(ref_template=_reference(f"{name}/{{model}}"))
        definitions |= {f"{name}/{model}": each for model, each in schema.pop("$defs", {}).items()}
        # Only the `type` tells the alternatives of a kind apart, so the schema requires it.
        schema["required"] = ["type", *schema.get("required", [])]
        schema["properties"]["type"] = {"enum": [cls.type_name(), *cls.aliases]}
        schema["description"] = f"{cls.summary()} ({package})"
        definitions[name] = schema
        shorthands = ({"const": each, "description": schema["description"]} for each in (cls.type_name(), *cls.aliases))
        branches[cls.kind] += [{"$ref": _reference(name)}, *shorthands]
    # If no type of a kind is installed, no value is valid for it: `not: {}`.
    definitions |= {kind: {"anyOf": found} if found else {"not": {}} for kind, found in branches.items()}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}
    return cast(dict[str, Any], _resolved(schema))


def _reference(name: str) -> str:
    return "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def _resolved(node: Any) -> Any:
    """Replace each placeholder by a reference to the definition of its kind."""
    if isinstance(node, list):
        return [_resolved(each) for each in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    mapping = cast(dict[str, Any], node)
    kind = mapping.get("x-ganframe-kind")
    rest = {key: _resolved(value) for key, value in mapping.items() if key != "x-ganframe-kind"}
    return rest if kind is None else rest | {"$ref": _reference(kind)}
