"""Config files in which the line and column of each value are known, so that errors can name them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganframe.config.settings import synonyms
from ganframe.config.yaml import MAX_BYTES, MOST_CHARACTERS, parse_yaml
from ganframe.errors import BadInput, ConfigPath, dotted
from ganframe.files import read_pipe

SHOWN = 200
"""Maximum number of characters of a wrong value that an error message shows."""


@dataclass
class Document:
    """A config file with its overrides and the position of each value.

    Attributes:
        file: The file.
        data: The values, as mappings and lists of ruamel.yaml, which know their positions in the file.
        overrides: The `--set` arguments, by the path of the setting that each changes.
    """

    file: Path
    data: Any
    overrides: dict[ConfigPath, str] = field(default_factory=dict[ConfigPath, str])

    def locate(self, path: ConfigPath) -> tuple[str, ConfigPath]:
        """Return the position, as `file:line:column`, of the deepest existing value on `path`, and its path."""
        node, place, kept = self.data, f"{self.file}:1:1" if self.data else str(self.file), list[str | int]()
        for name in path:
            key = _written_key(node, name)
            if isinstance(node, CommentedMap) and key in node:
                place = self._place(node, key, tuple(kept)) or place
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                place = self._place(node, key, tuple(kept)) or place
            else:
                continue  # a missing key, or a part of the path that pydantic adds, such as the branch of a union
            node = cast(Any, node[key])
            kept.append(key)
        return place, tuple(kept)

    def _place(self, node: CommentedMap | CommentedSeq, key: str | int, outer: ConfigPath) -> str | None:
        """Return where a value was written; None if it was not, such as the `type` if only the type's name is given."""
        path = (*outer, key)
        for given, override in self.overrides.items():
            inside, around = path[: len(given)] == given, given[: len(path)] == path
            if inside or (around and key not in _marks(node)):
                return override_place(override)
        mark = _marks(node).get(key)
        return None if mark is None else f"{self.file}:{mark[0] + 1}:{mark[1] + 1}"

    @contextmanager
    def errors(self) -> Generator[None, None, None]:
        """Add the position in this document to every config error that is raised inside the `with` block.

        Raises:
            BadInput: In place of a pydantic ValidationError or of a BadInput that has a `path`.
        """
        try:
            yield
        except ValidationError as problem:
            raise self._from_validation(problem) from None
        except BadInput as problem:
            if not problem.path:
                raise
            place, _ = self.locate(problem.path)
            message = f"{problem.message}: {problem.place}" if problem.place else problem.message
            raise BadInput(message, place=place, path=problem.path, remedy=problem.remedy) from None

    def _from_validation(self, problem: ValidationError) -> BadInput:
        lines = list[tuple[str, str]]()
        for error in problem.errors(include_url=False):
            place, path = self.locate(error["loc"])
            if error["type"] == "missing":
                path = (*path, error["loc"][-1])
            lines.append((f"{place}: {dotted(path)}" if path else place, _rephrase(error)))
        (place, message), *others = dict.fromkeys(lines)
        more = "".join(f"\n{place}: {message}" for place, message in others)
        return BadInput(message + more, place=place)


def _written_key(node: Any, name: str | int) -> str | int:
    """Return the name that the document uses for a setting: its current name or a former one."""
    if not isinstance(node, CommentedMap) or not isinstance(name, str) or name in node:
        return name
    return next((key for key in sorted(synonyms(name)) if key in node), name)


def _marks(node: CommentedMap | CommentedSeq) -> dict[str | int, list[int]]:
    """Return the line and column, counted from 0, of each key of `node` that was read from the file."""
    return node.lc.data or {}


_NEEDED = {
    "a whole number": ("int_type", "int_parsing", "int_from_float"),
    "a number": ("float_type", "float_parsing"),
    "a finite number": ("finite_number",),
    "true or false": ("bool_type", "bool_parsing"),
    "text": ("string_type",),
    "a path": ("path_type",),
    "a list": ("tuple_type", "list_type"),
    "a mapping": ("dict_type", "mapping_type"),
    "a mapping of settings": ("model_type", "model_attributes_type"),
}


_NEEDED_BY_CODE = {code: needed for needed, codes in _NEEDED.items() for code in codes}


def _rephrase(error: Any) -> str:
    """Rephrase the message of a pydantic error for users of configs."""
    code = str(error["type"])
    if code == "missing":
        return "this setting is missing" if isinstance(error["loc"][-1], str) else "this list is too short"
    if code in ("missing_type", "unknown_setting", "unknown_type", "wrong_kind"):
        return str(error["msg"])  # a message of ganframe, which needs no rephrasing
    if code in _NEEDED_BY_CODE:
        return f"this has to be {_NEEDED_BY_CODE[code]}{_given(error['input'])}"
    if code in ("too_long", "too_short"):
        return f"this list {str(error['msg']).partition(' ')[2].replace(' after validation', '')}"
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "this has to be")
    return f"{text[:1].lower()}{text[1:]}{_given(error['input'])}"


def _given(value: object) -> str:
    if isinstance(value, bool):
        return f" (given: {str(value).lower()})"
    if value is None:
        return " (given: nothing)"
    if not isinstance(value, (str, int, float)):
        return ""
    return f" (given: {_beginning(repr(value))})"


def override_place(override: str) -> str:
    """Return a `--set` argument in the form in which errors name it as their place."""
    return f"--set {_beginning(override)}"


def _beginning(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def read_document(file: Path) -> Document:
    """Parse a YAML file that holds a mapping.

    Raises:
        BadInput: When the file cannot be read or parsed, is not a mapping, or has YAML tags that make Python objects.
    """
    try:
        if file.is_fifo():
            text = read_pipe(file, MAX_BYTES + 1).decode("utf-8")
        else:
            with file.open(encoding="utf-8") as stream:
                text = stream.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise BadInput(f"this config cannot be read: {reason}", place=str(file)) from None
    data = parse_yaml(text, str(file), marked=True)
    if not isinstance(data, CommentedMap):
        what = "this config is empty" if data is None else "a config is a mapping of settings, not a list or a value"
        remedy = "`ganframe presets` lists complete ones to begin with."
        raise BadInput(what, place=f"{file}:1:1", remedy=remedy)
    return Document(file, data)
