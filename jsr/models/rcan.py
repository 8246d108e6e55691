"""RCAN, a very deep residual network with channel attention."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.edsr import RANGE, mean_shifts, without_mean_shifts
from jsr.models.layers import (
    STAGES,
    TORCH_GAIN,
    conv,
    mean_colour,
    sub_pixel_scale,
    sub_pixel_stages,
)
from jsr.models.remat import rematerialised
from jsr.models.tails import apply_tail

_BLOCK = "body.0.body.0.body.0.weight"
_NAMES = re.compile(
    r"(head\.0|body\.\d+(\.body\.\d+(\.body\.([02]|3\.conv_du\.[02]))?)?|tail\.(0\.[024]|1))"
    r"\.(weight|bias)"
)
# BasicSR's names of what lies in a group.
_BASICSR = (
    (r"residual_group\.(\d+)\.rcab\.3\.attention\.1", r"body.\1.body.3.conv_du.0"),
    (r"residual_group\.(\d+)\.rcab\.3\.attention\.3", r"body.\1.body.3.conv_du.2"),
    (r"residual_group\.(\d+)\.rcab\.([02])", r"body.\1.body.\2"),
    ("^conv_first", "head.0"),
    ("^upsample", "tail.0"),
    ("^conv_last", "tail.1"),
)


class ChannelAttention(nn.Module):
    """[b, h, w, c] with each channel weighed by what the means of all say, in float32 at any dtype.

    Zhang et al. 2018, Fig. 3.
    """

    reduction: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, settings = x.shape[-1], {"gain": TORCH_GAIN, "dtype": self.dtype}
        y = x.mean((1, 2), keepdims=True, dtype=jnp.float32)
        y = nn.relu(conv(c // self.reduction, 1, **settings, name="conv_du.0")(y))
        return x * nn.sigmoid(conv(c, 1, **settings, name="conv_du.2")(y))


class RCAB(nn.Module):
    """A residual block that ends with channel attention; [b, h, w, c] kept.

    Zhang et al. 2018, Fig. 4.
    """

    reduction: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        settings = {"gain": TORCH_GAIN, "dtype": self.dtype}
        y = nn.relu(conv(x.shape[-1], **settings, name="body.0")(x))
        y = conv(x.shape[-1], **settings, name="body.2")(y)
        return x + ChannelAttention(self.reduction, self.dtype, name="body.3")(y)


class RCAN(nn.Module):
    """The residual channel attention network of Zhang et al. 2018 (ECCV), Fig. 2.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    15.44, 15.63 and 15.59 M parameters for x2, x3 and x4 (the authors, in a thread on their code).
    Counted here: 15.74 M for x8; 3,527 G, 1,588 G, 917 G and 264 G multiply-adds at the four scales
    for an SR of 1280x720.
    """

    scale: Literal[2, 3, 4, 8] = 4
    features: int = 64
    groups: int = 10
    blocks: int = 20
    reduction: int = 16
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        mean, settings = mean_colour(lr.shape[-1]), {"gain": TORCH_GAIN, "dtype": self.dtype}
        x = ((lr - mean) * RANGE).astype(self.dtype)
        head = x = conv(self.features, **settings, name="head.0")(x)
        for i in range(self.groups):
            x = self._group(x, f"body.{i}.body")
        x = head + conv(self.features, **settings, name=f"body.{self.groups}")(x)
        stages = sub_pixel_stages(self.features, self.scale, "tail.0", self.dtype)
        last = conv(lr.shape[-1], **settings, name="tail.1")
        sr = apply_tail(lambda x: last(stages(x)), x, self.scale)
        return sr.astype(jnp.float32) / RANGE + mean

    def _group(self, x: jax.Array, name: str) -> jax.Array:
        y, block = x, rematerialised(RCAB, self.remat)
        for j in range(self.blocks):
            y = block(self.reduction, self.dtype, name=f"{name}.{j}")(y)
        last = f"{name}.{self.blocks}"
        return x + conv(self.features, gain=TORCH_GAIN, dtype=self.dtype, name=last)(y)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. BasicSR's names and the mean shifts are understood too.
    """
    shapes = {k: v for k, v in _renamed(shapes).items() if not k.startswith(("sub_", "add_"))}
    squeeze = shapes.get("body.0.body.0.body.3.conv_du.0.weight")
    if _BLOCK not in shapes or squeeze is None or not all(map(_NAMES.fullmatch, shapes)):
        return None
    features = squeeze[1]
    scale = sub_pixel_scale(shapes, "tail.0", features)
    if scale not in STAGES or scale == 1:
        return None
    hparams = {
        "scale": scale,
        "features": features,
        "groups": _count(shapes, r"body\.\d+\.body\.0\.body\.0\.weight"),
        "blocks": _count(shapes, r"body\.0\.body\.\d+\.body\.0\.weight"),
        "reduction": features // squeeze[0],
    }
    return {"model": "rcan", "hparams": hparams}


def canonical(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` with the authors' names, from BasicSR's too, and without mean shifts."""
    return without_mean_shifts(_renamed(state), tail="tail.1")


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the mean shifts, where it is of RGB."""
    return mean_shifts(state)


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(bool(re.fullmatch(pattern, name)) for name in names)


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    if "body.0.residual_group.0.rcab.0.weight" not in state:
        return dict(state)
    groups = _count(state, r"body\.\d+\.residual_group\.0\.rcab\.0\.weight")
    blocks = _count(state, r"body\.0\.residual_group\.\d+\.rcab\.0\.weight")
    ends = (("^conv_after_body", f"body.{groups}"), (r"^(body\.\d+)\.conv", rf"\1.body.{blocks}"))
    renamed = {}
    for name, value in state.items():
        for old, new in (*_BASICSR, *ends):
            name = re.sub(old, new, name)
        renamed[name] = value
    return renamed
