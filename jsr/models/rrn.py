"""RRN: a causal recurrent network for film, which sees a frame and what it made of those before."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.activations import Activation, activation
from jsr.models.layers import Scale, conv, enlarge, pixel_shuffle, pixel_unshuffle
from jsr.models.motion import lucas_kanade
from jsr.models.recurrence import as_clip, over_time
from jsr.models.warping import resample, warp


class Past(NamedTuple):
    """What a frame hands on: LR, hidden features [b, h, w, f], SR [b, h, w, c * s**2]."""

    lr: jax.Array
    hidden: jax.Array
    sr: jax.Array


class Cell(nn.Module):
    """A frame's convolutions: (two LR frames, hidden, past SR) to (hidden, what is added to LR)."""

    features: int
    blocks: int
    activation: Activation
    dtype: Any

    @nn.compact
    def __call__(self, lr, hidden, sr):
        f, dtype = self.features, self.dtype
        act = partial(activation, self.activation)
        x = jnp.concatenate([lr, hidden, sr], axis=-1).astype(dtype)
        x = act("act_1")(conv(f, gain=0.1, dtype=dtype, name="conv_1")(x))
        for i in range(self.blocks):
            y = conv(f, gain=0.1, dtype=dtype, name=f"recon_trunk.{i}.conv1")(x)
            y = act(f"recon_trunk.{i}.act")(y)
            x = x + conv(f, gain=0.1, dtype=dtype, name=f"recon_trunk.{i}.conv2")(y)
        hidden = act("act_h")(conv(f, gain=0.1, dtype=dtype, name="conv_h")(x))
        added = conv(sr.shape[-1], gain=0.1, dtype=dtype, name="conv_o")(x)
        return hidden.astype(jnp.float32), added.astype(jnp.float32)


class RRN(nn.Module):
    """The recurrent residual network of Isobe et al. 2020 (BMVC), by its published code.

    lr [b, t, h, w, c] in [0, 1], any size and length, to sr [b, t, h*scale, w*scale, c], float32,
    not clipped; a picture [b, h, w, c] is a film of one frame. `frame` takes one at a time, for
    films of any length. Before the first frame there is that frame, and nothing made of it.
    `base` is the enlargement that is added. 3.4 M parameters (RRN-L); with 5 blocks 1.9 M (RRN-S).

    motion: with lucas_kanade, what is remembered is moved to where the frame has it (as in FRVSR,
    Sajjadi et al. 2018, section 3, where a network estimates the flow), and the cell is told its
    differences from the frame and its enlargement: small networks learn that late, or never.
    """

    takes_clips: ClassVar[bool] = True

    scale: Scale = 4
    features: int = 128
    blocks: int = 10
    base: Literal["bilinear", "bicubic"] = "bilinear"
    activation: Activation = "relu"
    motion: Literal["none", "lucas_kanade"] = "none"
    dtype: Any = jnp.float32

    def setup(self):
        self.neuro = Cell(self.features, self.blocks, self.activation, self.dtype)

    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        def enlarge_clip(clip):
            return over_time(self, RRN._step, self.begin(clip[:, 0]), clip)[1]

        return as_clip(lr, enlarge_clip)

    def begin(self, lr: jax.Array) -> Past:
        """What the film's first frame [b, h, w, c] is told of the past."""
        places, c = lr.shape[:3], lr.shape[3]
        hidden = jnp.zeros((*places, self.features))
        if self.motion == "none":
            return Past(lr, hidden, jnp.zeros((*places, c * self.scale**2)))
        return Past(lr, hidden, pixel_unshuffle(enlarge(lr, self.scale, self.base), self.scale))

    def frame(self, lr: jax.Array, past: Past) -> tuple[jax.Array, Past]:
        """SR [b, h*scale, w*scale, c] of the next frame [b, h, w, c], and what it hands on."""
        large = enlarge(lr, self.scale, self.base)
        told = past if self.motion == "none" else self._differences(lr, large, past)
        hidden, added = self.neuro(jnp.concatenate([told.lr, lr], -1), told.hidden, told.sr)
        sr = pixel_shuffle(added, self.scale) + large
        # Over many more frames than it was trained on, what is handed on would grow.
        handed = sr if self.motion == "none" else jnp.clip(sr, 0.0, 1.0)
        return sr, Past(lr, hidden, pixel_unshuffle(handed, self.scale))

    def _differences(self, lr: jax.Array, large: jax.Array, past: Past) -> Past:
        flow = lucas_kanade(lr, past.lr)
        known = warp(jnp.concatenate([past.lr, past.hidden], -1), flow, border=True)
        moved, hidden = jnp.split(known, [lr.shape[-1]], axis=-1)
        # At its own size: the pixels that lie side by side there are channels in the cell.
        sr = pixel_shuffle(past.sr, self.scale)
        sr = warp(sr, self.scale * resample(flow, *sr.shape[1:3]), border=True)
        return Past(moved - lr, hidden, pixel_unshuffle(sr - large, self.scale))

    def _step(self, past, lr):
        sr, past = self.frame(lr, past)
        return past, sr


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family.
    """
    first, last = shapes.get("neuro.conv_1.weight"), shapes.get("neuro.conv_o.weight")
    if first is None or last is None:
        return None
    features, outputs = last[1], last[0]
    channels = (first[1] - features - outputs) // 2
    scale = round((outputs / channels) ** 0.5) if channels > 0 else 0
    if channels < 1 or channels * scale**2 != outputs:
        return None
    blocks = sum(name.endswith(".conv1.weight") for name in shapes)
    return {"model": "rrn", "hparams": {"scale": scale, "features": features, "blocks": blocks}}
