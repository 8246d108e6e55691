"""Any folder of pictures: nested, of mixed sizes, gray, palette or with alpha.

Splits: a folder whose top holds `train/` (and, if it has them, `valid/` and `test/`) says itself
which picture belongs where; a split without its own sub-folder takes its share of `train/`, and
`test/` or `valid/` alone can be scored, not trained on. Any other folder is split by a hash of each
picture's path: 90 % train, 5 % valid, 5 % test, at least one in each. A picture keeps its split
when others are added (where there are fewer than about 60, the one picture of valid or of test may
change).

What is prepared is the listing with the sizes, under a fingerprint of the files' paths, lengths
and times: a changed folder is prepared anew. The pictures stay where they are.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from jsr.datasets import SPLITS, Photos
from jsr.datasets.prepared import LocalInfo, cache_dir, prepare
from jsr.errors import UserError
from jsr.images import list_pictures, picture_size, read_rgb

SHARE = 0.05  # of the pictures, for valid and for test


class ImageFolder(tfds.core.GeneratorBasedBuilder):
    """Paths and sizes of the pictures below `root`; `splits`: split -> paths relative to `root`."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look for download checksums beside it, by an uninstalled package

    def __init__(self, root: Path, splits: dict[str, list[str]], **options):
        self.root = root
        self.splits = splits
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"path": tfds.features.Text(), "height": np.int32, "width": np.int32}
        return LocalInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {split: self._generate_examples(paths) for split, paths in self.splits.items()}

    def _generate_examples(self, paths: list[str]) -> Iterator[tuple[str, dict]]:
        for path in paths:
            height, width = picture_size(self.root / path)
            yield path, {"path": path, "height": height, "width": width}


def open_split(split: str, data_dir: str | None) -> Photos:
    """Open one split of the pictures below `data_dir`; each is named by its path in there.

    Raises UserError when there is no such folder, when it holds fewer than three pictures or
    sub-folders that do not make up splits, or when a picture cannot be read (it is named).
    """
    if not data_dir:
        raise UserError("image_folder needs data_dir: the folder that holds the pictures")
    root = Path(data_dir).expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"data_dir {data_dir} is no folder")
    return open_listing(root, split_pictures(_relative(list_pictures(root), root), split), split)


def open_listing(root: Path, splits: dict[str, list[str]], split: str) -> Photos:
    """Open one of the splits that are given; their paths are relative to `root`."""
    folder = cache_dir() / _fingerprint(root, splits)
    builder = prepare(lambda: ImageFolder(root, splits, data_dir=folder))
    records = sorted(builder.as_data_source(split), key=lambda record: record["path"])
    names = [record["path"].decode() for record in records]
    sizes = np.array([(record["height"], record["width"]) for record in records], np.int32)
    return Photos(names, sizes, lambda i: read_rgb(root / names[i]))


def split_pictures(paths: list[str], split: str = "train") -> dict[str, list[str]]:
    """Say which split each picture belongs to: split -> paths, from paths relative to the folder.

    A folder without train/ has the splits whose sub-folders are there, if `split` is one of them.
    Raises UserError when a split would stay empty or a picture belongs to none.
    """
    # A clip may be the sub-folder itself, its frames directly in there.
    tops = {
        top: [path for path in paths if path == top or path.startswith(f"{top}/")] for top in SPLITS
    }
    given = {top: below for top, below in tops.items() if below}
    if not given:
        return _split_by_hash(paths, ("valid", "test"))
    if "train" not in given and split not in given:
        raise UserError(f"there is {next(iter(given))}/ but no train/ with pictures beside it")
    stray = sorted(set(paths).difference(*given.values()))
    if stray:
        raise UserError(
            f"{stray[0]} belongs to no split: with {next(iter(given))}/ there, every picture must"
            " be in train/, valid/ or test/"
        )
    if "train" not in given:
        return given
    missing = tuple(split for split in SPLITS if split not in given)
    return given | _split_by_hash(given["train"], missing)


def _split_by_hash(paths: list[str], held_out: tuple[str, ...]) -> dict[str, list[str]]:
    """Take a share for each split of `held_out`, those of the lowest hashes; the rest is train."""
    if len(paths) <= len(held_out):
        raise UserError(
            f"there are {len(paths)} pictures for the splits train, {', '.join(held_out)}: "
            f"at least {len(held_out) + 1} are needed"
        )
    ranked = sorted((_unit_hash(path), path) for path in paths)
    splits = {}
    for number, split in enumerate(held_out, start=1):
        share = sum(value < number * SHARE for value, _ in ranked)
        room = len(ranked) - 1 - (len(held_out) - number)  # one for each split still to come
        count = min(max(share, 1), room)
        splits[split] = [path for _, path in ranked[:count]]
        ranked = ranked[count:]
    return {"train": [path for _, path in ranked]} | splits


def _unit_hash(path: str) -> float:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:6]) / 2**48


def _relative(paths: Iterable[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _fingerprint(root: Path, splits: dict[str, list[str]]) -> str:
    digest = hashlib.sha256(str(root).encode())
    for split in SPLITS:
        for path in splits.get(split, ()):
            status = (root / path).stat()
            digest.update(f"\n{split} {path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]
