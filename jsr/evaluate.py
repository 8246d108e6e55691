"""One evaluation: photographs are shrunk, enlarged by a method, and scored into rows."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jsr import color, protocols, resize, tables
from jsr.errors import UserError

# Enlarges a picture: (lr uint8 [h, w, 3], scale) -> uint8 [h*scale, w*scale, 3].
BASELINES: dict[str, Callable] = {
    name: partial(resize.imresize, method=method)
    for name, method in {"bicubic": "bicubic", "nearest": "nearest", "lanczos": "lanczos3"}.items()
}


def evaluation_pairs(photos, scale: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, lr, hr) of each photo: HR cropped to a multiple of the scale, LR made from it.

    Raises UserError for a photo that is smaller than the scale.
    """
    for name, photo in zip(photos.names, photos, strict=True):
        try:
            hr = resize.crop_to_multiple(photo, scale)
        except ValueError as error:
            raise UserError(f"{name} is too small for scale {scale}: {error}") from error
        yield name, resize.downscale(hr, scale), hr


def evaluate(
    name: str,
    enlarge: Callable[[np.ndarray], np.ndarray],
    photos,
    dataset: str,
    scale: int,
    protocol: str,
) -> dict:
    """The row of one method on one dataset, in the shape of the table's JSON.

    `enlarge` maps an LR picture (uint8 [h, w, 3]) to its SR (uint8). Beside PSNR and SSIM each
    image has `high_frequency`, the power of its Y above the LR image's Nyquist frequency. Raises
    UserError when the output has another size than HR, and for a photo too small to be scored.
    """
    rule = protocols.get_protocol(protocol)
    images = []
    for image, lr, hr in evaluation_pairs(photos, scale):
        sr = enlarge(lr)
        if sr.shape != hr.shape:
            raise UserError(f"{name} turned {image} into {sr.shape}, but HR is {hr.shape}")
        try:
            scores = protocols.score(sr, hr, scale, rule)
        except ValueError as error:
            raise UserError(f"{image} cannot be scored: {error}") from error
        power = high_frequency(color.rgb_to_y(sr), scale)
        images.append({"name": image, **scores, "high_frequency": power})
    return tables.mean_row(name, dataset, scale, rule.name, "symmetric", images)


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
