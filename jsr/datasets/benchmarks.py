"""The benchmark sets Set5, Set14, BSD100, Urban100, Manga109 and DIV2K's validation, and `pairs`.

They are read where they lie, in any of the layouts in use: plain (`Set5/HR/baby.png`), EDSR's and
SwinIR's (`Set5/LR_bicubic/X4/babyx4.png`), RCAN's (`HR/Set5/x4/baby_HR_x4.png`), SelfExSR's
(`Set5/image_SRF_4/img_001_SRF_4_HR.png`), BasicSR's (`Set5/GTmod12`, `Set5/LRbicx4`); see
`jsr.datasets.layouts`. What is known to change a figure without a word is warned of.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging

from jsr.datasets import DATASETS, Photos, layouts, open_photos
from jsr.datasets.frames import order_clips
from jsr.datasets.pairing import pair_names, plain_names, relative_stems
from jsr.errors import UserError
from jsr.images import picture_size, read_picture

# What packages carry.
EMBEDDED = ("sample_photos", "sample_pans", "lfw_faces")
# Title, names of its folder, and how many pictures it has.
BENCHMARKS = {
    "set5": ("Set5", ("Set5",), 5),
    "set14": ("Set14", ("Set14",), 14),
    "bsd100": ("BSD100", ("BSD100", "B100", "BSDS100"), 100),
    "urban100": ("Urban100", ("Urban100",), 100),
    "manga109": ("Manga109", ("Manga109",), 109),
    "div2k_val": ("DIV2K-val", ("DIV2K_valid_HR", "DIV2K_val", "DIV2K"), 100),
}


@dataclasses.dataclass(frozen=True, eq=False)
class TestPictures(Photos):
    """HR pictures to score on, with LR files where there are some.

    title: how tables call the set. expected: how many pictures it should have. read_lr: index ->
    uint8 [h, w, 3], or None without files. clip: the name of the film whose frames lie in no folder
    of their own, "" where there is none.
    """

    __test__ = False  # no test class, whatever pytest makes of its name

    title: str = ""
    expected: int | None = None
    read_lr: Callable[[int], np.ndarray] | None = None
    clip: str = ""


def open_test_pictures(
    name: str,
    scale: int,
    data_dir: str | None,
    lr_dir: str | None = None,
    film: bool = False,
) -> TestPictures:
    """Open a set to score on.

    name: a key of BENCHMARKS; `pairs`, every picture below `data_dir` (in its `HR` where there is
    one); or a dataset of `jsr.datasets`, whose split test it is. data_dir: the set's folder or one
    that holds it. lr_dir: where LR files are, when not where the layouts have them. film: each
    folder of `pairs` is a clip, its pictures the frames by their numbers; one alone is called as
    the set is. Raises UserError when the set is not there, when it is not clear which of its
    pictures are HR, when frames of a film are missing, and when LR is read whose files do not pair
    up with its pictures.
    """
    if name in BENCHMARKS:
        title, folders, expected = BENCHMARKS[name]
        root = _find_root(name, folders, data_dir)
    elif name == "pairs":
        if not data_dir:
            raise UserError("dataset pairs needs --data_dir: a folder of HR pictures")
        root, expected = Path(data_dir).expanduser().absolute(), None
        title = root.parent.name if root.name in layouts.HR_FOLDERS else root.name
    elif name in DATASETS or ":" in name:
        # --data_dir is that of the other sets of the same command.
        return _test_split(name, None if name in EMBEDDED else data_dir)
    else:
        known = ", ".join([*BENCHMARKS, "pairs", *DATASETS])
        raise UserError(f"dataset {name!r} is unknown; known: {known}; or package.module:function")
    lr_place = Path(lr_dir).expanduser() if lr_dir else None
    # The benchmarks by name are stills.
    return _open(root, title, expected, scale, lr_place, film and name == "pairs")


def _test_split(name: str, data_dir: str | None) -> TestPictures:
    photos = open_photos(name, "test", data_dir)
    return TestPictures(photos.names, photos.sizes, photos.read, name)


def _open(root, title, expected, scale, lr_dir, film) -> TestPictures:
    folder = layouts.hr_folder(root, scale)
    paths = layouts.hr_pictures(folder, expected)
    paths = order_clips(paths) if film else paths
    sizes = [_size(path) for path in paths]
    layouts.check_no_lr(folder, paths, sizes)
    _check_set(title, expected, folder, len(paths), scale)
    lr_folder = lr_dir or layouts.lr_folder(root, folder, scale)
    return TestPictures(
        _names(folder, paths),
        np.array(sizes, np.int32),
        functools.partial(_read, paths),
        title,
        expected,
        None if lr_folder is None else _lr_reader(folder, paths, lr_folder),
        title if film else "",
    )


def _lr_reader(folder: Path, paths: list[Path], lr_folder: Path) -> Callable[[int], np.ndarray]:
    """Reads the LR of a picture; the files are paired when the first one is asked for."""

    @functools.cache
    def ordered() -> list[Path]:
        lr_paths = layouts.lr_pictures(lr_folder)
        stems = (relative_stems(folder, paths), relative_stems(lr_folder, lr_paths))
        return [lr_paths[index] for index in pair_names(*stems, f"{folder} and {lr_folder}")]

    return lambda index: _read(ordered(), index)


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """Plain names, with the folders that they lie in: a film's are its clips.

    Where two plain names would be one (fox1, fox2), the stems. Raises UserError for equal stems.
    """
    stems = relative_stems(folder, paths)
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UserError(f"{folder}: several pictures are called {twice[0]}: rename all but one")
    return plain_names(stems)


def _size(path: Path) -> tuple[int, int]:
    """Height and width; of a file that cannot be read 0, as reading it will say why."""
    try:
        return picture_size(path)
    except UserError:
        return 0, 0


def _read(paths: list[Path], index: int) -> np.ndarray:
    """uint8 [h, w, 3] of a picture whose alpha, if any, hides nothing; gray is repeated."""
    picture = read_picture(paths[index])
    if picture.alpha is not None and (picture.alpha < 255).any():
        raise UserError(f"{paths[index]}: has transparent pixels, which cannot be scored")
    if picture.pixels.shape[2] == 1:
        _warn(
            f"{paths[index]}: is grayscale; it counts as three equal channels, as in BasicSR and"
            " SwinIR (older tables took it for Y itself)"
        )
        return np.repeat(picture.pixels, 3, axis=2)
    return picture.pixels


def _find_root(name: str, folders: tuple[str, ...], data_dir: str | None) -> Path:
    """The folder of a benchmark: `data_dir` or what lies in it, by any of its names."""
    if not data_dir:
        raise UserError(f"dataset {name} needs --data_dir: its folder, or one that holds it")
    top = Path(data_dir).expanduser()
    if not top.is_dir():
        raise UserError(f"--data_dir {data_dir} is no folder")
    wanted = {folder.lower() for folder in folders}
    places = [top, top / "HR", top / "benchmark", top / "Benchmark", top / "SR_testing_datasets"]
    for place in places:
        for entry in sorted(place.iterdir()) if place.is_dir() else ():
            if entry.name.lower() in wanted and entry.is_dir():
                return entry
    if top.name.lower() in wanted:
        return top
    raise UserError(f"there is no {folders[0]} in {data_dir}; looked for {', '.join(folders)}")


def _check_set(title: str, expected: int | None, folder: Path, count: int, scale: int) -> None:
    """Warn of what changes figures."""
    if folder.name == "image_SRF_4" and scale == 2:
        _warn(f"{folder.parent}: HR of image_SRF_2 is half size; image_SRF_4's is taken")
    if expected is not None and count != expected:
        _warn(f"{title} has {expected} pictures, but {count} in {folder}")
    if folder.name == "image_SRF_2":
        _warn(f"{folder}: is half size; figures of papers are of image_SRF_4's HR")
    if "mod12" in folder.name:
        _warn(
            f"{folder}: is cropped to multiples of 12; figures can differ from those of papers by"
            " hundredths of a dB"
        )


@functools.cache
def _warn(line: str) -> None:
    """Say it once, however many methods and scales meet it."""
    logging.warning("%s", line)
