"""Configs as YAML 1.2: `1e-3` is a number, `no` is a string; every error has its line and column."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from ganframe.errors import BadInput, Path, dotted
from ganframe.experiment import Experiment

if TYPE_CHECKING:
    pass

_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}


@dataclass
class Document:
    """A config file with its overrides, and where each of its values stands.

    Attributes:
        file: The file.
        data: The values.
        overrides: The `--set` arguments by path.
    """

    file: FilePath
    data: Any
    overrides: dict[Path, str] = field(default_factory=dict[Path, str])

    def locate(self, path: Path) -> tuple[str, Path]:
        """The place of the deepest key of a path that the document has, and the path without foreign parts."""
        node, place, kept = self.data, f"{self.file}:1:1", list[str | int]()
        for key in path:
            if isinstance(node, CommentedMap) and key in node:
                place = self._place(node.lc.key(key))
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                place = self._place(node.lc.item(key))
            elif isinstance(node, (CommentedMap, CommentedSeq)) and path[-1] == key:
                kept.append(key)  # a key that is missing
                break
            else:
                continue  # a part that validation put in, such as the branch of a union
            node = cast(Any, node[key])
            kept.append(key)
        trimmed = tuple(kept)
        for end in range(len(trimmed), 0, -1):
            if trimmed[:end] in self.overrides:
                return f"--set {self.overrides[trimmed[:end]]}", trimmed
        return place, trimmed

    def _place(self, mark: tuple[int, int]) -> str:
        return f"{self.file}:{mark[0] + 1}:{mark[1] + 1}"

    @contextmanager
    def errors(self) -> Generator[None, None, None]:
        """Give every config error from inside its place in this document."""
        try:
            yield
        except ValidationError as problem:
            raise self._from_validation(problem) from None
        except BadInput as problem:
            if not problem.path or problem.place:
                raise
            place, path = self.locate(problem.path)
            raise BadInput(problem.message, place=place, path=path, remedy=problem.remedy) from None

    def _from_validation(self, problem: ValidationError) -> BadInput:
        lines = list[tuple[str, str]]()
        for error in problem.errors(include_url=False):
            place, path = self.locate(error["loc"])
            lines.append((f"{place}: {dotted(path)}" if path else place, _say(error)))
        (place, message), *others = dict.fromkeys(lines)
        more = "".join(f"\n{place}: {message}" for place, message in others)
        return BadInput(message + more, place=place)


def _say(error: Any) -> str:
    """What a pydantic error says, in our words."""
    match error["type"]:
        case "missing":
            return "this setting is missing"
        case _:
            given = error["input"]
            shown = f" (given: {given!r})" if isinstance(given, (str, int, float)) else ""
            text = str(error["msg"]).removeprefix("Value error, ")
            return f"{text[:1].lower()}{text[1:]}{shown if not error['type'].endswith('type') else ''}"


@dataclass
class Loaded:
    """An experiment and the document that it was read from."""

    experiment: Experiment
    document: Document


def load_experiment(file: FilePath, overrides: Sequence[str] = ()) -> Loaded:
    """Read a config.

    Args:
        file: A YAML file.
        overrides: `a.b=c` each: a dotted path and a YAML value.

    Raises:
        BadInput: With the place of everything that is wrong.
    """
    document = read_document(file)
    for override in overrides:
        _apply(document, override)
    with document.errors():
        return Loaded(Experiment.model_validate(document.data), document)


def read_document(file: FilePath) -> Document:
    """Parse a YAML file that holds a mapping.

    Raises:
        BadInput: When it cannot be read or parsed, or has tags that make objects.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise BadInput(f"this config cannot be read: {reason}", place=str(file)) from None
    return Document(file, _parse(text, str(file), CommentedMap))


def _parse(text: str, place: str, expected: type | None = None) -> Any:
    yaml = YAML()
    try:
        node = cast(Node | None, yaml.compose(io.StringIO(text)))
        if node is not None:
            _refuse_tags(node, place)
        data = yaml.load(io.StringIO(text))
    except MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark else place
        raise BadInput(f"this is not YAML: {problem.problem}", place=where) from None
    except (YAMLError, ValueError) as problem:
        raise BadInput(f"this is not YAML: {str(problem).splitlines()[0]}", place=place) from None
    if expected is not None and not isinstance(data, expected):
        raise BadInput("a config is a mapping of settings", place=f"{place}:1:1")
    return data


def _refuse_tags(root: Node, place: str) -> None:
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if str(node.tag) not in _PLAIN_TAGS:
            mark = node.start_mark
            where = f"{place}:{mark.line + 1}:{mark.column + 1}"
            raise BadInput(f"the tag {node.tag} is not allowed in a config", place=where)
        if isinstance(node, MappingNode):
            pairs = cast(list[tuple[Node, Node]], node.value)
            waiting.extend(each for pair in pairs for each in pair)
        elif isinstance(node, SequenceNode):
            waiting.extend(cast(list[Node], node.value))


def _apply(document: Document, override: str) -> None:
    name, equals, text = override.partition("=")
    place = f"--set {override}"
    if not equals or not name:
        raise BadInput("an override has the form a.b=c", place=place)
    path: Path = tuple(int(part) if part.isdigit() else part for part in name.split("."))
    node = document.data
    for depth, key in enumerate(path[:-1]):
        if isinstance(node, CommentedMap):
            if isinstance(node.get(key), str):
                node[key] = CommentedMap({"type": node[key]})
            node = cast(Any, node.setdefault(key, CommentedMap()))
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            if isinstance(node[key], str):
                node[key] = CommentedMap({"type": node[key]})
            node = cast(Any, node[key])
        else:
            raise BadInput(f"the config has nothing at {dotted(path[: depth + 1])}", place=place)
    value = _parse(text, place)
    last = path[-1]
    if isinstance(node, CommentedSeq) and not (isinstance(last, int) and last < len(node)):
        raise BadInput(f"the list {dotted(path[:-1])} has {len(node)} entries", place=place)
    if not isinstance(node, (CommentedMap, CommentedSeq)):
        raise BadInput(f"{dotted(path[:-1])} is a single value", place=place)
    node[last] = value
    document.overrides[path] = override


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
