"""Batches mixed inside a step: colours exchanged, two examples blended, HR cut into the input.

What happens to example `index` of the batch of `step` is a function of (seed, step, index), as its
crop is, whatever the devices.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jsr.errors import UserError
from jsr.models.layers import pixel_unshuffle
from jsr.pipeline import random_words
from jsr.steps import AXIS

# The streams of `random_words` after those of the pipeline.
BLENDS, CUTS = 2, 3
ORDERS = np.array(list(itertools.permutations(range(3))))
# Sides of what is cut out, in sides of the patch (as in the code of Yoo et al. 2020).
CUT = 0.7


class Draws(NamedTuple):
    """Arrays of the examples' shape: numbers in [0, 1), but `order` in 0..5 and `inverted`."""

    permute: Any
    order: Any
    mixup: Any
    weight: Any
    cutblur: Any
    top: Any
    left: Any
    inverted: Any


def draw_mixture(seed, step, index) -> Draws:
    """What is drawn for example `index` of the batch of `step`; NumPy and jax.numpy agree."""
    permute, order, mixup, weight = random_words(seed, step, index, BLENDS)
    cutblur, top, left, inverted = random_words(seed, step, index, CUTS)
    units = (_unit(word) for word in (permute, mixup, weight, cutblur, top, left))
    permute, mixup, weight, cutblur, top, left = units
    orders = order % np.uint32(len(ORDERS))
    return Draws(permute, orders, mixup, weight, cutblur, top, left, inverted >> 31 == 1)


def make_mixture(seed: int, permute: float, mixup: float, cutblur: float) -> Callable:
    """`mix(batch, step) -> batch`, for a device's float batch inside a step; shares of examples.

    - permute: the three colours change places, the same way in LR and HR.
    - mixup: LR and HR are blended with those of a neighbour in the batch, by the same weight,
      uniform in 0..1 (Zhang et al. 2018, eq. 1, with alpha 1). The examples come in pairs.
    - cutblur: adds "input" [b, h, w, c, s**2], LR enlarged to HR's size by nearest neighbour with
      HR in a rectangle or outside of it (Yoo et al. 2020, eq. 1), for every example; the others'
      is LR alone.
    """
    if not (permute or mixup or cutblur):
        return lambda batch, step: batch

    def mix(batch: dict, step: jax.Array) -> dict:
        share = batch["lr"].shape[0]
        first = lax.axis_index(AXIS) * share
        drawn = draw_mixture(seed, step, first + jnp.arange(share))
        if permute:
            order = jnp.where(drawn.permute < permute, drawn.order, 0)
            batch = {name: _reorder(x, order) for name, x in batch.items()}
        if mixup:
            weight = jnp.where(drawn.mixup < mixup, drawn.weight, 1.0)
            batch = {name: _blend(x, weight) for name, x in batch.items()}
        return with_cutblur(batch, drawn, cutblur) if cutblur else batch

    return mix


def check_pairs(mixup: float, share: int) -> None:
    """Raise UserError where mixup would leave one of a device's `share` examples alone."""
    if mixup and share % 2:
        raise UserError(
            f"data.mixup blends the examples of a device two by two, and there are {share}:"
            " choose data.batch_size so that each device takes an even number"
        )


def with_cutblur(batch: dict, drawn: Draws, rate: float) -> dict:
    """`batch` with "input", in which this share of the examples has parts of HR."""
    lr, hr = batch["lr"], batch["hr"]
    height, width = hr.shape[1:3]
    scale = height // lr.shape[1]
    rows, columns = _inside(drawn.top, height), _inside(drawn.left, width)
    cut = rows[:, :, None] & columns[:, None, :]  # [b, h * s, w * s]
    cut = (cut ^ drawn.inverted[:, None, None]) & (drawn.cutblur < rate)[:, None, None]
    picture = jnp.where(cut[..., None], hr, lr.repeat(scale, 1).repeat(scale, 2))
    pixels = pixel_unshuffle(picture, scale)
    return {**batch, "input": pixels.reshape(*lr.shape, scale**2)}


def _inside(place: jax.Array, size: int) -> jax.Array:
    """[b, size]: the pixels of a part of CUT times the size that begins at `place` of the rest."""
    cut = int(CUT * size)
    start = (place * (size - cut + 1)).astype(jnp.int32)[:, None]
    pixels = jnp.arange(size)
    return (pixels >= start) & (pixels < start + cut)


def _unit(word):
    """Words as float32 in [0, 1), of their first 24 bits."""
    return (word >> 8).astype(np.float32) * np.float32(2**-24)


def _reorder(x: jax.Array, order: jax.Array) -> jax.Array:
    return jax.vmap(lambda one, colours: one[..., colours])(x, jnp.asarray(ORDERS)[order])


def _blend(x: jax.Array, weight: jax.Array) -> jax.Array:
    other = x.reshape(-1, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)
    weight = weight.reshape(-1, *[1] * (x.ndim - 1))
    return weight * x + (1.0 - weight) * other
