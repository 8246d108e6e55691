"""One evaluation: pictures are shrunk, enlarged by a method and scored into the row of a table."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jsr import parallel, protocols, resize, tables
from jsr.clips import inner_frames
from jsr.errors import UserError
from jsr.protocols import Protocol

# A figure of (sr, hr), or over time of (sr, item). Raises ValueError, saying why, for a picture
# that has none.
Extra = Callable[[np.ndarray, Any], float]
SHOWN = 3


class Fault(NamedTuple):
    """Why pictures ("" for all) of a row could not be scored, or have not every figure."""

    row: str
    pictures: str
    reason: str


def tell(faults: list[Fault]) -> list[str]:
    """A line for each reason, whatever the number of rows that met it on the same pictures."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row, pictures, reason in faults:
        rows.setdefault((pictures, reason), []).append(row)
    lines = []
    for (pictures, reason), met in rows.items():
        others = f" (and {len(met) - 1} more)" if len(met) > 1 else ""
        lines.append(f"{met[0]}{others}{pictures and f', {pictures}'}: {reason}")
    return lines


@dataclasses.dataclass(frozen=True)
class Item:
    """A picture to be scored: HR as the protocol has it, cropped to a multiple of the scale.

    hr: uint8 [h, w, 3 or 1], of CT float32 [h, w, 1]. make_lr: gives its LR, uint8 or float64 in
    0..255, of CT float32.
    """

    index: int
    name: str
    scale: int
    hr: np.ndarray
    make_lr: Callable[[], np.ndarray]

    @functools.cached_property
    def lr(self) -> np.ndarray:
        return self.make_lr()


def evaluate(
    name: str,
    produce: Callable[[Item], np.ndarray],
    photos,
    dataset: str,
    scale: int,
    protocol: Protocol,
    lr: str = "symmetric",
    wanted: tuple[str, ...] = ("psnr", "ssim"),
    extra: dict[str, Extra] | None = None,
    labels: dict | None = None,
    failed: list[Fault] | None = None,
    workers: int | None = None,
    spread: bool = False,
    progress: bool = False,
    over_time: dict[str, Extra] | None = None,
) -> dict:
    """The row of one method on one dataset, in the shape of the table's JSON.

    produce: gives SR (of HR's type) of an item. photos: `Photos`, or what has `names` and items.
    lr: the family of LR, or "files" (`photos.read_lr`). wanted: metrics of `protocols.METRICS`.
    extra: further figures by name; a picture that has none counts for the others alone. labels:
    what the row says beside. failed: collects the reasons why pictures, or figures of theirs, could
    not be scored; without it the first one raises. workers: threads, the processor's cores if not
    given. spread: each process scores its share, and all get the row. Neither changes a figure.
    over_time: further figures, of films, which keep frames and their motions in memory. Else it
    holds one picture a thread.

    Raises UserError when no picture could be scored, and what `produce` raises.
    """
    process, processes = (parallel.process_index(), parallel.process_count()) if spread else (0, 1)
    every = range(len(photos.names))
    scored = inner_frames(photos.names, protocol.ends) if protocol.ends else every
    indices = scored[process::processes]

    def score_one(index: int) -> tuple[dict | None, list[str]]:
        """The image's entry, None where it could not be scored; and why not, or not all."""
        try:
            item = read_item(photos, index, scale, protocol, lr)
            figures, lacking = _score(item, produce, protocol, wanted, extra, over_time)
            if lacking and failed is None:
                raise UserError(lacking[0])
        except (UserError, FloatingPointError) as error:
            if failed is None:
                raise
            return None, [str(error)]
        return {"name": item.name, **figures}, lacking

    count = min(workers or os.cpu_count() or 1, max(len(indices), 1))
    with ThreadPoolExecutor(count) as pool:
        title = f"{name}, {dataset} x{scale}"
        found = pool.map(score_one, indices)
        results = [*tqdm(found, title, len(indices), leave=False, disable=not progress or None)]
    if processes > 1:
        shares = parallel.gather(results)
        results = [shares[i % processes][i // processes] for i in range(len(scored))]
    images = [image for image, _ in results if image is not None]
    faults: dict[str, list[str]] = {}
    for index, (_, reasons) in zip(scored, results, strict=True):
        for reason in reasons:
            faults.setdefault(reason, []).append(photos.names[index])
    if not images:
        raise UserError(f"no picture of {dataset} could be scored{_told_as_one(faults)}")
    if failed is not None:
        failed += [Fault(title, _pictures(faults[reason]), reason) for reason in faults]
    return tables.mean_row(name, dataset, scale, protocol.name, lr, images, labels)


def read_item(photos, index: int, scale: int, protocol: Protocol, lr: str) -> Item:
    """The picture of that index, ready to be scored.

    Raises UserError for one that cannot be read or is smaller than the scale, and where LR is to
    come from files and there are none.
    """
    if lr == "files" and getattr(photos, "read_lr", None) is None:
        raise UserError("there are no LR files; name their folder by --lr_dir, or leave out --lr")
    photo = photos[index]
    try:
        photo = resize.crop_to_multiple(photo, scale)
    except ValueError as error:
        raise UserError(f"is too small for scale {scale}: {error}") from error
    hr = protocol.pictures(photo)

    def make_lr():
        if lr in protocols.LR_FAMILIES:
            return protocol.shrink(hr, scale, lr)
        found = protocol.pictures(photos.read_lr(index))
        if tuple(side * scale for side in found.shape[:2]) != hr.shape[:2]:
            raise UserError(f"its LR file is {size(found)}, but HR is {size(hr)} at scale {scale}")
        return found

    return Item(index, photos.names[index], scale, hr, make_lr)


def read_items(photos, scale: int, protocol: Protocol, lr: str = "symmetric") -> Iterator[Item]:
    """All items, one after the other."""
    for index in range(len(photos.names)):
        yield read_item(photos, index, scale, protocol, lr)


def size(image: np.ndarray) -> str:
    """Height and width in words."""
    return f"{image.shape[0]}x{image.shape[1]}"


def high_frequency(y: np.ndarray, scale: int) -> float:
    """Mean power of Y [h, w] (0..255) at frequencies that the LR image cannot hold.

    The spectrum is taken under a Hann window, and counted where either frequency lies above
    0.5/scale cycles a pixel. A single wave counts half of its squared amplitude.
    """
    # Periodic windows: a wave of whole cycles then leaks into its neighbours alone.
    window = np.outer(*(np.hanning(side + 1)[:-1] for side in y.shape))
    spectrum = np.abs(np.fft.fft2((y - y.mean()) * window)) ** 2
    rows = np.abs(np.fft.fftfreq(y.shape[0])) > 0.5 / scale
    columns = np.abs(np.fft.fftfreq(y.shape[1])) > 0.5 / scale
    return float(spectrum[rows[:, None] | columns[None, :]].sum() / (window**2).sum() / y.size)


def _score(
    item: Item, produce, protocol, wanted, extra, over_time
) -> tuple[dict[str, float], list[str]]:
    """The figures, NaN for those that the picture has not, and why it has not."""
    sr = produce(item)
    if sr.shape != item.hr.shape:
        raise UserError(f"SR is {size(sr)}, but HR is {size(item.hr)}")
    try:
        figures = protocols.score(sr, item.hr, item.scale, protocol, wanted)
    except ValueError as error:
        raise UserError(f"cannot be scored: {error}") from error
    lacking = []
    of_pictures = [(key, figure, item.hr) for key, figure in (extra or {}).items()]
    of_films = [(key, figure, item) for key, figure in (over_time or {}).items()]
    for key, figure, beside in of_pictures + of_films:
        try:
            figures[key] = float(figure(sr, beside))
        except ValueError as error:
            figures[key] = math.nan
            lacking.append(f"has no {key}: {error}")
    return figures, lacking


def _pictures(names: list[str]) -> str:
    """A picture's name, or how many there are and the first ones."""
    more = ", ..." if len(names) > SHOWN else ""
    return names[0] if len(names) == 1 else f"{len(names)} ({', '.join(names[:SHOWN])}{more})"


def _told_as_one(faults: dict[str, list[str]]) -> str:
    """Why nothing could be scored: the reason, or where there are several, a line each."""
    if len(faults) == 1:
        return f": {next(iter(faults))}"
    return ":" + "".join(f"\n  {_pictures(names)}: {reason}" for reason, names in faults.items())
