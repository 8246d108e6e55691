"""Where the HR and the LR pictures of a set lie, in the layouts in use; LR is never taken for HR.

Names decide where they say something (`LR_bicubic/X4`, `LRbicx4`, `hr_01` beside `lr_01`). Where
they do not, a picture that is another one made smaller is found by its pixels and refused.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from jsr import resize
from jsr.datasets.pairing import first_of, owner, plain_name
from jsr.errors import UserError
from jsr.images import SUFFIXES, list_pictures, read_rgb

HR_FOLDERS = ("HR", "GT", "original", "GTmod12", "DIV2K_valid_HR")
# Of several folders of LR, which one is meant; of others, the only one.
LR_FOLDERS = ("lr_bicubic", "lr_selfexsr", "lr", "lrbic")

# LR, lq, LR_bicubic, LRbicx4, DIV2K_valid_LR_bicubic.
_LR_FOLDER = re.compile(r"(?i)(?:^|[_.-])L[RQ](?:$|[_.-]|x?\d|b[dil]|dn)")
_HR_FILE = re.compile(r"(?i)(?:^|[_-])HR(?:\b|[_-])")
_LR_FILE = re.compile(r"(?i)(?:^|[_-])L[RQ](?:\b|[_-])")
# By how much HR is larger at least, and how alike it and its LR are at least (a correlation).
LARGER, ALIKE = 1.5, 0.5


def hr_folder(root: Path, scale: int) -> Path:
    """The folder of HR below a set's root: by its name, or what lies beside LR; else the root."""
    if scale == 2 and (root / "image_SRF_4").is_dir():
        # SelfExSR's HR for x2 has half the size: not what papers measure.
        return root / "image_SRF_4"
    names = [*HR_FOLDERS, f"image_SRF_{scale}", "image_SRF_4", f"X{scale}", f"x{scale}"]
    folders = {folder.name.lower(): folder for folder in reversed(_folders(root))}
    named = next((folders[name.lower()] for name in names if name.lower() in folders), None)
    if named is not None:
        return named
    beside = [f for f in folders.values() if not _LR_FOLDER.search(f.name) and _has_pictures(f)]
    one = len(beside) == 1 and any(_LR_FOLDER.search(name) for name in folders)
    return beside[0] if one and not any(map(_is_picture, root.glob("*"))) else root


def hr_pictures(folder: Path, expected: int | None) -> list[Path]:
    """The HR pictures of a folder: those in it, or in its folders; never what is named as LR.

    Raises UserError where pictures lie beside folders of more (unless they are the `expected`
    number), where some are named HR and others are not theirs, and where all are LR.
    """
    paths = [path for path in list_pictures(folder) if not _in_lr_folder(path, folder)]
    if not paths:
        raise UserError(f"{folder}: holds no HR pictures, only folders of LR; name that of HR")
    top = [path for path in paths if path.parent == folder]
    if top and len(top) not in (len(paths), expected):
        inside = dict.fromkeys(path.relative_to(folder).parts[0] for path in paths)
        folders = [name for name in inside if (folder / name).is_dir()]
        raise UserError(
            f"{folder}: holds {_count(top)}, and {len(paths) - len(top)} more in its folders"
            f" ({first_of(folders)}): keep the HR pictures alone there, or all of them in folders"
        )
    return _named_hr(top or paths, folder)


def lr_pictures(folder: Path) -> list[Path]:
    """The LR pictures below a folder: all, or where HR lies there too, those named LR."""
    paths = list_pictures(folder)
    marked = [path for path in paths if _LR_FILE.search(path.stem)]
    return marked if marked and len(marked) < len(paths) else paths


def lr_folder(root: Path, hr: Path, scale: int) -> Path | None:
    """The folder of LR files for that scale, which may hold folders in turn; None where unknown.

    hr: what `hr_folder` gave.
    """
    if hr.name == f"image_SRF_{scale}":
        return hr
    # DIV2K's folders side by side; RCAN's trees HR/ and LR/ side by side.
    places = [hr.parent / "DIV2K_valid_LR_bicubic" / f"X{scale}"] if "DIV2K" in hr.name else []
    places += _at_scale(root.parent if root.name in HR_FOLDERS else root, scale)
    places += [root.parent.parent / "LR" / "LRBI" / root.name / f"x{scale}"]
    if "SRF" not in hr.name and any(_LR_FILE.search(path.stem) for path in hr.glob("*")):
        places += [hr]
    return next((place for place in places if _has_pictures(place)), None)


def check_no_lr(folder: Path, paths: Sequence[Path], sizes: Sequence) -> None:
    """Raise UserError where a picture is another one made smaller: LR that no name gives away.

    sizes: height and width of each; 0 of what cannot be read. Compared are pictures of one name in
    one folder (baby, babyx4), and folders all of whose names and sizes go together.
    """
    for large, small in _suspects(paths, sizes):
        if alike(paths[large], paths[small]):
            here, there = (paths[i].relative_to(folder) for i in (small, large))
            raise UserError(
                f"{folder}: {here} is {there} made smaller, and LR is not scored as HR: name the"
                " folder of HR by --data_dir or --hr, that of LR files by --lr_dir"
            )


def _suspects(paths: Sequence[Path], sizes: Sequence) -> Iterator[tuple[int, int]]:
    """(larger, smaller) pictures that may be HR and its LR, one of each two folders."""
    places: dict[Path, dict[str, list[int]]] = {}
    for index, path in enumerate(paths):
        names = places.setdefault(path.parent, {})
        names.setdefault(plain_name(path.stem), []).append(index)
    for names in places.values():
        for same in names.values():
            yield from (p for p in permutations(same, 2) if is_larger(*(sizes[i] for i in p)))
    for there, here in permutations(places.values(), 2):
        if here.keys() <= there.keys():
            pairs = [(there[name][0], index) for name, (index, *_) in here.items()]
            if all(is_larger(sizes[large], sizes[small]) for large, small in pairs):
                yield pairs[0]


def is_larger(large: Sequence[int], small: Sequence[int]) -> bool:
    """Whether `small` (height, width) may be a size of LR for HR of `large`."""
    if min(small) < 1:
        return False
    # The longer side tells the scale best.
    ratio = max(large) / max(small)
    return ratio >= LARGER and all(
        abs(a / ratio - b) < 1 for a, b in zip(large, small, strict=True)
    )


def alike(large: Path, small: Path, least: float = ALIKE) -> bool:
    """Whether the two show the same, by their correlation; also where one cannot be read."""
    try:
        lr, hr = (read_rgb(path).mean(axis=-1) for path in (small, large))
    except UserError:
        return True
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(lr.ravel(), resize.imresize(hr, shape=lr.shape).ravel())[0, 1]
    return not correlation < least  # a flat picture, whose correlation is NaN, is like any other


def _named_hr(paths: list[Path], folder: Path) -> list[Path]:
    """Those named HR, or else all but those named LR; the others must be of the same pictures."""
    rest = [path for path in paths if not _LR_FILE.search(path.stem)]
    chosen = [path for path in rest if _HR_FILE.search(path.stem)] or rest or paths
    plain = {plain_name(path.stem): index for index, path in enumerate(chosen)}
    taken = set(chosen)
    others = [path for path in paths if path not in taken]
    strangers = [path.name for path in others if owner(path.stem, plain) is None]
    if strangers:
        raise UserError(
            f"{folder}: {first_of([path.name for path in chosen])} are the HR pictures by their"
            f" names, and {first_of(strangers)} belong to none of them: name all alike"
        )
    return chosen


def _at_scale(base: Path, scale: int) -> list[Path]:
    """The folders of LR in `base` for that scale, the likeliest first."""
    named = {}
    for folder in _folders(base):
        kind, stated, number = re.fullmatch(r"(.*?)(x(\d+))?", folder.name.lower()).groups()
        if _LR_FOLDER.search(folder.name) and (not stated or int(number) == scale):
            scales = {f.name.lower(): f for f in _folders(folder) if _states_scale(f)}
            place = scales.get(f"x{scale}") if scales else folder
            named |= {} if place is None else {kind: place}
    known = [named[kind] for kind in LR_FOLDERS if kind in named]
    return known or (list(named.values()) if len(named) == 1 else [])


def _states_scale(folder: Path) -> bool:
    return re.fullmatch(r"(?i)x\d+", folder.name) is not None


def _in_lr_folder(path: Path, folder: Path) -> bool:
    return any(_LR_FOLDER.search(part) for part in path.relative_to(folder).parts[:-1])


def _folders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.glob("*/") if not f.name.startswith("."))


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _has_pictures(folder: Path) -> bool:
    try:
        return bool(list_pictures(folder))
    except UserError:
        return False


def _count(paths: Sequence[Path]) -> str:
    return "1 picture" if len(paths) == 1 else f"{len(paths)} pictures"
