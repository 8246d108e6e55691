"""RRDBNet, the generator of ESRGAN and Real-ESRGAN."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, conv, pixel_unshuffle
from jsr.models.remat import rematerialised
from jsr.models.tails import nearest_tail

# The names of the releases before BasicSR: those of ESRGAN's later code, then the first ones.
_RENAMED = (
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv(\d)\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
    (r"model\.0\.", "conv_first."),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(?=weight|bias)", "conv_body."),
)
_NAMES = re.compile(
    r"(conv_(first|body|up[123]|hr|last)|body\.\d+\.rdb[123]\.conv[1-5])\.(weight|bias)"
)


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it; [b, h, w, c] kept.

    Wang et al. 2018, Fig. 4: the last output is scaled by 0.2 and added to the input.
    """

    growth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # A tenth of Kaiming's deviation, as section 3.1 of the paper and its released code do.
        small = {"gain": 0.1, "dtype": self.dtype}
        seen = x
        for i in range(1, 5):
            y = nn.leaky_relu(conv(self.growth, **small, name=f"conv{i}")(seen), 0.2)
            seen = jnp.concatenate([seen, y], -1)
        return x + 0.2 * conv(x.shape[-1], **small, name="conv5")(seen)


class RRDBNet(nn.Module):
    """The generator of ESRGAN (Wang et al. 2018, Figs. 3 and 4) and Real-ESRGAN (2021, Fig. 4).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    With `unshuffle`, x2 and x1 move the pixels of 2x2 and 4x4 squares to channels and then
    enlarge by 4, as Real-ESRGAN does; without, they enlarge by 2 and not at all, as networks in
    the first ESRGAN's format do. x8 enlarges three times in either case.

    x4 with 23 blocks, as `RRDB_PSNR_x4` and `RealESRGAN_x4plus`: 16,697,987 parameters, with 6
    blocks (`RealESRGAN_x4plus_anime_6B`) 4,467,779; x2 with 23 blocks (`RealESRGAN_x2plus`)
    16,703,171: BasicSR's code gives these. The papers print neither these nor multiply-adds;
    at 320x180 x4 takes 1,033 G.
    """

    scale: Literal[1, 2, 4, 8] = 4
    features: int = 64
    blocks: int = 23
    growth: int = 32
    unshuffle: bool = True
    remat: bool = False
    dtype: Any = jnp.float32

    @property
    def grid(self) -> int:
        """Of how many pixels a side the squares are that are moved to channels."""
        return 2 ** _stages(self.scale, self.unshuffle) // self.scale

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        _, h, w, c = lr.shape
        f, gain = self.features, {"gain": TORCH_GAIN, "dtype": self.dtype}
        stages = _stages(self.scale, self.unshuffle)
        x = _unshuffle_any(lr, self.grid)
        head = x = conv(f, **gain, name="conv_first")(x)
        block = rematerialised(ResidualDenseBlock, self.remat)
        for i in range(self.blocks):
            y = x
            for k in (1, 2, 3):
                name = f"body.{i}.rdb{k}"
                y = block(self.growth, self.dtype, name=name)(y)
            x = x + 0.2 * y
        x = head + conv(f, **gain, name="conv_body")(x)
        sr = nearest_tail(x, (2,) * stages, c, self.dtype)
        return sr[:, : h * self.scale, : w * self.scale].astype(jnp.float32)


def canonical(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict (of arrays or anything else) with BasicSR's names, from any older naming.

    Older are `RRDB_trunk.0.RDB1.conv1.weight` and, first, `model.1.sub.0.RDB1.conv1.0.weight`.
    """
    found = (re.fullmatch(r"model\.([2-9]|\d\d)\.weight", name) for name in state)
    places = sorted(int(match[1]) for match in found if match)
    # After the body: one convolution for each doubling, then two at HR size.
    new = [f"conv_up{i}." for i in range(1, len(places) - 1)] + ["conv_hr.", "conv_last."]
    tail = [(rf"model\.{k}\.", n) for k, n in zip(places, new, strict=False)]
    renamed = {}
    for name, value in state.items():
        for old, new in (*_RENAMED, *tail):
            name = re.sub("^" + old, new, name)
        renamed[name] = value
    return renamed


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. Any of the three namings is understood.
    """
    shapes = canonical(shapes)
    first, last = shapes.get("conv_first.weight"), shapes.get("conv_last.weight")
    growth = shapes.get("body.0.rdb1.conv1.weight")
    if None in (first, last, growth) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    stages = sum(f"conv_up{i}.weight" in shapes for i in (1, 2, 3))
    factor = math.isqrt(first[1] // last[0])
    scale, unshuffle = 2**stages // factor, factor > 1
    if scale not in (1, 2, 4, 8) or 2 ** _stages(scale, unshuffle) != factor * scale:
        return None
    blocks = len({name.split(".")[1] for name in shapes if name.startswith("body.")})
    hparams = {"scale": scale, "features": first[0], "blocks": blocks, "growth": growth[0]}
    # Where there is nothing to unshuffle, x4 and x8, the default stays.
    return {"model": "rrdb", "hparams": {**hparams, "unshuffle": unshuffle or scale >= 4}}


def ncnn_names(kinds: Sequence[str]) -> list[str] | None:
    """PyTorch's names of the layers with weights of an ncnn network for x4, of the given kinds.

    None for another family.
    """
    # First, body, two doublings, and two at HR size, beside 15 a block.
    blocks, rest = divmod(len(kinds) - 6, 15)
    if blocks < 1 or rest or set(kinds) != {"Convolution"}:
        return None
    dense = [f"rdb{k}.conv{i}" for k in (1, 2, 3) for i in range(1, 6)]
    body = [f"body.{block}.{name}" for block in range(blocks) for name in dense]
    tail = [f"conv_{name}" for name in ("body", "up1", "up2", "hr", "last")]
    return ["conv_first", *body, *tail]


def _stages(scale: int, unshuffle: bool) -> int:
    """How many times the features are doubled in size."""
    stages = scale.bit_length() - 1
    return max(stages, 2) if unshuffle else stages


def _unshuffle_any(x: jax.Array, factor: int) -> jax.Array:
    """[b, h, w, c] to [b, ceil(h / factor), ceil(w / factor), c * factor**2], mirrored at the end.

    Channels are ordered as in `pixel_shuffle`.
    """
    _, h, w, _ = x.shape
    x = jnp.pad(x, ((0, 0), (0, -h % factor), (0, -w % factor), (0, 0)), mode="reflect")
    return pixel_unshuffle(x, factor)
