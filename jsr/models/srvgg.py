"""SRVGGNetCompact, the small networks of Real-ESRGAN."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, Scale, conv, enlarge, pixel_shuffle


class SRVGGNetCompact(nn.Module):
    """A plain row of convolutions at LR size that corrects the nearest-neighbour enlargement.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    `convs` counts those between the first and the last. Published with Real-ESRGAN (Wang et al.
    2021) after the paper. `realesr-animevideov3` (x4, 16): 621,424 parameters, which its users
    print as 621 K; `realesr-general-x4v3` (x4, 32): 1,213,296 (1.21 M). Multiply-adds are not
    published: 35.7 G and 69.7 G at 320x180.
    """

    scale: Scale = 4
    features: int = 64
    convs: int = 16
    activation: Literal["prelu", "relu", "leakyrelu"] = "prelu"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        shared = {"gain": TORCH_GAIN, "dtype": self.dtype}
        x = lr
        for i in range(self.convs + 1):
            x = conv(self.features, **shared, name=f"body.{2 * i}")(x)
            x = self._activate(x, f"body.{2 * i + 1}")
        last = f"body.{2 * self.convs + 2}"
        x = conv(lr.shape[-1] * self.scale**2, **shared, name=last)(x)
        base = enlarge(lr.astype(jnp.float32), self.scale, "nearest")
        return pixel_shuffle(x, self.scale).astype(jnp.float32) + base

    def _activate(self, x: jax.Array, name: str) -> jax.Array:
        if self.activation != "prelu":
            return nn.leaky_relu(x, 0.0 if self.activation == "relu" else 0.1)
        start = nn.initializers.constant(0.25)
        alpha = self.param(f"{name}.weight", start, (self.features,), jnp.float32)
        return jnp.where(x >= 0, x, alpha.astype(x.dtype) * x)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. Without PReLU it is taken for the ReLU variant: leaky ReLU leaves no
    trace in a file either, and neither variant has been published.
    """
    places = [re.fullmatch(r"body\.(\d+)\.(weight|bias)", name) for name in shapes]
    if not places or None in places:
        return None
    convs, others = _sorted_places(shapes)
    last = 2 * len(convs) - 2
    prelu = bool(others)
    if convs != list(range(0, last + 1, 2)) or others != list(range(1, last, 2)) * prelu:
        return None
    kernels = [shapes[f"body.{k}.weight"] for k in convs]
    if any(a[0] != b[1] or b[2:] != (3, 3) for a, b in itertools.pairwise(kernels)):
        return None
    scale = math.isqrt(kernels[-1][0] // kernels[0][1])
    hparams = {"scale": scale, "features": kernels[0][0], "convs": len(convs) - 2}
    return {"model": "srvgg", "hparams": {**hparams, "activation": "prelu" if prelu else "relu"}}


def ncnn_names(kinds: Sequence[str]) -> list[str] | None:
    """PyTorch's names of the layers with weights of an ncnn network, of the given kinds.

    None for another family.
    """
    rows = ["Convolution", "PReLU"] * (len(kinds) // 2) + ["Convolution"]
    return [f"body.{i}" for i in range(len(kinds))] if list(kinds) == rows else None


def _sorted_places(shapes: Mapping[str, tuple[int, ...]]) -> tuple[list[int], list[int]]:
    """Where in the row the convolutions are, and where the PReLUs."""
    weights = {int(n.split(".")[1]): len(s) for n, s in shapes.items() if n.endswith("weight")}
    return (
        sorted(k for k, rank in weights.items() if rank == 4),
        sorted(k for k, rank in weights.items() if rank == 1),
    )
