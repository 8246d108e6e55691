"""Ways to enlarge a picture: interpolation, filtering, back-projection, and networks."""

import dataclasses
import queue
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

from jsr import hounsfield, model_cost, resize, weights
from jsr.clips import ByClip, check_same_size, clip_name, list_clips
from jsr.errors import UserError
from jsr.protocols import Protocol
from jsr.scoring import Item, read_item

# Chosen on the training photographs among the embedded ones, at x2, x3 and x4: widths of 0.3 to
# 0.75 scales and amounts of 0.3 to 1; after ten iterations nothing changes by 0.001 dB.
UNSHARP_SIGMA, UNSHARP_AMOUNT = 0.5, 0.6
ITERATIONS = 10


def interpolate(lr: np.ndarray, scale: int, kernel: str) -> np.ndarray:
    """MATLAB's imresize: uint8 by uint8's rules (rounded between the passes), floats unrounded."""
    return resize.imresize(lr, scale=scale, method=kernel)


def unsharp(lr: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic, then unsharp masking: what a Gaussian takes away is added again in part.

    The Gaussian's sigma is half the scale in pixels of the result, the amount 0.6.
    """
    sr = resize.imresize(lr.astype(np.float64), scale=scale)
    sigma = UNSHARP_SIGMA * scale
    return sr + UNSHARP_AMOUNT * (sr - gaussian_filter(sr, (sigma, sigma, 0), mode="reflect"))


def back_project(
    lr: np.ndarray, scale: int, sr: np.ndarray | None = None, iterations: int = ITERATIONS
) -> np.ndarray:
    """Iterative back-projection (Irani and Peleg 1991, eq. 3): SR that shrinks to LR, float64.

    lr: [h, w, c] in 0..255. sr: where to start, of any size; bicubic if not given. What the shrunk
    SR lacks against LR is enlarged and added; both ways are bicubic.
    """
    lr = lr.astype(np.float64)
    sr = resize.imresize(lr, scale=scale) if sr is None else sr.astype(np.float64)
    for _ in range(iterations):
        missing = lr - resize.imresize(sr, shape=lr.shape[:2])
        sr = sr + resize.imresize(missing, shape=sr.shape[:2])
    return sr


# (lr, scale) -> sr; lr [h, w, c] uint8 or float in 0..255, sr of either kind.
CLASSICAL: dict[str, Callable] = {
    "bicubic": partial(interpolate, kernel="bicubic"),
    "nearest": partial(interpolate, kernel="nearest"),
    "bilinear": partial(interpolate, kernel="bilinear"),
    "lanczos": partial(interpolate, kernel="lanczos3"),
    "unsharp": unsharp,
    "back-projection": back_project,
}


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to enlarge: `enlarge(lr, scale)` takes uint8 or float64 [h, w, c] in 0..255.

    It returns uint8 [h * scale, w * scale, c], of CT (float32) float32 at whole HU; several threads
    may call. `facts`: what is known of a network ("scale", "channels", "protocol"); empty for the
    classical ways.
    `labels`: what tables say beside the figures ("weights", the hash; "parameters", ...).
    """

    name: str
    enlarge: Callable[[np.ndarray, int], np.ndarray]
    facts: dict = dataclasses.field(default_factory=dict)
    labels: dict = dataclasses.field(default_factory=dict)
    network: weights.Network | None = None

    def produce(self, item: Item) -> np.ndarray:
        """SR of an item, as `scoring.evaluate` asks for it."""
        return self.enlarge(item.lr, item.scale)

    def over(self, photos, protocol: Protocol, scale: int, lr: str) -> Callable:
        """`produce` for these photos; of a network of film an item's SR is out of its clip's.

        Raises UserError for a network of film that is to enlarge by another scale, in tiles or as
        a self-ensemble.
        """
        network = self.network
        if network is None or not network.takes_clips:
            return self.produce
        if scale != network.scale or self.labels.get("tile") or self.labels.get("ensemble"):
            raise UserError(
                f"{self.name} enlarges films by {network.scale}, each frame whole and as it is:"
                " leave out --tile and --ensemble"
            )

        for clip in list_clips(photos.names):
            name = clip_name(photos.names[clip.start]) or getattr(photos, "clip", "")
            if not name:
                raise UserError(
                    f"{self.name} enlarges films, and {photos.names[clip.start]} is in no clip's"
                    " folder: use a dataset of clips"
                )
            check_same_size(photos, clip, name)

        read = partial(read_item, photos, scale=scale, protocol=protocol, lr=lr)
        return ByClip(network.enlarge_clip, photos.names, read)


def classical(name: str) -> Method:
    """A classical way by name. Raises UserError for an unknown one."""
    if name not in CLASSICAL:
        raise UserError(f"baseline {name!r} is unknown; known: {', '.join(CLASSICAL)}")

    def enlarge(lr, scale):
        sr = CLASSICAL[name](lr, scale)
        if hounsfield.is_ct(lr):
            return hounsfield.round_levels(sr)
        return sr if sr.dtype == np.uint8 else resize.to_uint8(sr)

    return Method(name, enlarge)


def from_network(
    name: str,
    path: Path,
    network: weights.Network,
    devices: list | None = None,
    ensemble: bool = False,
    tile: int = 0,
) -> Method:
    """A network as a method; each picture is enlarged on one of `devices` (all, if not given).

    A picture's values so depend on no other picture and not on the number of devices. `ensemble`
    averages the outputs of the eight orientations (EDSR's x8); `tile` cuts LR into tiles of that
    side. Its `enlarge` raises UserError for a scale or channels that the network does not have.
    """
    idle: queue.SimpleQueue = queue.SimpleQueue()
    for device in devices or jax.local_devices():
        idle.put(network.on(device))

    def enlarge(lr, scale):
        if scale != network.scale:
            raise UserError(f"{path} enlarges by {network.scale}, not by {scale}")
        if lr.shape[-1] == 1 and network.channels != 1:
            raise UserError(
                f"{path} takes RGB, but the protocol is for networks of one channel: use another"
            )
        one = idle.get()
        try:
            sr = one.average(lr, tile) if ensemble else one.enlarge(lr, tile)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError(f"{path}: out of memory at this size; cut it by --tile 128") from error
        finally:
            idle.put(one)
        return weights.to_levels_of(lr, sr)

    labels = {
        "weights": weights.weights_hash(path),
        "parameters": model_cost.parameters(network.variables),
        "ensemble": ensemble,
        "tile": tile,
    }
    return Method(name, enlarge, network.facts, labels, network)
