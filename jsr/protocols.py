"""What a printed PSNR or SSIM measures: named evaluation protocols."""

import dataclasses
from typing import Literal

import numpy as np

from jsr import color, metrics
from jsr.errors import UserError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to score an SR picture: on which colours, and how much of the border is left out.

    `shave` counts the border in scales: 1 leaves out `scale` pixels on each side.
    """

    name: str
    color: Literal["y", "rgb"]
    shave: int

    def plane(self, image: np.ndarray, scale: int) -> np.ndarray:
        """What is compared of a picture uint8 [h, w], [h, w, 1] or [h, w, 3], float64."""
        if image.ndim == 2:
            image = image[..., None]
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=-1)
        border = self.shave * scale
        image = image[border : image.shape[0] - border, border : image.shape[1] - border]
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
    """{"psnr", "ssim"} of SR against HR, both uint8 [h, w] or [h, w, c] of the same size.

    HR is cropped to a multiple of the scale already. Raises ValueError when the sizes differ or
    less than SSIM's window is left inside the border.
    """
    if sr.shape[:2] != hr.shape[:2]:
        raise ValueError(f"SR is {sr.shape[:2]}, but HR is {hr.shape[:2]}")
    x, y = protocol.plane(sr, scale), protocol.plane(hr, scale)
    return {"psnr": metrics.psnr(x, y), "ssim": metrics.ssim(x, y)}
