"""From a data set to batches: the order of examples, loading, loader workers and unreadable files.

A plugin imports from here everything that a data set needs.
"""

from ganframe.data.class_labels import check_largest_label
from ganframe.data.dataset import Dataset
from ganframe.data.image_data import (
    ImageData,
    LeftOutNames,
    StoredExamples,
    check_classes_are_trained,
    mirror_at_random,
    open_examples,
    open_images,
)
from ganframe.data.image_examples import FolderSource, ImageExamples, ImageSource
from ganframe.data.image_files import (
    ImageReader,
    Picture,
    UnreadableImage,
    check_array,
    check_image_headers,
    open_picture,
)
from ganframe.data.image_folders import ImageListing, is_named_as_image, label_by_subfolder, list_images
from ganframe.data.loader import BatchLoader
from ganframe.data.npz_files import read_arrays
from ganframe.data.packed_folder import PackedFolder
from ganframe.data.packing import pack
from ganframe.data.tensor_data import TensorData, as_float, images_as_floats
from ganframe.data.unreadable_files import UnreadableLimit, report_unreadable
from ganframe.errors import BadInput
from ganframe.randomness import Randomness

__all__ = [
    "BadInput",
    "BatchLoader",
    "Dataset",
    "FolderSource",
    "ImageData",
    "ImageExamples",
    "ImageListing",
    "ImageReader",
    "ImageSource",
    "LeftOutNames",
    "PackedFolder",
    "Picture",
    "Randomness",
    "StoredExamples",
    "TensorData",
    "UnreadableImage",
    "UnreadableLimit",
    "as_float",
    "check_array",
    "check_classes_are_trained",
    "check_image_headers",
    "check_largest_label",
    "images_as_floats",
    "is_named_as_image",
    "label_by_subfolder",
    "list_images",
    "mirror_at_random",
    "open_examples",
    "open_images",
    "open_picture",
    "pack",
    "read_arrays",
    "report_unreadable",
]
