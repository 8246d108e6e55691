"""What a printed PSNR or SSIM measures: named evaluation protocols.

A protocol says what is shrunk and enlarged, what of the result is compared, and how figures of
images become the figure of a dataset.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np

from jsr import color, hounsfield, metrics, resize, subsampling
from jsr.errors import UserError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to score an SR picture against HR, whose sides are multiples of the scale.

    source: what is shrunk and enlarged: "rgb"; "y", which is rounded to uint8 first; or "ct",
    slices as `jsr.hounsfield` has them, compared in Hounsfield units whatever `plane` says.
    plane: what is compared: "rgb" (the three channels together), "y" (not rounded) or "y8"
    (rounded, as `source="y"` has it anyway). border: how many scales, and `margin`: how many
    pixels more, are left out on each side. lr_rounded: whether LR is rounded to uint8, as files
    are. average: over "images", or over "clips" (the images of a folder) first. ends: how many
    images at each end of a clip are not scored.
    """

    name: str
    says: str
    source: Literal["rgb", "y", "ct"] = "rgb"
    plane: Literal["rgb", "y", "y8"] = "y"
    border: int = 1
    margin: int = 0
    lr_rounded: bool = True
    average: Literal["images", "clips"] = "images"
    ends: int = 0

    def shave(self, scale: int) -> int:
        """How many pixels are left out on each side."""
        return self.border * scale + self.margin

    @property
    def data_range(self) -> float:
        """By which figures measure: of 8 bits, or of CT."""
        return hounsfield.RANGE if self.source == "ct" else 255.0

    def pictures(self, hr: np.ndarray) -> np.ndarray:
        """What of HR (uint8 [h, w, 3]) is shrunk and enlarged: itself, or Y, uint8 [h, w, 1].

        Of CT a slice itself, float32 [h, w, 1]. Raises UserError for the one in place of the other.
        """
        if hounsfield.is_ct(hr) != (self.source == "ct"):
            kind = "CT slices" if hounsfield.is_ct(hr) else "pictures of 8 bits"
            raise UserError(
                f"protocol {self.name} is not for {kind}: choose another (--protocol, or channels"
                " and protocol of the config)"
            )
        if self.source == "ct":
            return hr
        return hr if self.source == "rgb" else luma(hr)

    def shrink(self, hr: np.ndarray, scale: int, family: str) -> np.ndarray:
        """LR of `pictures(hr)`: uint8, or float64 in 0..255 where it is not rounded.

        Of CT float32, rounded to whole HU. family: one of LR_FAMILIES.
        """
        if family == "bd" and self.source != "ct":
            lr = subsampling.blur_down(hr, scale)
            return resize.to_uint8(lr) if self.lr_rounded else lr
        edges = family if family in resize.EDGES else resize.EDGES[0]
        if self.source == "ct":
            lr = resize.imresize(hr.astype(np.float64), scale=1.0 / scale, edges=edges)
            unrounded = lr.astype(np.float32)
            return unrounded if family == "unrounded" else hounsfield.round_levels(lr)
        if not self.lr_rounded or family == "unrounded":
            return resize.imresize(hr.astype(np.float64), scale=1.0 / scale, edges=edges)
        rounded = family != "basicsr"
        return resize.imresize(hr, scale=1.0 / scale, edges=edges, rounded=rounded)

    def compared(self, image: np.ndarray, scale: int) -> np.ndarray:
        """What is compared of a picture uint8 [h, w], [h, w, 1] or [h, w, 3], float64.

        Gray counts as three equal channels, but where `source` is Y it is Y itself. Of CT, HU.
        """
        shave = self.shave(scale)
        image = image[shave : image.shape[0] - shave, shave : image.shape[1] - shave]
        if self.source == "ct":
            return hounsfield.to_hu(image[..., 0]).astype(np.float64)
        if self.source == "y" and image.ndim == 3 and image.shape[-1] == 1:
            return image[..., 0].astype(np.float64)
        image = _three_channels(image)
        if self.plane == "rgb":
            return image.astype(np.float64)
        y = color.rgb_to_y(image)
        return y if self.plane == "y" else np.floor(y + 0.5)


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("y", "Y not rounded, border of scale pixels left out; CNN papers since 2016"),
        Protocol(
            "rgb", "RGB, border of scale pixels left out; BasicSR's image configs", plane="rgb"
        ),
        Protocol(
            "classic",
            "rounded Y shrunk without rounding, enlarged and rounded, border of scale pixels left"
            " out; networks of one channel",
            source="y",
            plane="y8",
            lr_rounded=False,
        ),
        # The same for interpolation: what papers print as bicubic.
        Protocol(
            "classic-bicubic",
            "rounded Y shrunk without rounding, enlarged and rounded, border of scale pixels left"
            " out; the printed bicubic rows",
            source="y",
            plane="y8",
            lr_rounded=False,
        ),
        Protocol(
            "edsr-div2k",
            "RGB, border of scale + 6 pixels left out; DIV2K validation in EDSR's code",
            plane="rgb",
            margin=6,
        ),
        Protocol(
            "reds",
            "RGB, whole frames, mean over clips; REDS4",
            plane="rgb",
            border=0,
            average="clips",
        ),
        Protocol(
            "vid4", "Y not rounded, whole frames, mean over clips; Vid4", border=0, average="clips"
        ),
        Protocol(
            "vid4-duf",
            "Y not rounded, border of 8 pixels and first and last two frames left out, mean over"
            " clips; Vid4 as in the code of DUF and FRVSR",
            border=0,
            margin=8,
            average="clips",
            ends=2,
        ),
        Protocol("full", "Y not rounded, whole pictures", border=0),
        Protocol(
            "ct",
            f"Hounsfield units rounded to whole ones, data range {hounsfield.RANGE:.0f} HU"
            f" ({hounsfield.LOW} to {hounsfield.HIGH}), border of scale pixels left out; CT slices",
            source="ct",
        ),
    )
}
# How LR is made of HR: MATLAB's imresize of today and of old, and BasicSR's own in Python, which
# mirrors the picture as today's MATLAB does but rounds only once, after both passes; or MATLAB's of
# floats, which never were a file. "bd" is that of video: see `jsr.subsampling`.
LR_FAMILIES = (*resize.EDGES, "basicsr", "unrounded", "bd")
METRICS: dict[str, Callable] = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "ssim_matlab": metrics.ssim_matlab,
    "ms_ssim": metrics.ms_ssim,
}


def get_protocol(name: str) -> Protocol:
    """A protocol by name. Raises UserError for an unknown one."""
    if name not in PROTOCOLS:
        raise UserError(f"protocol {name!r} is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def luma(rgb: np.ndarray) -> np.ndarray:
    """Y rounded half up, uint8 [h, w, 1], of uint8 [h, w], [h, w, 1] or [h, w, 3]."""
    return np.floor(color.rgb_to_y(_three_channels(rgb)) + 0.5).astype(np.uint8)[..., None]


def score(
    sr: np.ndarray,
    hr: np.ndarray,
    scale: int,
    protocol: Protocol,
    wanted: tuple[str, ...] = ("psnr", "ssim"),
) -> dict[str, float]:
    """{metric: figure} of SR against HR, both uint8 [h, w], [h, w, 1] or [h, w, 3]; CT float32.

    wanted: some of METRICS. Raises ValueError when the shapes differ or are others, a picture is
    of another type, HR is not cropped to a multiple of the scale, or less is left inside the border
    than the metric's window.
    """
    _check(sr, hr, scale, np.dtype(np.float32 if protocol.source == "ct" else np.uint8))
    x, y = protocol.compared(sr, scale), protocol.compared(hr, scale)
    return {metric: METRICS[metric](x, y, protocol.data_range) for metric in wanted}


def _three_channels(image: np.ndarray) -> np.ndarray:
    image = image if image.ndim == 3 else image[..., None]
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _check(sr: np.ndarray, hr: np.ndarray, scale: int, dtype: np.dtype) -> None:
    if sr.shape != hr.shape:
        raise ValueError(f"SR is {list(sr.shape)}, but HR is {list(hr.shape)}")
    if hr.ndim not in (2, 3) or hr.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"expected [h, w], [h, w, 1] or [h, w, 3], not {list(hr.shape)}")
    if sr.dtype != dtype or hr.dtype != dtype:
        raise ValueError(f"expected {dtype}, but SR is {sr.dtype} and HR is {hr.dtype}")
    if hr.shape[0] % scale or hr.shape[1] % scale:
        raise ValueError(f"HR {list(hr.shape[:2])} is not cropped to a multiple of {scale}")
