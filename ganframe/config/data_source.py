"""Finding the config of a data set by what a command line names: a folder of images, a config file or a preset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ruamel.yaml.comments import CommentedMap

from ganframe.config.arguments import user_path
from ganframe.config.component_kinds import DatasetConfig
from ganframe.config.error_positions import Document
from ganframe.config.overrides import apply_override
from ganframe.config.presets import load
from ganframe.config.settings import Settings

IMAGE_FOLDER = "image-folder"
"""The type of the data set that reads a folder of images; the package ganframe-folders supplies it."""


@dataclass(frozen=True)
class LoadedData:
    """The config of a data set and the document that it was read from."""

    data: DatasetConfig
    document: Document


class _DataAlone(Settings):
    data: DatasetConfig


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
        loaded = load(source, overrides)
        return LoadedData(loaded.experiment.data, loaded.document)
    settings = CommentedMap({"type": IMAGE_FOLDER, "path": str(folder)})
    document = Document(folder, CommentedMap({"data": settings}))
    for override in overrides:
        apply_override(document, override)
    with document.errors():
        return LoadedData(_DataAlone.model_validate(document.data).data, document)
