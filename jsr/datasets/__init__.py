"""Photographs by name: `open_photos("sample_photos", "train", None)[0]` is uint8 [h, w, 3].

A dataset is a function `open_split(split, data_dir) -> Photos`; `DATASETS` names those of jsr.
Anyone's own function serves as well, by the name `package.module:function`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jsr.errors import UserError
from jsr.lookup import find

SPLITS = ("train", "valid", "test")

DATASETS = {
    "sample_photos": "jsr.datasets.sample_photos:open_split",
    "sample_pans": "jsr.datasets.pans:open_split",
    "pans": "jsr.datasets.pans:open_folder",
    "clips": "jsr.datasets.clips:open_split",
    "image_folder": "jsr.datasets.image_folder:open_split",
    "div2k": "jsr.datasets.published:open_div2k",
    "df2k": "jsr.datasets.published:open_df2k",
    "celeb_a": "jsr.datasets.published:open_celeb_a",
    "celeb_a_32": "jsr.datasets.faces:open_celeb_a_32",
    "celeb_a_128": "jsr.datasets.faces:open_celeb_a_128",
    "lfw_faces": "jsr.datasets.faces:open_lfw",
    "ct": "jsr.datasets.ct:open_split",
}


@dataclass(frozen=True, eq=False)
class Photos:
    """A read-only sequence of photographs, each decoded when it is asked for.

    names: one a photograph. sizes: int32 [n, 2], height and width in pixels, known without
    decoding. read: index -> uint8 [h, w, 3], of CT float32 [h, w, 1] (see `jsr.hounsfield`); called
    from several threads at once.
    """

    names: list[str]
    sizes: np.ndarray
    read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode photograph `index`, 0 to len - 1: uint8 [h, w, 3], of CT float32 [h, w, 1].

        Raises IndexError outside that range (negative ones too), and UserError when the file
        cannot be read or no longer has the size that the dataset was prepared with.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"photo {index} of {len(self)}")
        photo = self.read(index)
        height, width = self.sizes[index]
        if photo.shape[:2] != (height, width):
            raise UserError(
                f"{self.names[index]} has become {photo.shape[0]}x{photo.shape[1]} pixels; it was "
                f"{height}x{width} when the dataset was opened: leave the files alone and start "
                "again"
            )
        return photo


def open_photos(name: str, split: str, data_dir: str | None) -> Photos:
    """Open one split of a dataset.

    name: a key of `DATASETS`, or `package.module:function` of your own, which takes
    (split, data_dir) and returns `Photos`. split: train, valid or test. data_dir: where the
    pictures are, for the datasets that need it. Raises UserError for an unknown name or split, and
    for what the dataset itself finds wrong.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is not known: use {', '.join(SPLITS)}")
    return find("dataset", name, DATASETS)(split, data_dir or None)
