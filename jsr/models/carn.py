"""CARN and its mobile variant CARN-M: light cascading residual networks."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import (
    DIV2K_MEAN,
    STAGES,
    TORCH_GAIN,
    kaiming_normal,
    mean_colour,
    pixel_shuffle,
    sub_pixel_scale,
)

_NAMES = re.compile(
    r"(entry|exit|(b[123]\.)?c[123]\.body\.0|b[123]\.b[123]\.body\.[024]"
    r"|upsample\.up[234]?\.body\.[03])\.(weight|bias)"
)


class Residual(nn.Module):
    """ReLU of the input plus two convolutions with a ReLU between; [b, h, w, c] kept.

    With `groups` the two are grouped, and a ReLU and a 1x1 convolution follow: Ahn et al. 2018,
    Fig. 3.
    """

    groups: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, groups = x.shape[-1], self.groups or 1
        y = nn.relu(_conv(c, 3, "body.0", groups, self.dtype)(x))
        y = _conv(c, 3, "body.2", groups, self.dtype)(y)
        if self.groups:
            y = _conv(c, 1, "body.4", 1, self.dtype)(nn.relu(y))
        return nn.relu(x + y)


class CascadingBlock(nn.Module):
    """Three residual blocks in cascade; [b, h, w, c] kept. With `groups` they share their weights.

    Ahn et al. 2018, Fig. 3.
    """

    groups: int | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        names = ["b1"] if self.groups else ["b1", "b2", "b3"]
        blocks = [Residual(self.groups, self.dtype, name=name) for name in names]
        return _cascade(x, blocks * 3 if self.groups else blocks, self.dtype)


class CARN(nn.Module):
    """The cascading residual network of Ahn et al. 2018 (ECCV), Fig. 2.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    One set of weights serves the three scales, whose enlargements have variables at any `scale`;
    with `multi_scale=False` there is that of `scale` alone. The enlarging convolutions may have
    `groups`. 1,592 K parameters; 222.8, 118.8 and 90.9 G multiply-adds at x2, x3 and x4 for an SR
    of 1280x720 (Table 1).
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 64
    groups: int = 1
    multi_scale: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        mean, dtype = mean_colour(lr.shape[-1]), self.dtype
        x = _conv(self.features, 3, "entry", 1, dtype)((lr - mean).astype(dtype))
        x = self._upsample(_cascade(x, [self._block(f"b{i}") for i in (1, 2, 3)], dtype))
        return _conv(lr.shape[-1], 3, "exit", 1, dtype)(x).astype(jnp.float32) + mean

    def _block(self, name: str) -> nn.Module:
        return CascadingBlock(dtype=self.dtype, name=name)

    def _upsample(self, x: jax.Array) -> jax.Array:
        settings = (self.groups, self.dtype)
        if not self.multi_scale:
            return _stages(x, self.scale, "upsample.up.body", *settings)
        if self.is_initializing():
            # One pixel gives the other scales' enlargements their variables at no cost.
            for other in {2, 3, 4} - {self.scale}:
                _stages(x[:, :1, :1], other, f"upsample.up{other}.body", *settings)
        return _stages(x, self.scale, f"upsample.up{self.scale}.body", *settings)


class CARNM(CARN):
    """CARN-M of Ahn et al. 2018: grouped convolutions, and one residual block applied three times.

    412 K parameters, biases not counted; 91.2, 46.1 and 32.5 G multiply-adds at x2, x3 and x4 for
    an SR of 1280x720 (Table 1).
    """

    groups: int = 4

    def _block(self, name: str) -> nn.Module:
        return CascadingBlock(self.groups, self.dtype, name=name)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. The scale is left out where one file serves them all.
    """
    shapes = canonical(shapes)
    multi_scale = "upsample.up2.body.0.weight" in shapes
    stages = "upsample.up2.body" if multi_scale else "upsample.up.body"
    entry, enlarging = shapes.get("entry.weight"), shapes.get(f"{stages}.0.weight")
    if None in (entry, enlarging) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    features, scale = entry[0], sub_pixel_scale(shapes, stages, entry[0], step=3)
    groups = features // enlarging[1]
    hparams = {"features": features, "groups": groups, "multi_scale": multi_scale}
    if not multi_scale:
        hparams["scale"] = scale
    model = "carn_m" if "b1.b1.body.4.weight" in shapes else "carn"
    return {"model": model, "hparams": hparams}


def canonical(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` without the constant mean shifts, which jsr computes."""
    idle = ("sub_mean.shifter.", "add_mean.shifter.")
    return {name: value for name, value in state.items() if not name.startswith(idle)}


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the mean shifts, where it is of RGB."""
    if state["entry.weight"].shape[1] != 3:
        return {}
    mean, identity = np.float32(DIV2K_MEAN), np.eye(3, dtype=np.float32)[:, :, None, None]
    weights = {f"{name}_mean.shifter.weight": identity for name in ("sub", "add")}
    return {**weights, "sub_mean.shifter.bias": -mean, "add_mean.shifter.bias": mean}


def _cascade(x: jax.Array, blocks: Sequence[Callable], dtype: Any) -> jax.Array:
    """Each block's output and all before it go through a 1x1 convolution to the next block."""
    seen = x
    for i, block in enumerate(blocks, 1):
        seen = jnp.concatenate([seen, block(x)], axis=-1)
        x = nn.relu(_conv(x.shape[-1], 1, f"c{i}.body.0", 1, dtype)(seen))
    return x


def _stages(x: jax.Array, scale: int, prefix: str, groups: int, dtype: Any) -> jax.Array:
    for i, s in enumerate(STAGES[scale]):
        y = _conv(x.shape[-1] * s**2, 3, f"{prefix}.{3 * i}", groups, dtype)(x)
        x = pixel_shuffle(nn.relu(y), s)
    return x


def _conv(features: int, kernel: int, name: str, groups: int, dtype: Any) -> nn.Conv:
    pad = kernel // 2
    return nn.Conv(
        features,
        (kernel, kernel),
        padding=((pad, pad), (pad, pad)),
        feature_group_count=groups,
        kernel_init=kaiming_normal(TORCH_GAIN),
        dtype=dtype,
        name=name,
    )
