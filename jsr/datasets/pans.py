"""Films without films: a window that moves over a still photograph, slowly nearer or farther.

Each clip is a pure function of a photograph, a seed and the clip's number. What moves is the whole
picture, and over a folder's photographs parts of it in front of the rest; there is no blur of
motion and no noise of a camera.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from jsr.datasets import Photos, image_folder, sample_photos
from jsr.errors import UserError

SIDE = 160
# Shares of its size that a window comes nearer a frame; pixels of the photograph for one of it.
ZOOM, STEP = (-0.01, 0.01), (0.75, 0.95)
# Radii of what moves in front, in halves of a film's side.
SIZE = (0.15, 0.6)
# What the spline at a window's edge still reaches.
MARGIN = 12


class Ways(NamedTuple):
    """How windows move, in pixels a frame, and for how long.

    slow: the odd power that evenly drawn places in the ranges of speed and ZOOM (from its middle)
    are raised to: with 3, a third of the windows all but stands still. things: at most so many
    parts of the photograph go ways of their own, in front of the rest. clips: by split, how many
    of a photograph, and of how many frames.
    """

    speed: tuple[float, float]
    slow: int
    things: int
    clips: dict[str, tuple[int, int]]


# Those of the sample photographs are few and short, and all move.
SAMPLE = Ways((0.4, 3.0), 1, 0, {"train": (3, 12), "valid": (1, 8), "test": (1, 10)})
# As in films, where little moves far from frame to frame.
FILMLIKE = Ways((0.0, 4.0), 3, 3, {"train": (3, 16), "valid": (1, 16), "test": (1, 30)})


class Path(NamedTuple):
    """Where the window is: in frame t its centre is at start + t * speed (row, column).

    Its pixels are `step` * (1 + zoom)**t of the photograph's apart.
    """

    start: tuple[float, float]
    speed: tuple[float, float]
    step: float
    zoom: float


def draw_path(
    size: tuple[int, int],
    seed: int,
    number: int | tuple[int, ...],
    frames: int,
    side: int,
    ways: Ways = SAMPLE,
) -> Path:
    """The path of clip `number` over a photograph of that height and width, inside of it.

    Raises UserError for a photograph that is too small.
    """
    shares = np.random.default_rng([seed, *np.atleast_1d(number)]).random(6)
    # About the middle, which is no zoom.
    nearer = 0.5 + (shares[1] - 0.5) ** ways.slow * 2 ** (ways.slow - 1)
    step, zoom = _between(STEP, shares[0]), _between(ZOOM, nearer)
    widest = step * max(1.0, (1 + zoom) ** (frames - 1)) * (side - 1) / 2 + 1
    angle, pace = 2 * np.pi * shares[2], _between(ways.speed, shares[3] ** ways.slow)
    starts, speeds = [], []
    for length, direction, share in zip(
        size, (np.sin(angle), np.cos(angle)), shares[4:6], strict=True
    ):
        room = length - 1 - 2 * widest
        if room < 0:
            raise UserError(
                f"{size[0]}x{size[1]} pixels are too few for films of {side}x{side}: take it out"
            )
        way = np.clip(direction * pace * (frames - 1), -room, room)
        starts.append(widest + max(-way, 0.0) + share * (room - abs(way)))
        speeds.append(way / max(frames - 1, 1))
    return Path(tuple(starts), tuple(speeds), step, zoom)


class Thing(NamedTuple):
    """An ellipse of the photograph that goes its own way, in front of what is behind it.

    centre, radii: rows and columns, in pixels of the photograph.
    """

    path: Path
    centre: tuple[float, float]
    radii: tuple[float, float]


def draw_things(
    size: tuple[int, int], seed: int, number: int, frames: int, side: int, ways: Ways
) -> list[Thing]:
    """What moves in front in clip `number`: none to `ways.things`, each of them in sight at first.

    Raises UserError for a photograph that is too small.
    """
    count = int(np.random.default_rng([seed, number, 1]).integers(ways.things + 1))
    things = []
    for k in range(count):
        path = draw_path(size, seed, (number, 2 + k), frames, side, ways)
        shares = np.random.default_rng([seed, number, 2 + k, 0]).random(4)
        half = path.step * side / 2
        centre = tuple(s + half * (2 * q - 1) for s, q in zip(path.start, shares, strict=False))
        radii = tuple(half * _between(SIZE, share) for share in shares[2:])
        things.append(Thing(path, centre, radii))
    return things


def render(
    photo: np.ndarray, path: Path, frame: int, side: int, things: Sequence[Thing] = ()
) -> np.ndarray:
    """The frame uint8 [side, side, 3] of a photograph uint8 [h, w, 3]: cubic splines, rounded.

    The window's pixels are nearer together than the photograph's, so nothing is aliased; but at the
    end of a clip that zooms out they may be up to 1.06 apart, and the very finest detail folds.
    """
    seen = _seen(photo, path, frame, side)
    for thing in things:
        lines = _lines(thing.path, frame, side)
        terms = zip(lines, thing.centre, thing.radii, strict=True)
        rows, columns = (((line - c) / r) ** 2 for line, c, r in terms)
        inside = 1 - np.sqrt(rows[:, None] + columns)
        # An edge of two pixels.
        share = np.clip(0.5 + inside * min(thing.radii) / (2 * thing.path.step), 0, 1)[..., None]
        if share.any():
            seen = seen + share * (_seen(photo, thing.path, frame, side) - seen)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def _lines(path: Path, frame: int, side: int) -> list[np.ndarray]:
    """Where a frame's rows and columns lie in the photograph."""
    step = path.step * (1 + path.zoom) ** frame
    offsets = (np.arange(side) - (side - 1) / 2) * step
    return [s + frame * v + offsets for s, v in zip(path.start, path.speed, strict=True)]


def _seen(photo: np.ndarray, path: Path, frame: int, side: int) -> np.ndarray:
    """float64 [side, side, 3]: what a window shows."""
    lines = _lines(path, frame, side)
    lows = [max(int(line[0]) - MARGIN, 0) for line in lines]
    highs = [int(line[-1]) + MARGIN + 2 for line in lines]
    window = photo[lows[0] : highs[0], lows[1] : highs[1]].astype(np.float64)
    places = np.meshgrid(
        *(line - low for line, low in zip(lines, lows, strict=True)), indexing="ij"
    )
    colours = [map_coordinates(window[..., c], places, order=3, mode="mirror") for c in range(3)]
    return np.stack(colours, axis=-1)


def make_pans(
    photos: Photos,
    clips: int,
    frames: int,
    side: int = SIDE,
    seed: int = 0,
    ways: Ways = SAMPLE,
) -> Photos:
    """`clips` films of each photograph, as frames called "photograph-clip/frame".

    Raises UserError, naming it, for a photograph that is too small.
    """
    whole = functools.lru_cache(maxsize=2)(photos.__getitem__)
    plan = [(p, c, f) for p in range(len(photos)) for c in range(clips) for f in range(frames)]
    paths = {}
    for p, size in enumerate(photos.sizes):
        for c in range(clips):
            try:
                number, (h, w) = p * clips + c, map(int, size)
                drawn = (h, w), seed, number, frames, side, ways
                paths[p, c] = draw_path(*drawn), draw_things(*drawn)
            except UserError as error:
                raise UserError(f"{photos.names[p]}: {error}") from error

    def read(index: int) -> np.ndarray:
        photo, clip, frame = plan[index]
        path, things = paths[photo, clip]
        return render(whole(photo), path, frame, side, things)

    names = [f"{photos.names[p]}-{c}/{f:03d}" for p, c, f in plan]
    return Photos(names, np.full((len(plan), 2), side, np.int32), read)


def open_split(split: str, data_dir: str | None) -> Photos:
    """Pans over the sample photographs of that split: nothing of test is seen in training."""
    if data_dir:
        raise UserError(
            f"sample_pans come with jsr and need no data_dir (it is {data_dir}): use the dataset"
            " pans for photographs of your own, clips for films"
        )
    return make_pans(sample_photos.open_split(split, None), *SAMPLE.clips[split])


def open_folder(split: str, data_dir: str | None) -> Photos:
    """Pans over the photographs below `data_dir`, whose splits are those of `image_folder`."""
    if not data_dir:
        raise UserError("pans needs data_dir: the folder that holds the photographs")
    photos = image_folder.open_split(split, data_dir)
    return make_pans(photos, *FILMLIKE.clips[split], ways=FILMLIKE)


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + share * (limits[1] - limits[0])
