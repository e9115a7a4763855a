"""Real data: handwritten digits that come with scikit-learn, and CIFAR-10 from a copy on disk.

Nothing here downloads anything; ``entropic-edu data fetch cifar10`` does, when it is asked to.
"""

from .read import (
    CHUNK,
    CLASSES,
    FOLDER,
    MEAN,
    PIXELS,
    PYTHON_FOLDER,
    RECORD,
    STD,
    TEST_FILE,
    TRAIN_FILES,
    Data,
    cifar10,
    digits,
    files_of,
    find_cifar10,
    normalised,
    places,
    remedy,
)

__all__ = [
    "CHUNK",
    "CLASSES",
    "FOLDER",
    "MEAN",
    "PIXELS",
    "PYTHON_FOLDER",
    "RECORD",
    "STD",
    "TEST_FILE",
    "TRAIN_FILES",
    "Data",
    "cifar10",
    "digits",
    "files_of",
    "find_cifar10",
    "normalised",
    "places",
    "remedy",
]
