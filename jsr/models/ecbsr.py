"""ECBSR, a plain chain of 3x3 convolutions that trains as sums of branches."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jsr.convolution import LAYOUT, conv_general_dilated
from jsr.models.layers import conv, enlarge, kaiming_normal, pixel_shuffle

# What the branches beside the two learnt convolutions take of their features: Sobel's and
# Laplace's operators. Each sums to zero.
EDGES = {
    "conv1x1_sbx": np.float32([[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
    "conv1x1_sby": np.float32([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]),
    "conv1x1_lpl": np.float32([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}


def merge(weights: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Kernel [out, in, 3, 3] and bias [out] of the one convolution that an ECB is.

    Zhang et al. 2021: convolutions in a row are one convolution, and so is a sum of convolutions.
    The features between a 1x1 and a 3x3 convolution are continued by the bias of the first, so
    that the equality holds at the borders of the picture too.
    """
    first, then = weights["conv1x1_3x3.k0"][:, :, 0, 0], weights["conv1x1_3x3.k1"]
    exact = lax.Precision.HIGHEST
    kernel = jnp.einsum("omyx,mi->oiyx", then, first, precision=exact) + weights["conv3x3.weight"]
    bias = jnp.einsum("omyx,m->o", then, weights["conv1x1_3x3.b0"], precision=exact)
    bias += weights["conv1x1_3x3.b1"] + weights["conv3x3.bias"]
    for name, edge in EDGES.items():
        # The 1x1 convolution's bias has no effect, for a constant has no edges.
        kernel += weights[f"{name}.scale"] * edge * weights[f"{name}.k0"]
        bias += weights[f"{name}.bias"]
    return kernel, bias


class ECB(nn.Module):
    """Edge-oriented convolution block: [b, h, w, c] to [b, h, w, features].

    The sum of a 3x3 convolution, of a 1x1 convolution to twice the features followed by a 3x3 one,
    and of three 1x1 convolutions followed by Sobel's two operators and Laplace's, each with a
    learnt scale a channel; then a PReLU, if `act`. The branches are merged before they are
    applied, in training too: values and gradients are those of the sum, at the cost of one.
    """

    features: int
    act: bool = True
    gain: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtype = self.dtype
        kernel, bias = merge(self._weights(x.shape[-1]))
        kernel = kernel.transpose(2, 3, 1, 0).astype(dtype)
        pad = ((1, 1), (1, 1))
        y = conv_general_dilated(x.astype(dtype), kernel, (1, 1), pad, dimension_numbers=LAYOUT)
        y = y + bias.astype(dtype)
        return _prelu(self, "act.weight", y) if self.act else y

    def _weights(self, c: int) -> dict[str, jax.Array]:
        f, half = self.features, math.sqrt(0.5)
        end, zeros = self.gain * half, nn.initializers.zeros
        # The two learnt branches share the variance of one convolution.
        shapes = {
            "conv3x3.weight": ((f, c, 3, 3), _kaiming(end)),
            "conv3x3.bias": ((f,), zeros),
            "conv1x1_3x3.k0": ((2 * f, c, 1, 1), _kaiming(half)),
            "conv1x1_3x3.b0": ((2 * f,), zeros),
            "conv1x1_3x3.k1": ((f, 2 * f, 3, 3), _kaiming(end)),
            "conv1x1_3x3.b1": ((f,), zeros),
        }
        for name in EDGES:
            shapes[f"{name}.k0"] = ((f, c, 1, 1), _kaiming(half))
            shapes[f"{name}.b0"] = ((f,), zeros)
            shapes[f"{name}.scale"] = ((f, 1, 1, 1), nn.initializers.normal(1e-3))
            shapes[f"{name}.bias"] = ((f,), zeros)
        return {
            name: self.param(name, initialise, shape, jnp.float32)
            for name, (shape, initialise) in shapes.items()
        }


class ECBSR(nn.Module):
    """Edge-oriented convolution network, Zhang et al. 2021 (ACM Multimedia), as it trains.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped; the
    chain corrects the enlargement by repetition. The paper's networks have c = 1, the studio-range
    Y of MATLAB's rgb2ycbcr divided by 255; those of ETDS (Chao et al. 2023) have c = 3. The paper
    names its networks M<blocks>C<features>. For use, `fold` makes a PlainECBSR of it.
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 16
    blocks: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        x = lr
        for i in range(self.blocks + 1):
            x = self._layer(x, i, self.features, last=False)
        x = self._layer(x, self.blocks + 1, lr.shape[-1] * self.scale**2, last=True)
        base = enlarge(lr.astype(jnp.float32), self.scale, "nearest")
        return base + pixel_shuffle(x, self.scale).astype(jnp.float32)

    def _layer(self, x: jax.Array, i: int, features: int, last: bool) -> jax.Array:
        gain = 0.1 if last else 1.0
        return ECB(features, not last, gain, dtype=self.dtype, name=f"backbone.{i}")(x)


class PlainECBSR(ECBSR):
    """ECBSR with each block folded into one 3x3 convolution, as it is used.

    11.55, 13.72 and 16.77 thousand parameters for M4C16 at x2, x3 and x4 and c = 3; 2.64, 3.14 and
    3.83 G multiply-adds for an LR of 640x360 (Chao et al. 2023, Table 2).
    """

    def _layer(self, x: jax.Array, i: int, features: int, last: bool) -> jax.Array:
        gain = 0.1 if last else 1.0
        y = conv(features, gain=gain, dtype=self.dtype, name=f"backbone.{i}.0")(x)
        return y if last else _prelu(self, f"backbone.{i}.1.weight", y)


def fold(variables: Mapping) -> dict:
    """The variables of the PlainECBSR that computes what an ECBSR with `variables` does."""
    plain = {}
    for name, weights in variables["params"].items():
        kernel, bias = merge(weights)
        plain[f"{name}.0"] = {"kernel": kernel.transpose(2, 3, 1, 0), "bias": bias}
        if "act.weight" in weights:
            plain[f"{name}.1.weight"] = weights["act.weight"]
    return {**variables, "params": plain}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no ECBSR.

    The folded network is "ecbsr_plain".
    """
    for model, kernel, act in (
        ("ecbsr", "conv3x3.weight", "act.weight"),
        ("ecbsr_plain", "0.weight", "1.weight"),
    ):
        count = sum(name.endswith(f".{kernel}") for name in shapes)
        layers = [shapes.get(f"backbone.{i}.{kernel}", ()) for i in range(count)]
        acts = [f"backbone.{i}.{act}" in shapes for i in range(count)]
        if count > 2 and acts == [True] * (count - 1) + [False] and _chained(layers):
            scale = math.isqrt(layers[-1][0] // layers[0][1])
            hparams = {"scale": scale, "features": layers[0][0], "blocks": count - 2}
            return {"model": model, "hparams": hparams}
    return None


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the edge operators, once a channel."""
    scales = [name for name in state if name.rpartition(".")[0].endswith(tuple(EDGES))]
    scales = [name for name in scales if name.endswith(".scale")]
    return {
        name.removesuffix("scale") + "mask": np.tile(
            EDGES[name.split(".")[-2]], (len(state[name]), 1, 1, 1)
        )
        for name in scales
    }


def _chained(kernels: list[tuple[int, ...]]) -> bool:
    """Whether these are 3x3 convolutions of which each takes what the one before it makes."""
    square = all(k[2:] == (3, 3) for k in kernels)
    return square and all(a[0] == b[1] for a, b in itertools.pairwise(kernels))


def _prelu(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
    alpha = module.param(name, nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
    return jnp.where(x >= 0, x, alpha.astype(x.dtype) * x)


def _kaiming(gain: float) -> Any:
    """`kaiming_normal` for PyTorch's order of axes."""

    def initialise(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        return kaiming_normal(gain)(key, (*shape[2:], *shape[1::-1]), dtype).transpose(3, 2, 0, 1)

    return initialise
