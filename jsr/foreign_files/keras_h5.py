"""Keras weights in HDF5 (`.h5`); reading them takes the package h5py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jsr.errors import UserError
from jsr.foreign_files import reading

# The most that gzip can shrink.
MAX_RATIO = 1032
# HDF5's numbers of what may be done to stored bytes: gzip, and two that keep their number.
_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of numbers in a Keras file by their paths, in the file's order.

    A path joins groups by "/" and leaves out `model_weights`, where a whole model keeps its
    weights: `conv2d/conv2d/kernel:0`. Only what lies in the file itself is read, never a link to
    another one. Raises UserError where h5py is not installed, there is no such file, or it is
    damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"{path}: Keras files need h5py; run: pip install h5py") from error
    with reading(path, "Keras .h5 file"):
        size = Path(path).stat().st_size
        with h5py.File(path, "r") as file:
            link = file.get("model_weights", getlink=True)
            # Only a hard link is sure to stay within the file.
            inside = isinstance(link, h5py.HardLink)
            arrays = dict(_arrays(h5py, file["model_weights"] if inside else file, size))
        if not arrays:
            raise ValueError("it has no arrays of numbers")
        return arrays


def _arrays(h5py: Any, root: Any, size: int) -> Iterator[tuple[str, np.ndarray]]:
    items = []
    # Soft and external links are not followed.
    root.visititems(lambda name, item: items.append((name, item)))
    for name, item in items:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            _check(name, item)
            size -= item.id.get_storage_size()
            if size < 0:
                raise ValueError("it claims to hold more than its size")
            yield name, item[()]


def _check(name: str, item: Any) -> None:
    """Refuse what lies in another file, takes a plug-in, or is larger than what is stored of it."""
    if item.external or item.is_virtual:
        raise ValueError(f"{name} lies in another file")
    settings = item.id.get_create_plist()
    filters = {settings.get_filter(i)[0] for i in range(settings.get_nfilters())}
    if not filters <= {_GZIP, _SHUFFLE, _CHECKSUM}:
        raise ValueError(f"{name} is compressed by other means than gzip")
    if item.nbytes > item.id.get_storage_size() * (MAX_RATIO if _GZIP in filters else 1):
        raise ValueError(f"{name} of shape {list(item.shape)} is larger than what is stored of it")
