"""Films that lie as folders of pictures: the order of their frames, and no LR among them."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from jsr.datasets import layouts
from jsr.datasets.pairing import plain_names
from jsr.errors import UserError
from jsr.images import SUFFIXES, picture_size

# How alike HR and its LR are at least; among many clips some are a little alike by chance.
ALIKE = 0.9


def list_frames(folder: Path) -> list[Path]:
    """The pictures directly in a folder, as `order_frames` has them."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return order_frames([path for path in paths if not path.name.startswith(".")])


def order_frames(paths: Sequence[Path]) -> list[Path]:
    """The frames of one folder in the order of the last numbers in their plain names.

    By their names where some have no number. Raises UserError where a number is missing, or there
    twice.
    """
    paths = sorted(paths)
    found = [re.findall(r"\d+", name) for name in plain_names([path.stem for path in paths])]
    if not all(found):
        return paths
    numbered = sorted((int(digits[-1]), path) for digits, path in zip(found, paths, strict=True))
    for (number, path), (after, other) in itertools.pairwise(numbered):
        if after == number:
            raise UserError(f"{path.parent}: {path.name} and {other.name} are both frame {number}")
        if after > number + 1:
            raise UserError(
                f"{path.parent}: {after - number - 1} frame(s) missing between {path.name} and"
                f" {other.name}: put them there, or cut the clip there into two folders"
            )
    return [path for _, path in numbered]


def order_clips(paths: Sequence[Path]) -> list[Path]:
    """The frames of several folders, each folder's as `order_frames` has them."""
    clips: dict[Path, list[Path]] = {}
    for path in paths:
        clips.setdefault(path.parent, []).append(path)
    return [frame for clip in clips.values() for frame in order_frames(clip)]


def check_no_lr(root: Path, clips: Sequence[str]) -> None:
    """Raise UserError where the frames of a clip are those of another made smaller.

    clips: folders of frames, relative to `root`. Compared are those whose frames have the same
    names, by the frame in the middle: a film's first is often black.
    """
    middles: dict[frozenset, dict[tuple[int, int], list[Path]]] = {}
    for clip in clips:
        frames = list_frames(root / clip)
        middle = frames[len(frames) // 2]
        sizes = middles.setdefault(frozenset(plain_names([path.stem for path in frames])), {})
        sizes.setdefault(picture_size(middle), []).append(middle)
    for sizes in middles.values():
        for large, small in itertools.permutations(sizes, 2):
            if layouts.is_larger(large, small):
                _check_pairs(root, sizes[large], sizes[small])


def _check_pairs(root: Path, large: list[Path], small: list[Path]) -> None:
    for path in small:
        # Whose HR it would be: that whose folders are called most alike.
        other = max(large, key=lambda hr: len({*hr.parts} & {*path.parts}))
        if layouts.alike(other, path, ALIKE):
            here, there = (frame.parent.relative_to(root) for frame in (path, other))
            raise UserError(
                f"{root}: {here} is {there} made smaller, and LR is made here, not trained on as"
                " HR: move the folders of LR out of it"
            )
