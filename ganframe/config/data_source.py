"""Finding the config of a data set by what a command line names: a folder of images, a config file or a preset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ruamel.yaml.comments import CommentedMap
from typing_extensions import override

from ganframe.config.arguments import user_path
from ganframe.config.component_kinds import DatasetConfig
from ganframe.config.error_positions import Document, read_document
from ganframe.config.overrides import apply_override
from ganframe.config.presets import find_config, load
from ganframe.config.settings import Settings
from ganframe.errors import BadInput

IMAGE_FOLDER = "image-folder"
"""The type of the data set that reads a folder of images; the package ganframe-folders supplies it."""


@dataclass(frozen=True)
class LoadedData:
    """The config of a data set and the document that it was read from."""

    data: DatasetConfig
    document: Document


class _DataAlone(Settings):
    data: DatasetConfig

    @classmethod
    @override
    def _own_name(cls) -> str:
        return "a folder of images"


def load_data(source: str, overrides: Sequence[str] = ()) -> LoadedData:
    """Return the config of a data set.

    Args:
        source: A folder of images, or the path of a config or the name of a preset, whose `data` are taken.
        overrides: Settings to override, each as `a.b=c`: a dotted path and a YAML value.

    Raises:
        BadInput: When there is neither such a folder nor such a config, or the config is not valid.
    """
    folder = user_path(source)
    if not folder.is_dir() or (folder / "config.yaml").is_file():
        try:
            loaded = load(source, overrides)
        except BadInput:
            _check_not_data_alone(source)
            raise
        return LoadedData(loaded.experiment.data, loaded.document)
    settings = CommentedMap({"type": IMAGE_FOLDER, "path": str(folder)})
    document = Document(folder, CommentedMap({"data": settings}))
    for each in overrides:
        apply_override(document, each)
    with document.errors():
        return LoadedData(_DataAlone.model_validate(document.data).data, document)


def _check_not_data_alone(source: str) -> None:
    """Refuse a file with the settings of a data set where a whole config is needed."""
    file = find_config(source)
    if not file.is_file():
        return
    written = read_document(file).data
    if isinstance(written, CommentedMap) and "type" in written and "data" not in written:
        remedy = "Move them under `data:` of a config with a `game`, or name the folder and set them with --set."
        raise BadInput("these are the settings of a data set alone", place=str(file), remedy=remedy)
