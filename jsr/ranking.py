"""Pictures as vectors, a gallery ranked by them, and how good a ranking is."""

from collections.abc import Callable, Iterable

import jax
import numpy as np
from skimage.feature import hog

from jsr import feature_weights, perceptual
from jsr.errors import UserError
from jsr.resize import imresize, to_uint8

# Side of what the handmade features see.
SIDE = 128
HANDMADE = "hog"
# Side of what a network sees. VGG16's multiply-adds at ImageNet's 224 are 15 G a picture, 20 times
# AlexNet's; at half the side a quarter of them.
NETWORKS = {"alexnet": 224, "vgg16": 112}
# Levels of each colour in the histogram, and cells of the picture on a side that have one each.
LEVELS, CELLS = 4, 2
RESAMPLES = 2000

# Pictures uint8 [h, w, 3], one after the other, to unit vectors float32 [n, d].
Features = Callable[[Iterable[np.ndarray]], np.ndarray]


def make_vectors(name: str, path: str | None = None) -> Features:
    """The features by name: `hog` (with colour histograms), `alexnet` or `vgg16`.

    path: the file of the network's weights, where it is not in the cache. Raises UserError for an
    unknown name and where the weights are not there.
    """
    if name == HANDMADE:
        return lambda pictures: np.stack([_handmade(picture) for picture in pictures])
    if name not in NETWORKS:
        raise UserError(f"features {name!r} are unknown; known: {HANDMADE}, {', '.join(NETWORKS)}")
    params = feature_weights.load_features(name, path)
    if params is None:
        raise UserError(
            f"no weights of {name} here: give their file by --features_file, get them once with"
            f" python -m jsr.weights fetch {name}, or use --features {HANDMADE}"
        )
    features = jax.jit(perceptual.make_features(name, ["pool5"]))
    shape = (NETWORKS[name], NETWORKS[name])
    return lambda pictures: np.stack([_deep(features, params, each, shape) for each in pictures])


def rank(queries: np.ndarray, gallery: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each query's target [n] among the gallery, by the cosine of vectors.

    What is as near as the target counts as nearer.
    """
    nearness = queries @ gallery.T
    own = nearness[np.arange(len(queries)), targets]
    return (nearness >= own[:, None]).sum(axis=1)


def first(queries: np.ndarray, gallery: np.ndarray, count: int) -> np.ndarray:
    """The indices [n, count] of what is nearest to each query in the gallery, in order."""
    return np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :count]


def figures(ranks: np.ndarray) -> dict[str, np.ndarray]:
    """Each query's part [n] in recall@1, recall@5 and mAP.

    Each query has one right answer: its average precision is 1 / rank.
    """
    return {
        "recall@1": (ranks <= 1).astype(float),
        "recall@5": (ranks <= 5).astype(float),
        "mAP": 1.0 / ranks,
    }


def interval(values: np.ndarray, seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The 95 % interval of the mean of `values` [n] by the bootstrap's percentiles (Efron 1979)."""
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _handmade(picture: np.ndarray) -> np.ndarray:
    """HOG (Dalal and Triggs 2005) beside histograms of colours, as much of either."""
    small = to_uint8(imresize(picture.astype(np.float64), shape=(SIDE, SIDE)))
    gradients = hog(small.mean(axis=-1), 9, (16, 16), (2, 2), "L2-Hys")
    cell = SIDE // CELLS
    levels = small.astype(np.int64) * LEVELS // 256
    bins = levels @ np.array([LEVELS * LEVELS, LEVELS, 1])
    counts = [
        np.bincount(bins[top : top + cell, left : left + cell].ravel(), minlength=LEVELS**3)
        for top in range(0, SIDE, cell)
        for left in range(0, SIDE, cell)
    ]
    # Roots: their cosine is the Bhattacharyya coefficient of the histograms.
    colours = np.sqrt(np.concatenate(counts))
    return _unit(np.concatenate([_unit(gradients), _unit(colours)]))


def _deep(features, params, picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    image = imresize(picture.astype(np.float64), shape=shape).clip(0, 255) / 255
    return _unit(np.asarray(features(params, image[None].astype(np.float32))["pool5"]).ravel())


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)
