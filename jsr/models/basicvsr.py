"""BasicVSR: features carried through a clip in both directions, along the optical flow."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, conv, enlarge, pixel_shuffle
from jsr.models.recurrence import as_clip, over_time
from jsr.models.spynet import SPyNet
from jsr.models.warping import warp

# Of the layers at the end, whatever `features` is.
TAIL = 64


class Trunk(nn.Module):
    """(LR frame, features) to features: a convolution and residual blocks."""

    features: int
    blocks: int
    dtype: Any

    @nn.compact
    def __call__(self, lr, features):
        f, dtype = self.features, self.dtype
        x = jnp.concatenate([lr, features], axis=-1).astype(dtype)
        x = nn.leaky_relu(conv(f, gain=TORCH_GAIN, dtype=dtype, name="main.0")(x), 0.1)
        for i in range(self.blocks):
            y = conv(f, gain=0.1, dtype=dtype, name=f"main.2.{i}.conv1")(x)
            x = x + conv(f, gain=0.1, dtype=dtype, name=f"main.2.{i}.conv2")(nn.relu(y))
        return x.astype(jnp.float32)


class BasicVSR(nn.Module):
    """BasicVSR of Chan et al. 2021 (CVPR), Fig. 2.

    lr [b, t, h, w, 3] in [0, 1], any size and length, to sr [b, t, h*scale, w*scale, 3], float32,
    not clipped; a picture [b, h, w, 3] is a clip of one frame. 6,291,311 parameters (6.3 M in
    print). At scale 2 the first of the two enlarging stages is left out (no paper's network).
    """

    takes_clips: ClassVar[bool] = True

    scale: Literal[2, 4] = 4
    features: int = 64
    blocks: int = 30
    dtype: Any = jnp.float32

    def setup(self):
        self.spynet = SPyNet(self.dtype)
        self.backward_trunk = Trunk(self.features, self.blocks, self.dtype)
        self.forward_trunk = Trunk(self.features, self.blocks, self.dtype)
        self.fusion = self._conv(self.features, kernel=1)
        if self.scale == 4:
            self.upconv1 = self._conv(self.features * 4)
        self.upconv2 = self._conv(TAIL * 4)
        self.conv_hr = self._conv(TAIL)
        self.conv_last = self._conv(3)

    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        return as_clip(lr, self._enlarge)

    def _enlarge(self, clip: jax.Array) -> jax.Array:
        to_next, to_last = self._flows(clip)
        nothing = jnp.zeros((clip.shape[0], *clip.shape[2:4], self.features))
        frames = (clip, to_next)
        seen = over_time(self, BasicVSR.look_back, nothing, frames, reverse=True)[1]
        return over_time(self, BasicVSR.look_ahead, nothing, (clip, to_last, seen))[1]

    def _flows(self, clip: jax.Array) -> tuple[jax.Array | None, jax.Array | None]:
        """The flow of each frame to the next one and to the one before, [b, t, h, w, 2] both.

        There is none for the last frame, and the first one: those are zero, and meet no features.
        A picture has none at all.
        """
        b, t, h, w, c = clip.shape
        if t == 1:
            if self.is_initializing():
                self.spynet(clip[:, 0], clip[:, 0])
            return None, None
        before = clip[:, :-1].reshape(-1, h, w, c)
        after = clip[:, 1:].reshape(-1, h, w, c)
        flows = self.spynet(
            jnp.concatenate([before, after]), jnp.concatenate([after, before])
        ).reshape(2, b, t - 1, h, w, 2)
        edge = jnp.zeros((b, 1, h, w, 2))
        to_next = jnp.concatenate([flows[0], edge], axis=1)
        return to_next, jnp.concatenate([edge, flows[1]], axis=1)

    def flow(self, lr: jax.Array, other: jax.Array) -> jax.Array:
        """Where `other` has what is in `lr`: [b, h, w, 3] both, to pixels [b, h, w, 2]."""
        return self.spynet(lr, other)

    def look_back(self, features: jax.Array, frame: tuple) -> tuple[jax.Array, jax.Array]:
        """Features of the frames from the last one on: (LR, flow to the next frame)."""
        lr, flow = frame
        features = self.backward_trunk(lr, _moved(features, flow))
        return features, features

    def look_ahead(self, features: jax.Array, frame: tuple) -> tuple[jax.Array, jax.Array]:
        """Features of the frames from the first one on, and SR.

        frame: (LR, flow to the frame before, its features by `look_back`).
        """
        lr, flow, seen = frame
        features = self.forward_trunk(lr, _moved(features, flow))
        return features, self._reconstruct(lr, jnp.concatenate([seen, features], axis=-1))

    def _reconstruct(self, lr: jax.Array, features: jax.Array) -> jax.Array:
        x = nn.leaky_relu(self.fusion(features), 0.1)
        for layer in (self.upconv1, self.upconv2) if self.scale == 4 else (self.upconv2,):
            x = nn.leaky_relu(pixel_shuffle(layer(x), 2), 0.1)
        x = self.conv_last(nn.leaky_relu(self.conv_hr(x), 0.1))
        return x.astype(jnp.float32) + enlarge(lr, self.scale, "bilinear")

    def _conv(self, features: int, kernel: int = 3) -> nn.Conv:
        return conv(features, kernel, gain=TORCH_GAIN, dtype=self.dtype)


def _moved(features: jax.Array, flow: jax.Array | None) -> jax.Array:
    return features if flow is None else warp(features, flow)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family (IconVSR, which has more layers, among them).
    """
    shapes = canonical(shapes)
    if "fusion.weight" not in shapes or not all(map(_NAMES.match, shapes)):
        return None
    blocks = sum(bool(re.fullmatch(r"forward_trunk\.main\.2\.\d+\.conv1\.bias", n)) for n in shapes)
    scale = 4 if "upconv1.weight" in shapes else 2
    hparams = {"scale": scale, "features": shapes["fusion.weight"][0], "blocks": blocks}
    return {"model": "basicvsr", "hparams": hparams}


_NAMES = re.compile(r"spynet\.|(back|for)ward_trunk\.|(fusion|upconv[12]|conv_hr|conv_last)\.")


def canonical(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` without SPyNet's constant colours, which jsr has."""
    return {name: value for name, value in state.items() if name not in _COLOURS}


_COLOURS = ("spynet.mean", "spynet.std")
