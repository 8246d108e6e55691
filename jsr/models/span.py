"""SPAN: a few convolutions whose outputs weigh themselves, re-parameterised."""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jsr.models.layers import TORCH_GAIN, Scale, conv, mean_colour, pixel_shuffle

# The branches of a convolution in training: kernel, then how many times wider at both ends.
_BRANCHES = {"sk": (1, 1, 1), "conv.0": (1, 1, 2), "conv.1": (3, 2, 2), "conv.2": (1, 2, 1)}
_CONV = re.compile(r"((?:conv_[12]|block_[1-6]\.c[123]_r)\.)(sk|conv\.[012]|eval_conv)\.(\w+)")
_NAMES = re.compile(_CONV.pattern + r"|(conv_cat|upsampler\.0)\.(weight|bias)|no_norm")


class Conv3XC(nn.Module):
    """A 3x3 convolution: a 1x1, a 3x3 and a 1x1 in a row, and a 1x1 beside them.

    [b, h, w, c] to [b, h, w, features]; Wan et al. 2024. No activation lies between, so that they
    are one kernel. It is multiplied out at every call, in training too: values and gradients are
    those of the branches at a quarter of their multiply-adds. The form "single" keeps nothing but
    that kernel, `eval_conv`.
    """

    features: int
    form: Literal["branches", "single"]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.form == "single":
            return conv(self.features, gain=TORCH_GAIN, dtype=self.dtype, name="eval_conv")(x)
        branches = {name: self._branch(name, x.shape[-1]) for name in _BRANCHES}
        kernel, bias = (array.astype(self.dtype) for array in merge(branches))
        layout = ("NHWC", "OIHW", "NHWC")
        y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
        return y + bias

    def _branch(self, name: str, channels: int) -> tuple[jax.Array, jax.Array]:
        size, wide_in, wide_out = _BRANCHES[name]
        n = self.features * wide_out if name != "conv.0" else channels * wide_out
        m = channels * wide_in if name != "conv.2" else self.features * wide_in
        start = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", 1, 0)
        weight = self.param(f"{name}.weight", start, (n, m, size, size), jnp.float32)
        return weight, self.param(f"{name}.bias", nn.initializers.zeros, (n,), jnp.float32)


class SPAN(nn.Module):
    """Swift parameter-free attention network (Wan et al. 2024, NTIRE workshop).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    Six blocks, each of three convolutions with SiLU; the last one's output, through a sigmoid
    made odd, weighs its sum with the block's input. `form="branches"` is what is trained and what
    published files hold; `reparameterise` turns its state dict into that of `form="single"`.
    `norm=False` leaves the input as it is (networks trained with neosr and traiNNer).

    The released x4 has 48 features, 426,288 parameters in the single form (from its code). With
    28 it is the baseline of NTIRE 2026's challenge on efficient SR: 0.151 M parameters and 9.83 G
    multiply-adds for 256x256.
    """

    scale: Scale = 4
    features: int = 48
    form: Literal["branches", "single"] = "branches"
    norm: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, c = self.features, lr.shape[-1]
        x = self._normalise(lr).astype(self.dtype)
        head = x = self._conv("conv_1")(x)
        outputs = []
        for i in range(1, 7):
            x, inner = self._block(x, f"block_{i}")
            outputs.append(x)
        # The sixth block's `inner` is activated: the original's SiLU overwrites what it is given.
        parts = [head, self._conv("conv_2")(x), outputs[0], inner]
        shared = {"gain": TORCH_GAIN, "dtype": self.dtype}
        x = conv(f, 1, **shared, name="conv_cat")(jnp.concatenate(parts, -1))
        x = conv(c * self.scale**2, **shared, name="upsampler.0")(x)
        return pixel_shuffle(x, self.scale).astype(jnp.float32)

    def _normalise(self, lr: jax.Array) -> jax.Array:
        if self.norm:
            return (lr - mean_colour(lr.shape[-1])) * 255.0
        # The mark by which other programs know such a file.
        self.param("no_norm", nn.initializers.zeros, (1,), jnp.float32)
        return lr

    def _block(self, x: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
        """The block's output, and its first convolution's after the activation."""
        inner = nn.silu(self._conv(f"{name}.c1_r")(x))
        y = nn.silu(self._conv(f"{name}.c2_r")(inner))
        y = self._conv(f"{name}.c3_r")(y)
        return (y + x) * (nn.sigmoid(y) - 0.5), inner

    def _conv(self, name: str) -> Conv3XC:
        return Conv3XC(self.features, self.form, self.dtype, name=name)


def merge(branches: Mapping[str, tuple[jax.Array, jax.Array]]) -> tuple[jax.Array, jax.Array]:
    """The 3x3 kernel [out, in, 3, 3] and bias [out] that the branches amount to.

    Zeros surround the branches' input, not what lies between them: the first bias counts in full
    at the border as well.
    """
    (skip, skip_bias), (w0, b0), (w1, b1), (w2, b2) = (branches[name] for name in _BRANCHES)
    w0, w2, exact = w0[..., 0, 0], w2[..., 0, 0], {"precision": lax.Precision.HIGHEST}
    kernel = jnp.einsum("on,nmyx,mi->oiyx", w2, w1, w0, **exact)
    kernel = kernel + jnp.pad(skip, ((0, 0), (0, 0), (1, 1), (1, 1)))
    bias = b1 + jnp.einsum("nmyx,m->n", w1, b0, **exact)
    return kernel, jnp.matmul(w2, bias, **exact) + b2 + skip_bias


def reparameterise(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict of `form="single"` from that of `form="branches"`."""
    single = {name: array for name, array in state.items() if not _CONV.fullmatch(name)}
    for prefix in {match[1] for match in map(_CONV.fullmatch, state) if match}:
        branches = {
            name: tuple(jnp.asarray(state[f"{prefix}{name}.{leaf}"]) for leaf in ("weight", "bias"))
            for name in _BRANCHES
        }
        kernel, bias = merge(branches)
        single[prefix + "eval_conv.weight"] = np.asarray(kernel)
        single[prefix + "eval_conv.bias"] = np.asarray(bias)
    return single


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the merged kernels."""
    if module.form == "single":
        return {}
    return {n: array for n, array in reparameterise(state).items() if ".eval_conv." in n}


def canonical(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict without the merged kernels, where it has the branches.

    Published files hold both; the original merges anew at every use, whatever the file says.
    """
    if "conv_1.sk.weight" not in state:
        return dict(state)
    return {name: value for name, value in state.items() if ".eval_conv." not in name}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family.
    """
    branches = "conv_1.sk.weight" in shapes
    first = shapes.get("conv_1.sk.weight") or shapes.get("conv_1.eval_conv.weight")
    last = shapes.get("upsampler.0.weight")
    if None in (first, last, shapes.get("conv_cat.weight")):
        return None
    if not all(map(_NAMES.fullmatch, shapes)):
        return None
    hparams = {
        "scale": math.isqrt(last[0] // first[1]),
        "features": first[0],
        "form": "branches" if branches else "single",
        "norm": "no_norm" not in shapes,
    }
    return {"model": "span", "hparams": hparams}
