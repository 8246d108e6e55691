"""NIQE: how far the statistics of a picture's patches lie from those of good photographs.

Mittal, Soundararajan and Bovik 2013, "Making a completely blind image quality analyzer", IEEE
Signal Processing Letters 20(3). No reference picture is needed, only a model of good photographs;
lower is better. jsr ships no published model. It fits one of its own (`own_fit`), whose figures
compare among themselves alone: they are printed as `LABEL`. `load_model` reads the published one.

What the paper leaves open is done as in the authors' MATLAB release, but for two things:

- The luma is Y, rounded, as MATLAB's rgb2ycbcr gives it for uint8. Super-resolution papers (PIRM
  2018 and after) measure that; the release itself would turn colours to gray by rgb2gray.
- Where a picture is flat, the difference from its local mean is 0. In the release it is a rounding
  error whose sign counts, so that its figures of pictures with flat parts (clipped skies, charts)
  vary with the machine; and a patch without features, left out here, enters some of its means.
  Of other pictures both give the same figure.
"""

import functools
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.ndimage import correlate1d
from scipy.special import gamma

from jsr.color import rgb_to_y
from jsr.datasets import open_photos
from jsr.errors import UserError
from jsr.resize import imresize

LABEL = "NIQE (own fit)"
PATCH = 96  # pixels a side at the first scale, half of it at the second
FEATURES = 36
WINDOW, SIGMA = 7, 7.0 / 6.0
# Of the sharpness of a photograph's sharpest patch: patches above it are fitted.
SHARP = 0.75

_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns to the right
# MATLAB's names, and BasicSR's for the same arrays.
_MEAN_KEYS = ("mu_prisparam", "mu_pris_param")
_COVARIANCE_KEYS = ("cov_prisparam", "cov_pris_param")
# Shapes of a generalised Gaussian, and (mean |x|)^2 / mean x^2 of each, which rises with the shape.
_SHAPES = np.arange(200, 10001) / 1000.0
_RATIOS = gamma(2.0 / _SHAPES) ** 2 / (gamma(1.0 / _SHAPES) * gamma(3.0 / _SHAPES))
_BETWEEN = (_RATIOS[1:] + _RATIOS[:-1]) / 2.0


@dataclass(frozen=True, eq=False)
class NiqeModel:
    """A Gaussian of patch features: float64 mean [36] and covariance [36, 36]."""

    mean: np.ndarray
    covariance: np.ndarray


def niqe(image: np.ndarray, model: NiqeModel) -> float:
    """NIQE of a picture, uint8 [h, w, 3]: the distance of its patches' Gaussian from the model's.

    Read are the whole patches from the top left corner on. Flat patches (NaN features) are left
    out; nan when all are. The covariance of a single patch is zero. Raises ValueError for another
    type or shape, and for sides under 96 pixels.
    """
    rows, _ = features(_luma(image))
    rows = _complete(rows)
    return _distance(_gaussian(rows), model) if len(rows) else float("nan")


def features(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features [patches, 36] and sharpness [patches] of a luma [h, w] in 0..255, row by row.

    Of each scale: shape and scale of the normalised luma, then shape, mean, left and right scale
    of its products with the neighbours left, above, above left and above right, around the
    patch's edges. Sharpness is the mean local deviation, in levels. A flat patch has NaN. Raises
    ValueError for another shape and for sides under 96 pixels.
    """
    y = _whole_patches(np.asarray(y, np.float64))
    normalised, deviation = _normalise(y)
    half, _ = _normalise(imresize(y, scale=0.5))
    scales = (_features(_cut(normalised, PATCH)), _features(_cut(half, PATCH // 2)))
    return np.hstack(scales), _cut(deviation, PATCH).mean(axis=(1, 2))


def fit(photos: Iterable[np.ndarray]) -> NiqeModel:
    """Fit a model on the sharp patches of good photographs, uint8 [h, w, 3] or Y [h, w] floats.

    Sharp is a patch above 0.75 of the sharpest in its photograph. Raises ValueError for other
    shapes, sides under 96 pixels, and when there are fewer than 37 such patches: their covariance
    would be singular.
    """
    rows = np.concatenate([np.empty((0, FEATURES)), *(_sharp(photo) for photo in photos)])
    if len(rows) <= FEATURES:
        raise ValueError(f"too few sharp patches to fit: {len(rows)}; {FEATURES + 1} are needed")
    return _gaussian(rows)


@functools.cache
def own_fit() -> NiqeModel:
    """The model that comes with jsr, fitted on the training split of the sample photographs.

    188 patches of 11 photographs, against the 125 photographs of the published model: figures are
    not comparable with published ones, hence `LABEL`. Takes about a second, once in a process.
    Raises UserError when the sample photographs cannot be opened.
    """
    photos = open_photos("sample_photos", "train", None)
    return fit(photos[i] for i in range(len(photos)))


def load_model(path: Path) -> NiqeModel:
    """Read a published model: modelparameters.mat of the authors' release, or BasicSR's .npz of it.

    Raises UserError for a file that is missing, damaged or holds something else.
    """
    arrays = _read_arrays(path)
    mean, covariance = (_pick(arrays, keys) for keys in (_MEAN_KEYS, _COVARIANCE_KEYS))
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        names = f"{_MEAN_KEYS[0]} [{FEATURES}] and {_COVARIANCE_KEYS[0]} [{FEATURES}, {FEATURES}]"
        raise UserError(f"{path}: holds no NIQE model; expected {names}, as numbers")
    if not (np.isfinite(mean).all() and np.allclose(covariance, covariance.T)):
        raise UserError(
            f"{path}: is damaged: what it holds is no mean and covariance; copy it again"
        )
    return NiqeModel(mean.ravel(), covariance)


def _luma(photo: np.ndarray) -> np.ndarray:
    if photo.dtype != np.uint8 or photo.ndim != 3:
        raise ValueError(f"NIQE takes uint8 [h, w, 3], not {photo.dtype} {list(photo.shape)}")
    return np.floor(rgb_to_y(photo) + 0.5)


def _whole_patches(y: np.ndarray) -> np.ndarray:
    if y.ndim != 2:
        raise ValueError(f"a luma is [h, w], not {list(y.shape)}")
    if min(y.shape) < PATCH:
        raise ValueError(f"NIQE needs sides of {PATCH} pixels or more, not {list(y.shape)}")
    height, width = (side - side % PATCH for side in y.shape)
    return y[:height, :width]


def _normalise(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The luma less its local mean, over its local deviation plus 1; and that deviation."""
    mean = _blur(y)
    deviation = np.sqrt(np.abs(_blur(y * y) - mean * mean))
    # Nine decimals: rounding errors of flat parts become 0, all else stays.
    return np.round(y - mean, 9) / (deviation + 1.0), deviation


def _blur(image: np.ndarray) -> np.ndarray:
    x = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(x**2) / (2.0 * SIGMA**2))
    weights /= weights.sum()
    image = correlate1d(image, weights, axis=0, mode="nearest")
    return correlate1d(image, weights, axis=1, mode="nearest")


def _cut(image: np.ndarray, side: int) -> np.ndarray:
    """[h, w] to [patches, side, side], row by row."""
    height, width = image.shape
    grid = image.reshape(height // side, side, width // side, side)
    return grid.swapaxes(1, 2).reshape(-1, side, side)


def _features(patches: np.ndarray) -> np.ndarray:
    """[patches, 18] of one scale."""
    shape, left, right = _fit_asymmetric(patches)
    columns = [shape, (left + right) / 2.0]
    for shift in _SHIFTS:
        shape, left, right = _fit_asymmetric(patches * np.roll(patches, shift, axis=(1, 2)))
        mean = (right - left) * gamma(2.0 / shape) / gamma(1.0 / shape)
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def _fit_asymmetric(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape, left and right scale [patches] of asymmetric generalised Gaussians, by their moments.

    Lasmar, Stitou and Berthoumieu 2009. Scales are NaN where no value lies on their side of 0.
    """
    above = np.maximum(patches, 0.0)
    below = above - patches
    size = patches[0].size
    squares = [np.einsum("nij,nij->n", side, side) for side in (below, above)]
    counts = [np.count_nonzero(side, axis=(1, 2)) for side in (below, above)]
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (np.sqrt(s / count) for s, count in zip(squares, counts, strict=True))
        ratio = ((above + below).sum(axis=(1, 2)) / size) ** 2 / (sum(squares) / size)
        skew = left / right
        ratio *= (skew**3 + 1.0) * (skew + 1.0) / (skew**2 + 1.0) ** 2
    shape = _SHAPES[np.searchsorted(_BETWEEN, ratio)]
    scale = np.sqrt(gamma(1.0 / shape) / gamma(3.0 / shape))
    return shape, left * scale, right * scale


def _sharp(photo: np.ndarray) -> np.ndarray:
    rows, sharpness = features(photo if photo.ndim == 2 else _luma(photo))
    return _complete(rows[sharpness > SHARP * sharpness.max()])


def _complete(rows: np.ndarray) -> np.ndarray:
    return rows[~np.isnan(rows).any(axis=1)]


def _gaussian(rows: np.ndarray) -> NiqeModel:
    single = len(rows) == 1
    covariance = np.zeros((FEATURES, FEATURES)) if single else np.cov(rows, rowvar=False)
    return NiqeModel(rows.mean(axis=0), covariance)


def _distance(a: NiqeModel, b: NiqeModel) -> float:
    """The paper's eq. 10, with the tolerance of MATLAB's pinv."""
    apart = a.mean - b.mean
    pooled = (a.covariance + b.covariance) / 2.0
    inverse = np.linalg.pinv(pooled, rtol=FEATURES * np.finfo(np.float64).eps, hermitian=True)
    return float(np.sqrt(max(apart @ inverse @ apart, 0.0)))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        stream = BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    try:
        if not zipfile.is_zipfile(stream):
            return loadmat(stream, variable_names=_MEAN_KEYS + _COVARIANCE_KEYS)
        with np.load(stream) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"{path}: is damaged, or neither .mat nor .npz ({error})") from error


def _pick(arrays: dict[str, np.ndarray], keys: tuple[str, str]) -> np.ndarray:
    """The array of one of the names, float64; empty where there is none, or none of numbers."""
    found = np.asarray(next((arrays[key] for key in keys if key in arrays), ()))
    return found.astype(np.float64) if found.dtype.kind in "iuf" else np.empty(0)
