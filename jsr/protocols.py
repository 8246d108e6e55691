"""What a printed PSNR or SSIM measures: named evaluation protocols."""

import dataclasses
from typing import Literal

import numpy as np

from jsr import color, metrics
from jsr.errors import UserError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to score an SR picture: on which colours, and how much of the border is left out.

    `border` counts in scales: 1 leaves out `scale` pixels on each side.
    """

    name: str
    color: Literal["y", "rgb"]
    border: int

    def shave(self, scale: int) -> int:
        """How many pixels are left out on each side."""
        return self.border * scale

    def plane(self, image: np.ndarray, scale: int) -> np.ndarray:
        """What is compared of a picture uint8 [h, w], [h, w, 1] or [h, w, 3], float64.

        Gray counts as three equal channels.
        """
        if image.ndim == 2:
            image = image[..., None]
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=-1)
        shave = self.shave(scale)
        image = image[shave : image.shape[0] - shave, shave : image.shape[1] - shave]
        return color.rgb_to_y(image) if self.color == "y" else image.astype(np.float64)


PROTOCOLS = {
    p.name: p
    for p in (
        # The rows of CNN papers since 2014: Y of BT.601, not rounded.
        Protocol("y", "y", 1),
        # What BasicSR's image configs report.
        Protocol("rgb", "rgb", 1),
    )
}


def get_protocol(name: str) -> Protocol:
    """A protocol by name. Raises UserError for an unknown one."""
    if name not in PROTOCOLS:
        raise UserError(f"protocol {name!r} is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def score(sr: np.ndarray, hr: np.ndarray, scale: int, protocol: Protocol) -> dict[str, float]:
    """{"psnr", "ssim"} of SR against HR, both uint8 [h, w], [h, w, 1] or [h, w, 3].

    Raises ValueError when the shapes differ or are others, a picture is not uint8, HR is not
    cropped to a multiple of the scale, or less than SSIM's window is left inside the border.
    """
    _check(sr, hr, scale)
    x, y = protocol.plane(sr, scale), protocol.plane(hr, scale)
    return {"psnr": metrics.psnr(x, y), "ssim": metrics.ssim(x, y)}


def _check(sr: np.ndarray, hr: np.ndarray, scale: int) -> None:
    if sr.shape != hr.shape:
        raise ValueError(f"SR is {list(sr.shape)}, but HR is {list(hr.shape)}")
    if hr.ndim not in (2, 3) or hr.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"expected [h, w], [h, w, 1] or [h, w, 3], not {list(hr.shape)}")
    if sr.dtype != np.uint8 or hr.dtype != np.uint8:
        raise ValueError(f"expected uint8, but SR is {sr.dtype} and HR is {hr.dtype}")
    if hr.shape[0] % scale or hr.shape[1] % scale:
        raise ValueError(f"HR {list(hr.shape[:2])} is not cropped to a multiple of {scale}")
