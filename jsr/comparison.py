"""Pictures before and after under a slider: the two views of a pair, and a page of many pairs."""

import base64
import contextlib
import dataclasses
import html
import math
import os
import secrets
from pathlib import Path

import numpy as np
from PIL import Image

from jsr import images
from jsr.errors import PartlyDone, UserError
from jsr.picture_formats import Picture
from jsr.picture_modes import to_8_bits

PAGES = Path(__file__).parent / "pages"
# Larger pictures are shown shrunk: hundreds must fit into a browser.
SHOWN_PIXELS, SHOWN_SIDE = 2**22, 16000
# Up to here without loss, so that single pixels are what they are.
LOSSLESS_PIXELS, QUALITY = 2**18, 92
SUFFIXES = (".html", ".htm")


@dataclasses.dataclass(frozen=True)
class View:
    """A picture as a browser shows it: an encoded file of `height` x `width`."""

    data: bytes
    form: str
    height: int
    width: int

    @property
    def mime(self) -> str:
        return f"image/{self.form.lower()}"


def make_views(before: Picture, after: Picture) -> tuple[View, View]:
    """`before` enlarged bicubically and `after`, of the same size; of at most SHOWN_PIXELS.

    Without EXIF and of 8 bits a channel; PNG where small, else JPEG, or WebP with transparency.
    """
    height, width = after.pixels.shape[:2]
    part = min(1.0, math.sqrt(SHOWN_PIXELS / (height * width)), SHOWN_SIDE / max(height, width))
    size = (max(1, round(height * part)), max(1, round(width * part)))
    return _view(before, size), _view(after, size)


def facts(
    before: Picture, after: Picture, view: View, form: str, weights: str, seconds: float | None
) -> dict[str, str]:
    """What to tell beside a pair, by name."""
    told = {
        "Size": f"{_size(before)} → {_size(after)}",
        "Weights": weights,
        "Format": f"{form}, {8 * after.pixels.itemsize} bits a channel",
    }
    if before.first_of_several:
        told["Frames"] = "the first of several frames or pages"
    if seconds is not None:
        told["Time"] = f"{seconds:.2f} s"
    if (view.height, view.width) != after.pixels.shape[:2]:
        told["Shown"] = f"shrunk to {view.width}x{view.height}, with some loss"
    elif view.form != "PNG":
        told["Shown"] = f"as {view.form} of quality {QUALITY}"
    return told


class Comparison:
    """A page of pairs in one file, which needs no other; written pair by pair, then renamed.

    As a context: the page is there after it where it holds a picture, also when some others
    failed; interrupted, nothing is. Raises UserError for a path that cannot be written.
    """

    def __init__(self, path: Path, weights: str):
        self.path, self.weights = path, weights
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"--compare {path}: name a page, as in compare.html")
        if path.is_dir():
            raise UserError(f"--compare {path}: is a folder; name a page in it")
        self._temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        self._count = 0

    def __enter__(self) -> "Comparison":
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(self._temporary, "x", encoding="utf-8")
            head, self._tail = _filled("compare.html").split("{{figures}}")
            self._stream.write(head)
        return self

    def __exit__(self, kind, error, _):
        try:
            with self._told():
                if self._count and (error is None or isinstance(error, (PartlyDone, UserError))):
                    if error is not None:
                        self._stream.write(f'<pre class="failed">{html.escape(str(error))}</pre>\n')
                    self._stream.write(self._tail)
                    self._stream.close()
                    os.replace(self._temporary, self.path)
        finally:
            with contextlib.suppress(OSError):
                self._stream.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def add(
        self, name: str, before: Picture, after: Picture, form: str, seconds: float | None
    ) -> None:
        """Show a pair, from a file `name`, written as `form`."""
        views = make_views(before, after)
        told = facts(before, after, views[1], form, self.weights, seconds)
        pictures = "".join(
            f'<img class="{kind}" alt="{kind}: {html.escape(name)}" width="{view.width}"'
            f' height="{view.height}" loading="lazy" decoding="async" src="data:{view.mime};base64,'
            f'{base64.b64encode(view.data).decode()}">'
            for kind, view in zip(("before", "after"), views, strict=True)
        )
        listed = "".join(
            f"<div><dt>{key}</dt><dd>{html.escape(value)}</dd></div>" for key, value in told.items()
        )
        with self._told():
            self._stream.write(
                f'<figure class="compare"><figcaption>{html.escape(name)}</figcaption>'
                f'<div class="viewport"><div class="stack">{pictures}</div></div>'
                f"<dl>{listed}</dl></figure>\n"
            )
        self._count += 1

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except OSError as error:
            reason = f"cannot be written ({error.strerror}); write elsewhere"
            raise UserError(f"--compare {self.path}: {reason}") from error


def read_page(name: str) -> str:
    """A file of the package's pages."""
    return (PAGES / name).read_text(encoding="utf-8")


def _filled(name: str) -> str:
    """A page with the style and the script of the slider inside."""
    page = read_page(name).replace("{{style}}", read_page("slider.css"))
    return page.replace("{{script}}", read_page("slider.js"))


def _view(picture: Picture, size: tuple[int, int]) -> View:
    pixels, alpha = to_8_bits(picture.pixels), to_8_bits(picture.alpha)
    if pixels.shape[:2] != size:
        planes = pixels if alpha is None else np.dstack([pixels, alpha])
        planes = _resized(planes, size)
        pixels, alpha = planes[..., : pixels.shape[2]], None if alpha is None else planes[..., -1]
    form = "JPEG" if alpha is None else "WEBP"
    form = "PNG" if size[0] * size[1] <= LOSSLESS_PIXELS else form
    quality = None if form == "PNG" else QUALITY
    shown = dataclasses.replace(picture, pixels=pixels, alpha=alpha, exif=None)
    return View(images.encode(shown, form, "the comparison", quality), form, *size)


def _resized(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 1 to 4] by Pillow: the same cubic as MATLAB's, but for the edges, and faster."""
    image = Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)
    resized = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
    return np.atleast_3d(resized)


def _size(picture: Picture) -> str:
    height, width = picture.pixels.shape[:2]
    return f"{width}x{height}"
