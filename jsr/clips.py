"""Clips: the pictures of one folder, in order, are the frames of a film."""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from absl import logging

from jsr.errors import UserError

# Clips whose SR is kept: evaluation goes through them in order, at a border through two.
KEPT = 2


def clip_name(picture: str) -> str:
    """The clip that a picture is of, by its own name: "calendar" for "calendar/001"."""
    return picture.rpartition("/")[0]


def list_clips(names: Sequence[str]) -> list[range]:
    """Which of the pictures, by index, make up each clip: neighbours that are of one folder."""
    clips = [clip_name(name) for name in names]
    borders = [i for i in range(len(clips) + 1) if not i or clips[i - 1 : i] != clips[i : i + 1]]
    return [range(a, b) for a, b in itertools.pairwise(borders)]


def list_windows(photos, frames: int) -> np.ndarray:
    """The first index of every run of `frames` frames of one clip, int32.

    photos: has `names` and `sizes`. Shorter clips are left out, with a warning: a shot of a film
    cannot be taken out of its file. Raises UserError where no clip is long enough, and for one
    whose frames differ in size.
    """
    clips = list_clips(photos.names)
    long = [clip for clip in clips if len(clip) >= frames]
    if not long:
        longest = max(clips, key=len)
        name = clip_name(photos.names[longest.start]) or photos.names[longest.start]
        raise UserError(
            f"{name}, the longest clip, has {len(longest)} frames, and examples are of {frames}:"
            " lower data.frames, or add longer clips"
        )
    if len(long) < len(clips):
        left_out, every = len(clips) - len(long), len(clips)
        logging.warning("%d of %d clips are left out: under %d frames", left_out, every, frames)
    starts: list[int] = []
    for clip in long:
        first = photos.names[clip.start]
        check_same_size(photos, clip, clip_name(first) or first)
        starts += clip[: len(clip) - frames + 1]
    return np.asarray(starts, np.int32)


def check_same_size(photos, clip: range, name: str) -> None:
    """Raise UserError where the frames of a clip differ in size."""
    height, width = photos.sizes[clip.start]
    for index in clip:
        if tuple(photos.sizes[index]) != (height, width):
            h, w = photos.sizes[index]
            raise UserError(
                f"{name}: changes from {height}x{width} to {h}x{w} pixels at"
                f" {photos.names[index]}: cut it there, into two folders"
            )


def inner_frames(names: Sequence[str], left_out: int) -> list[int]:
    """The indices of all frames but the first and last `left_out` of every clip.

    Raises UserError for a clip of which none is left.
    """
    inner: list[int] = []
    for clip in list_clips(names):
        kept = clip[left_out : len(clip) - left_out]
        if not kept:
            raise UserError(
                f"{clip_name(names[clip.start]) or names[clip.start]} has {len(clip)} frames, and"
                f" the protocol leaves out {left_out} at each end: take it out, or use another"
            )
        inner += kept
    return inner


def middle_frames(names: Sequence[str]) -> list[int]:
    """The index of the frame in the middle of every clip."""
    return [clip[len(clip) // 2] for clip in list_clips(names)]


class ByClip:
    """SR of items (as `scoring.evaluate` asks for it), each out of that of its whole clip.

    enlarge: LR frames to SR frames, uint8, in order. names: of all pictures. read: gives the item
    of an index. May be called from several threads.
    """

    def __init__(
        self, enlarge: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]], names, read
    ):
        self._enlarge, self._read = enlarge, read
        self._clip_of = {index: clip for clip in list_clips(names) for index in clip}
        self._made: OrderedDict[int, list[np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, item) -> np.ndarray:
        clip = self._clip_of[item.index]
        with self._lock:
            if clip.start not in self._made:
                self._made[clip.start] = list(self._enlarge(self._read(i).lr for i in clip))
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            return self._made[clip.start][item.index - clip.start]
