"""Checkpoints: tensors as safetensors, the rest as JSON, every file hashed, written atomically.

A checkpoint is a folder `checkpoints/STEP/` with a `SECTION.safetensors` for the tensors of each section of the state,
`state.json` for everything else, `identity.json` for the config, data and logs of the run, and `manifest.json` with the
SHA-256 of each file. It is written under another name and then renamed, so a folder whose name is a number is always
complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AliasChoices, Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ganframe.distributed.notices import print_notice
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.files import read_bytes, read_json, remove, write_synced
from ganframe.runs.identity import RUN_IDENTITY, RunIdentity, to_json
from ganframe.runs.tensor_sizes import LENGTH_BYTES, MAX_HEADER_BYTES, read_size

MANIFEST_FILE = "manifest.json"
STATE_FILE = "state.json"
IDENTITY_FILE = "identity.json"

MAX_LISTINGS = 20
"""Maximum number of attempts to read a checkpoint while the run replaces its checkpoints."""

MAX_MANIFEST_BYTES = 2**20
"""Maximum size of a manifest, in bytes."""

MAX_STATE_BYTES = 8 * 2**20
"""Maximum size of `state.json` and of `identity.json`, in bytes. Tensors are in other files, without a maximum."""

MAX_DAMAGED = 100
"""Maximum number of damaged checkpoints to try before giving up."""

_FILE = "this file of a checkpoint"
_TENSOR_REFERENCE = "$tensor"
"""In `state.json`, an object with only this key stands for a tensor; the value is the tensor's name."""


@dataclass(frozen=True)
class _State:
    step: int
    # Checkpoints of version 0.1.0 call the sections "rooms".
    sections: Annotated[dict[str, Any], Field(validation_alias=AliasChoices("sections", "rooms"))]


# Pydantic's parser, because that of the standard library fails on deeply nested JSON.
_STATE_ADAPTER: TypeAdapter[_State] = TypeAdapter(_State)
_MANIFEST_ADAPTER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def save(
    folder: Path,
    step: int,
    sections: Mapping[str, Any],
    keep: int,
    identity: RunIdentity | None = None,
    best_step: int | None = None,
) -> Path:
    """Write a checkpoint, and remove all but the latest `keep` checkpoints and the best one.

    Args:
        folder: The run's folder of checkpoints.
        step: The number of completed training steps.
        sections: The state by section: nested mappings and lists of tensors and JSON values.
        keep: The number of latest checkpoints to keep.
        identity: The config, data and logs of the run; left out if None.
        best_step: The step of the best checkpoint; None if the run has none.

    Returns:
        The folder of the new checkpoint.

    Raises:
        RunFailed: When the checkpoint cannot be written. Earlier checkpoints are not changed.
    """
    files: dict[str, bytes] = {}
    structure: dict[str, Any] = {}
    for section, tree in sections.items():
        tensors: dict[str, Tensor] = {}
        structure[section] = _extract_tensors(tree, "", tensors)
        if tensors:
            files[f"{section}.safetensors"] = save_tensors(tensors)
    files[STATE_FILE] = json.dumps({"step": step, "sections": structure}).encode()
    if identity is not None:
        files[IDENTITY_FILE] = to_json(identity)
    _check_readable(files)
    files[MANIFEST_FILE] = _manifest({name: _digest(content) for name, content in files.items()})

    target = checkpoint_path(folder, step)
    draft, replaced = folder / f".{target.name}.draft", folder / f".{target.name}.replaced.draft"
    with writing(folder):
        folder.mkdir(exist_ok=True)  # without parents: if the run folder has been removed, this must fail
        for left_by_a_kill in folder.glob(".*.draft"):
            remove(left_by_a_kill)
        draft.mkdir()
        try:
            for name, content in files.items():
                write_synced(draft / name, content)
            _sync_folder(draft)
            # The old checkpoint is renamed, not removed first, because a kill during removal would leave none.
            if target.exists():
                target.rename(replaced)
            draft.rename(target)
            remove(replaced)
        except BaseException:
            remove(draft)  # the disk may be full
            if replaced.exists() and not target.exists():
                replaced.rename(target)
            raise
        _sync_folder(folder)
        for old in list_checkpoints(folder)[keep:]:
            if int(old.name) != best_step:
                remove(old)
    return target


def _check_readable(files: Mapping[str, bytes]) -> None:
    """Refuse to save a state that exceeds the size limits of loading.

    Raises:
        RunFailed: When the JSON state, or the list of tensor names of a section, is too large.
    """
    for name, content in files.items():
        is_tensors = name.endswith(".safetensors")
        size = int.from_bytes(content[:LENGTH_BYTES], "little") if is_tensors else len(content)
        limit = MAX_HEADER_BYTES if is_tensors else MAX_STATE_BYTES
        if size > limit:
            part = "names of tensors" if is_tensors else "state that is no tensor"
            raise RunFailed(f"a checkpoint holds at most {limit:,} bytes of {part}, and {name} has {size:,}")


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the folders of a run's checkpoints, latest first. `folder` is the run's folder of checkpoints."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        (path for path in found if path.name.isascii() and path.name.isdecimal()),
        key=lambda path: int(path.name),
        reverse=True,
    )


def load(checkpoint: Path) -> tuple[int, dict[str, Any]]:
    """Read a checkpoint, and check every file against its SHA-256.

    Args:
        checkpoint: The folder of the checkpoint.

    Returns:
        The step, and the state by section.

    Raises:
        BadInput: When a file is missing, has changed or was not written by a run, or the step differs from the folder's
            name.
    """
    manifest = checkpoint / MANIFEST_FILE
    try:
        digests = _read_digests(read_bytes(manifest, MAX_MANIFEST_BYTES, _FILE))
    except (ValueError, TypeError, KeyError) as problem:
        raise BadInput(f"this checkpoint cannot be read: {problem}", place=str(manifest)) from None
    files: dict[str, bytes] = {}
    for name, digest in digests.items():
        file = checkpoint / name
        size = read_size(file, _FILE) if file.suffix == ".safetensors" else MAX_STATE_BYTES
        files[name] = read_bytes(file, size, _FILE)
        if _digest(files[name]) != digest:
            raise BadInput("the content of this file has changed since it was written", place=str(checkpoint / name))
    try:
        state = _STATE_ADAPTER.validate_json(files[STATE_FILE])
        sections = {
            section: _insert_tensors(
                tree, load_tensors(files[name]) if (name := f"{section}.safetensors") in files else {}
            )
            for section, tree in state.sections.items()
        }
    except (ValueError, TypeError, KeyError, SafetensorError) as problem:
        # The digests show that no file has changed since it was written, not that a run wrote it.
        reason = str(problem).splitlines()[0]
        raise BadInput(f"this is not a checkpoint that a run wrote: {reason}", place=str(checkpoint)) from None
    if checkpoint != checkpoint_path(checkpoint.parent, state.step):
        raise BadInput(f"this is the checkpoint of step {state.step}", place=str(checkpoint))
    return state.step, sections


def read_progress(folder: Path) -> tuple[int, int] | None:
    """Read the progress of a run from its latest readable checkpoint, without reading tensors.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The number of steps and of images; None if there is no readable checkpoint.
    """
    latest = read_latest_state(folder)
    return None if latest is None else (latest[0], int(latest[1]["progress"]["images"]))


def read_latest_state(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Return the state of the latest checkpoint whose state can be read, without reading tensors.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The step, and the state by section, with references in place of tensors; None when there is no such checkpoint.
    """
    for checkpoint in list_checkpoints(folder):
        with contextlib.suppress(ValueError, TypeError, KeyError, BadInput):
            state = _STATE_ADAPTER.validate_json(read_bytes(checkpoint / STATE_FILE, MAX_STATE_BYTES))
            int(state.sections["progress"]["images"])
            return state.step, state.sections
    return None


@contextmanager
def checkpoint_errors(folder: Path) -> Generator[None, None, None]:
    """Convert errors inside the `with` block, from a checkpoint that does not fit the run, to `BadInput`.

    Args:
        folder: The run's folder of checkpoints.

    Raises:
        BadInput: In place of a RuntimeError, LookupError, TypeError, ValueError or AttributeError.
    """
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as problem:
        reason = " ".join(str(problem).split())
        message = f"the checkpoint does not fit the run's config: {type(problem).__name__}: {reason}"
        raise BadInput(message, place=str(folder)) from problem


def read_identity(folder: Path, step: int) -> RunIdentity | None:
    """Return the config, data and logs of a run up to a checkpoint; None if not saved, as by version 0.1.0.

    Args:
        folder: The run's folder of checkpoints.
        step: The step of the checkpoint, which must already have been checked by `load`.

    Raises:
        BadInput: When the file is malformed.
    """
    file = checkpoint_path(folder, step) / IDENTITY_FILE
    return read_json(file, RUN_IDENTITY, MAX_STATE_BYTES) if file.is_file() else None


def load_latest(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Read the latest checkpoint that is not damaged, and print a notice for each damaged one that is skipped.

    This is safe while a run saves checkpoints and removes old ones.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The step, and the state by section; None if there is no checkpoint.

    Raises:
        BadInput: When there are checkpoints but all are damaged, `folder` is a file, or the run removes checkpoints
            faster than they can be read.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput("this should be the folder of checkpoints", place=str(folder))
    for _ in range(MAX_LISTINGS):
        found = _states(folder)
        loaded, problems = _load_first_whole(list(found)[:MAX_DAMAGED])
        if (problems or loaded is None) and _states(folder) != found:
            continue  # an unreadable checkpoint may have been removed or replaced meanwhile
        for problem in problems:
            print_notice("skipped a damaged checkpoint", str(problem))
        if found and loaded is None:
            which = "every checkpoint" if len(found) <= MAX_DAMAGED else f"each of the latest {MAX_DAMAGED} checkpoints"
            raise BadInput(f"{which} of this run is damaged", place=str(folder))
        return loaded
    remedy = "Try again later, or let the run keep more of them: `checkpoint.keep`."
    raise BadInput("the run removes its checkpoints faster than they can be read", place=str(folder), remedy=remedy)


def _states(folder: Path) -> dict[Path, tuple[int, int] | None]:
    """Return the checkpoints, latest first, each with its inode and time of modification, which show replacement."""
    return {checkpoint: _state_of(checkpoint) for checkpoint in list_checkpoints(folder)}


def _state_of(checkpoint: Path) -> tuple[int, int] | None:
    try:
        found = checkpoint.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _load_first_whole(checkpoints: Sequence[Path]) -> tuple[tuple[int, dict[str, Any]] | None, list[BadInput]]:
    """Return the first checkpoint that is not damaged, and the errors of those before it."""
    problems = list[BadInput]()
    for checkpoint in checkpoints:
        try:
            return load(checkpoint), problems
        except BadInput as problem:
            problems.append(problem)
    return None, problems


def mark_damaged(folder: Path, after: int) -> None:
    """Rename damaged checkpoints to `STEP.damaged`, so that they do not count towards the number to keep.

    Args:
        folder: The run's folder of checkpoints.
        after: The step of the latest checkpoint that is not damaged. All later ones are renamed.

    Raises:
        RunFailed: When a checkpoint cannot be renamed.
    """
    for checkpoint in list_checkpoints(folder):
        if int(checkpoint.name) > after:
            damaged = checkpoint.with_name(f"{checkpoint.name}.damaged")
            with writing(checkpoint):
                remove(damaged)
                checkpoint.rename(damaged)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step.

    Args:
        folder: The run's folder of checkpoints.
        step: The step.
    """
    return folder / f"{step:09d}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _manifest(digests: Mapping[str, str]) -> bytes:
    """Return the content of a manifest: the digests of all files, and a digest of these."""
    own = _digest(json.dumps(digests).encode())
    return json.dumps({"files": digests, "digest": own}, indent=1).encode()


def _read_digests(content: bytes) -> dict[str, str]:
    """Return the digests in a manifest.

    Raises:
        ValueError: When any byte of the manifest has changed, or it lists a file outside the checkpoint.
    """
    digests = _MANIFEST_ADAPTER.validate_json(content)["files"]
    if _manifest(digests) != content:
        raise ValueError("its manifest has changed since it was written")
    outside = [name for name in digests if Path(name).name != name or "\0" in name]
    if outside:
        raise ValueError(f"its manifest lists a file outside of the checkpoint: {outside[0]!r}")
    return digests


def _extract_tensors(tree: Any, key: str, tensors: dict[str, Tensor]) -> Any:
    """Add the tensors of a nested state to `tensors`, and return the state with references in their place."""
    if isinstance(tree, Tensor):
        # A copy, because safetensors refuses tensors that share memory.
        tensors[key] = tree.detach().cpu().clone().contiguous()
        return {_TENSOR_REFERENCE: key}
    if isinstance(tree, Mapping):
        items = cast(Mapping[str, Any], tree).items()
        return {name: _extract_tensors(value, f"{key}/{name}", tensors) for name, value in items}
    if isinstance(tree, (list, tuple)):
        values = cast(list[Any], tree)
        return [_extract_tensors(value, f"{key}/{index}", tensors) for index, value in enumerate(values)]
    return tree


def _insert_tensors(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return a nested state with tensors in place of the references to them."""
    if isinstance(tree, dict):
        mapping = cast(dict[str, Any], tree)
        if mapping.keys() == {_TENSOR_REFERENCE}:
            # A copy, because safetensors returns a view into the bytes of the file, which may be unaligned.
            return tensors[mapping[_TENSOR_REFERENCE]].clone()
        return {name: _insert_tensors(value, tensors) for name, value in mapping.items()}
    if isinstance(tree, list):
        return [_insert_tensors(value, tensors) for value in cast(list[Any], tree)]
    return tree


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
