"""The comparison sheet: one photo by every method, whole and zoomed, with its figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jsr import hounsfield, images
from jsr.clips import middle_frames
from jsr.errors import UserError
from jsr.protocols import PROTOCOLS, Protocol, score
from jsr.resize import imresize, to_uint8
from jsr.scoring import Item, read_item

PANEL = 256
CAPTION = 40
# Pictures of so small a side are shown whole.
SMALL = 32


def busiest_crop(hr: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the `side` x `side` window of `hr` [h, w, 3] with the strongest gradients.

    Windows are tried at steps of a quarter of the side, away from the borders.
    """
    gray = hr.astype(np.float64).mean(-1)
    energy = np.abs(np.diff(gray, axis=0))[:, :-1] + np.abs(np.diff(gray, axis=1))[:-1]
    tops = range(side // 4, max(hr.shape[0] - side - side // 4, side // 4 + 1), side // 4)
    lefts = range(side // 4, max(hr.shape[1] - side - side // 4, side // 4 + 1), side // 4)
    spots = [(energy[t : t + side, x : x + side].sum(), t, x) for t in tops for x in lefts]
    _, top, left = max(spots, key=lambda spot: spot[0])
    return top, left


def make_sheet(rows: list[tuple[str, np.ndarray, list[tuple[str, np.ndarray, str]]]]) -> np.ndarray:
    """A sheet from rows of (photo's name, hr, panels); a panel is (title, picture, figures).

    Pictures are uint8 [h, w, 3], all at HR's size. Returns uint8 [H, W, 3]: for each photo HR with
    the zoomed window marked, then the window in every panel, enlarged.
    """
    strips = [_strip(name, hr, panels) for name, hr, panels in rows]
    width = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return np.asarray(sheet)


def compare(
    methods: list[tuple[str, Callable[[Item], np.ndarray]]],
    photos,
    scale: int,
    protocol: Protocol,
    shown: int,
    lr_family: str = "symmetric",
    left_out: list[str] | None = None,
    film: bool = False,
) -> np.ndarray:
    """The sheet of the first `shown` photos: LR, each method's SR with its figures, HR.

    film: the photos are frames, and of each clip the one in the middle is shown.
    methods: (name, function that gives an item's SR). Where the protocol is of Y, so are the
    figures; the pictures are in colour where a method enlarges colour too (`weights.in_colour`).
    left_out: collects the names of the photos that some method fails on, whose place others take;
    without it the first one raises. Raises UserError where none can be shown.
    """
    strips: list[tuple] = []
    for index in middle_frames(photos.names) if film else range(len(photos.names)):
        if len(strips) == shown:
            break
        try:
            item = read_item(photos, index, scale, protocol, lr_family)
            seen = _in_colour(photos, item, lr_family) if protocol.source == "y" else item
            strips.append(_compared(methods, item, seen, protocol))
        except (UserError, FloatingPointError, ValueError):
            if left_out is None:
                raise
            left_out.append(photos.names[index])
    if not strips:
        raise UserError("there is no picture that every method could enlarge")
    return make_sheet(strips)


def _compared(methods, item: Item, seen: Item, protocol: Protocol) -> tuple[str, np.ndarray, list]:
    """A row of `make_sheet`: `item` is scored, `seen` is shown."""
    hr, lr = as_rgb(_shown(seen.hr)), _shown(seen.lr)
    size = f"{lr.shape[1]}x{lr.shape[0]}"
    panels = [("LR", as_rgb(imresize(lr, scale=item.scale, method="nearest")), size)]
    for name, produce in methods:
        sr = produce(seen)
        scored = sr if seen is item else produce(item)
        scores = score(scored, item.hr, item.scale, protocol)
        figures = f"{scores['psnr']:.2f} dB  {scores['ssim']:.4f}"
        panels.append((name, as_rgb(_shown(sr)), figures))
    return item.name, hr, [*panels, ("HR", hr, "PSNR  SSIM")]


def _shown(image: np.ndarray) -> np.ndarray:
    """uint8 of a picture; CT through a window."""
    return hounsfield.look(image) if hounsfield.is_ct(image) else to_uint8(image)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """[h, w, 1 or 3] as [h, w, 3]."""
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _in_colour(photos, item: Item, lr_family: str) -> Item:
    return read_item(photos, item.index, item.scale, PROTOCOLS["rgb"], lr_family)


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write the sheet as a picture."""
    images.write_picture(path, images.Picture(sheet, None, None, None, None))


def _window(hr: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of what is enlarged."""
    shortest = min(hr.shape[:2])
    if shortest <= SMALL:
        return 0, 0, shortest
    side = min(PANEL // 4, shortest // 2)
    return *busiest_crop(hr, side), side


def _strip(name, hr, panels) -> Image.Image:
    top, left, side = _window(hr)
    whole = Image.fromarray(np.ascontiguousarray(hr))
    ImageDraw.Draw(whole).rectangle(
        (left - 1, top - 1, left + side, top + side),
        outline="red",
        width=max(hr.shape[1] // 200, 2),
    )
    whole.thumbnail((2 * PANEL, PANEL))
    strip = Image.new("RGB", (2 * PANEL + 8 + len(panels) * (PANEL + 8), PANEL + CAPTION), "white")
    strip.paste(whole, ((2 * PANEL - whole.width) // 2, 0))
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=14)
    draw.text((8, PANEL + 4), f"{name}  {hr.shape[1]}x{hr.shape[0]}", fill="black", font=font)
    for number, (title, picture, figures) in enumerate(panels):
        x = 2 * PANEL + 8 + number * (PANEL + 8)
        crop = Image.fromarray(picture[top : top + side, left : left + side])
        strip.paste(crop.resize((PANEL, PANEL), Image.Resampling.NEAREST), (x, 0))
        draw.text((x, PANEL + 2), title, fill="black", font=font)
        draw.text((x, PANEL + 20), figures, fill="black", font=font)
    return strip
