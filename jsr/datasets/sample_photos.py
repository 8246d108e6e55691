"""The photographs that come inside the scikit-image and scikit-learn wheels: no download.

Sources and licences, as skimage.data's docstrings and scikit-learn's README state them:

| photograph | source | licence |
|---|---|---|
| hubble_deep_field | NASA, HubbleSite | public domain |
| retina | Mikael Haggstrom, Wikimedia Commons | CC0 |
| ihc | Center for Microscopy And Molecular Imaging | no known copyright restrictions |
| motorcycle_left, _right | Middlebury 2014 stereo benchmark, a quarter of its size | none stated |
| china | danielbuechele, Flickr | CC-BY 2.0 |
| flower | vultilion, Flickr | CC-BY 2.0 |
| brick, gravel | CC0Textures (gray) | CC0 |
| grass | linolafett, DeviantArt (gray) | CC0 |
| coins | Brooklyn Museum (gray) | no known copyright restrictions |
| chelsea | Stefan van der Walt | CC0 |
| rocket | SpaceX | public domain |
| astronaut | NASA | public domain |
| coffee | Rachel Michetti, courtesy of Pikolo Espresso Bar | CC0 |
| camera | Lav Varshney (gray) | CC0 |

Charts, scans of text, computed images and those without a stated source are left out.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from jsr.datasets import Photos
from jsr.datasets.prepared import LocalInfo, cache_dir, prepare
from jsr.errors import UserError
from jsr.images import picture_size, read_rgb

PHOTOS = {
    "train": (
        "skimage/data/brick.png",
        "skimage/data/coins.png",
        "skimage/data/grass.png",
        "skimage/data/gravel.png",
        "skimage/data/hubble_deep_field.jpg",
        "skimage/data/ihc.png",
        "skimage/data/motorcycle_left.png",
        "skimage/data/motorcycle_right.png",
        "skimage/data/retina.jpg",
        "sklearn/datasets/images/china.jpg",
        "sklearn/datasets/images/flower.jpg",
    ),
    "valid": ("skimage/data/chelsea.png", "skimage/data/rocket.jpg"),
    "test": (
        "skimage/data/astronaut.png",
        "skimage/data/camera.png",
        "skimage/data/coffee.png",
    ),
}


class SamplePhotos(tfds.core.GeneratorBasedBuilder):
    """The files' own bytes, with name and size."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look for download checksums beside it, by an uninstalled package

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "image": tfds.features.Text(),
            "height": np.int32,
            "width": np.int32,
        }
        return LocalInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {split: self._generate_examples(files) for split, files in PHOTOS.items()}

    def _generate_examples(self, files: tuple[str, ...]) -> Iterator[tuple[str, dict]]:
        for file in files:
            path = _find(file)
            height, width = picture_size(path)
            yield (
                path.stem,
                {"name": path.stem, "image": path.read_bytes(), "height": height, "width": width},
            )


def open_split(split: str, data_dir: str | None) -> Photos:
    """Open the sample photographs; gray ones come as three equal channels.

    Raises UserError when an installed wheel lacks one of them, or a data_dir is given.
    """
    if data_dir:
        raise UserError(
            f"sample_photos come with jsr and need no data_dir (it is {data_dir}): "
            "use the dataset image_folder for a folder of your own"
        )
    builder = prepare(lambda: SamplePhotos(data_dir=cache_dir()))
    records = sorted(builder.as_data_source(split), key=lambda record: record["name"])
    names = [record["name"].decode() for record in records]
    sizes = np.array([(record["height"], record["width"]) for record in records], np.int32)
    return Photos(names, sizes, lambda i: read_rgb(records[i]["image"], names[i]))


def _find(file: str) -> Path:
    package, _, inside = file.partition("/")
    spec = importlib.util.find_spec(package)
    path = spec and Path(spec.submodule_search_locations[0]) / inside
    if not path or not path.is_file():
        wheel = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
        raise UserError(f"{file} is not there: install the wheel of {wheel} again")
    return path
