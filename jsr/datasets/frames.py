"""Films that lie as folders of pictures: the order of their frames."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from jsr.datasets.pairing import plain_names
from jsr.errors import UserError


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
