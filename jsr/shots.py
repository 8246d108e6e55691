"""Where a film changes to another shot."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from jsr import color

# Side of the small pictures that are compared.
SIDE = 32
# A change of shot changes pixels by this many levels on average ...
LEVELS = 15.0
# ... and by this many times what the frames around it do.
TIMES = 3.0
AROUND = 2
T = TypeVar("T")


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """Y of a frame uint8 [h, w, 3], means over the cells of a grid of at most SIDE x SIDE."""
    y = color.rgb_to_y(frame)
    for axis in (0, 1):
        borders = np.linspace(0, y.shape[axis], min(SIDE, y.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(y, borders[:-1], axis)
        y = sums / np.expand_dims(np.diff(borders), 1 - axis)
    return y


class Before(NamedTuple):
    """What is known of the frames before one: their last AROUND changes, the last's thumbnail."""

    changes: tuple[float, ...] = ()
    thumbnail: np.ndarray | None = None


def mark_cuts(
    frames: Iterable[T], small: Callable[[T], np.ndarray], before: Before | None = None
) -> Iterator[tuple[T, bool, Before]]:
    """(frame, whether another shot begins with it, what is known before it), in order.

    A cut is a change of LEVELS at least, and TIMES that of the AROUND frames on either side, which
    keeps fast motion and flashes over several frames together. Dissolves are not found. A frame
    comes when AROUND more were taken, or all. small: its `thumbnail`. Whoever begins at a frame
    with what was known `before` it gets the decisions of whoever began earlier.
    """
    before = before or Before()
    last = before.thumbnail
    waiting: deque[tuple[T, np.ndarray, float | None]] = deque()

    def decide() -> tuple[T, bool, Before]:
        nonlocal before
        frame, thumb, change = waiting.popleft()
        known, near = before, [*before.changes, *(later for _, _, later in waiting)]
        if change is None:
            before = Before((), thumb)
            return frame, False, known
        before = Before((*before.changes, change)[-AROUND:], thumb)
        cut = change >= LEVELS and (not near or change >= TIMES * np.mean(near))
        return frame, bool(cut), known

    for frame in frames:
        thumb = small(frame)
        change = None if last is None else float(np.abs(last - thumb).mean())
        waiting.append((frame, thumb, change))
        last = thumb
        if len(waiting) > AROUND:
            yield decide()
    while waiting:
        yield decide()


def find_cuts(thumbnails: Iterable[np.ndarray]) -> list[int]:
    """The frames, by index, with which another shot begins, as `mark_cuts` has them."""
    marked = mark_cuts(thumbnails, lambda small: small)
    return [index for index, (_, cut, _) in enumerate(marked) if cut]
