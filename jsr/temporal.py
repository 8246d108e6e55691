"""Flickering: what changes from frame to frame of SR although HR only moved."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_ilk

from jsr import color
from jsr.clips import list_clips
from jsr.errors import UserError
from jsr.protocols import Protocol
from jsr.scoring import read_item

# The figure's name.
WARPING = "warping_error"
# SR kept for the frame after it: more than evaluation has threads.
KEPT = 64


class Motion(NamedTuple):
    """From a frame to the one before: flow [2, h, w] (rows, columns), where both show the same."""

    flow: np.ndarray
    seen: np.ndarray


def measure_motion(frame: np.ndarray, before: np.ndarray) -> Motion:
    """The motion between two HR frames, uint8 [h, w, 1 or 3].

    The flow is iterative Lucas-Kanade's (Le Besnerais and Champagnat 2005, in scikit-image) on Y.
    Pixels that do not count: where the flow there and back does not cancel, edges of motion (both
    by the bounds of Ruder et al. 2016), and what comes from beyond the picture.
    """
    planes = [_luma(picture) for picture in (frame, before)]
    flow = optical_flow_ilk(*planes).astype(np.float32)
    back = optical_flow_ilk(*planes[::-1]).astype(np.float32)
    returned = _moved(back.transpose(1, 2, 0), flow).transpose(2, 0, 1)
    sizes = (flow**2).sum(0), (returned**2).sum(0)
    seen = ((flow + returned) ** 2).sum(0) <= 0.01 * (sizes[0] + sizes[1]) + 0.5
    bends = sum((edge**2) for part in flow for edge in np.gradient(part))
    seen &= bends <= 0.01 * sizes[0] + 0.002
    for place, side in zip(_places(flow), flow.shape[1:], strict=True):
        seen &= (place >= 0) & (place <= side - 1)
    return Motion(flow, seen)


def warping_error(sr: np.ndarray, before: np.ndarray, motion: Motion) -> float:
    """Mean over the pixels seen in both of |sr - warped before|**2, colours in [0, 1] summed.

    sr, before: uint8 [h, w, 1 or 3]. NaN where no pixel is seen in both. (E_warp of a pair of
    frames, Lai et al. 2018, Learning Blind Video Temporal Consistency; the flow is HR's here, so
    that it is the same for every method.)
    """
    if not motion.seen.any():
        return float("nan")
    now, then = (picture.astype(np.float64) / 255.0 for picture in (sr, before))
    return float(((now - _moved(then, motion.flow)) ** 2).sum(-1)[motion.seen].mean())


class Flicker:
    """`warping_error` as a figure of `scoring.evaluate`; NaN for the first frame of a clip.

    produce: SR of an item; call the object's own `produce` in its place, which keeps SR for the
    next frame. read: gives the item of an index. motion: `Motions`, shared by several methods.
    """

    def __init__(self, produce: Callable, read: Callable, motion: "Motions"):
        self._make, self._read, self._motion = produce, read, motion
        self._made: OrderedDict[int, Future] = OrderedDict()
        self._lock = threading.Lock()

    def produce(self, item) -> np.ndarray:
        """SR of an item, made once."""
        with self._lock:
            mine = item.index not in self._made
            made = self._made.setdefault(item.index, Future())
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        if mine:
            try:
                made.set_result(self._make(item))
            except BaseException as error:
                made.set_exception(error)
        return made.result()

    def __call__(self, sr: np.ndarray, item) -> float:
        if item.index in self._motion.firsts:
            return float("nan")
        try:
            before = self._read(item.index - 1)
            then = self.produce(before)
        except (UserError, FloatingPointError) as error:
            # This frame's other figures stand.
            raise ValueError(f"the frame before it: {error}") from error
        return warping_error(sr, then, self._motion(item, before))


def with_flicker(
    produce: Callable, photos, protocol: Protocol, scale: int, lr: str, motions: "Motions"
) -> tuple[Callable, dict[str, Flicker]]:
    """`produce` and the figures over time of what it makes, as `scoring.evaluate` takes both."""
    read = partial(read_item, photos, scale=scale, protocol=protocol, lr=lr)
    flicker = Flicker(produce, read, motions)
    return flicker.produce, {WARPING: flicker}


class Motions:
    """The motion to every frame of `names`, measured when it is first asked for, and kept."""

    def __init__(self, names):
        self.firsts = {clip.start for clip in list_clips(names)}
        self._known: dict[int, Motion] = {}

    def __call__(self, item, before) -> Motion:
        if item.index not in self._known:
            flow, seen = measure_motion(item.hr, before.hr)
            # A sixteenth of a pixel at 64 pixels a frame.
            self._known[item.index] = Motion(flow.astype(np.float16), seen)
        return self._known[item.index]


def _luma(picture: np.ndarray) -> np.ndarray:
    y = color.rgb_to_y(picture) if picture.shape[-1] == 3 else picture[..., 0]
    return np.asarray(y, np.float32) / 255


def _places(flow: np.ndarray) -> np.ndarray:
    return np.indices(flow.shape[1:], np.float32) + flow


def _moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """[h, w, c] taken from where the flow points, bilinear."""
    places = _places(flow)
    moved = [
        map_coordinates(p, places, order=1, mode="nearest") for p in np.moveaxis(picture, -1, 0)
    ]
    return np.stack(moved, axis=-1)
