"""What a network leaves out by chance in training: whole branches, or channels of its features.

Draws are from the rng `dropout`, which the training steps give; at a rate of 0, and outside of
training, nothing is drawn.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


def stochastic_depth(x: jax.Array, rate: float | jax.Array, train: bool) -> jax.Array:
    """A branch [b, h, w, c], which in training is left out by chance (Huang et al. 2016).

    For each example on its own; what stays is divided by its share, 1 - rate. The rate may be
    traced.
    """
    if not train or (not isinstance(rate, jax.Array) and rate == 0):
        return x
    return _Depth(rate)(x)


class _Depth(nn.Module):
    """`nn.Dropout` compares its rate, which a traced one cannot be."""

    rate: float | jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (len(x), 1, 1, 1)
        stays = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.rate, shape)
        return jnp.where(stays, x / jnp.asarray(1 - self.rate, x.dtype), 0)


def drop_rates(rate: float, groups: int, blocks: int) -> list[list[float]]:
    """The blocks' rates by group, rising evenly from 0 in the first to `rate` in the last."""
    return np.linspace(0.0, rate, groups * blocks).reshape(groups, blocks).tolist()


def drop_channels(x: jax.Array, rate: float, train: bool) -> jax.Array:
    """[b, h, w, c] with channels left out by chance in training, each example's on its own.

    Before the last convolution it helps networks for super-resolution, which dropout elsewhere
    harms (Kong et al. 2022, Reflash Dropout). What stays is divided by 1 - rate.
    """
    if not train or rate == 0:
        return x
    return nn.Dropout(rate, broadcast_dims=(1, 2))(x, deterministic=False)
