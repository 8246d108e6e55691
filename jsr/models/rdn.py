"""RDN, a network of residual dense blocks."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import STAGES, TORCH_GAIN, conv, sub_pixel_scale, sub_pixel_stages
from jsr.models.remat import rematerialised
from jsr.models.tails import apply_tail

# The network computes on pictures in 0..255.
RANGE = 255.0
_NAMES = re.compile(
    r"(SFENet[12]|RDBs\.\d+\.(convs\.\d+\.conv\.0|LFF)|GFF\.[01]|UPNet\.[024])\.(weight|bias)"
)
# The names of yjn870's PyTorch code, which computes on pictures in [0, 1].
_YJN870 = (
    (r"^sfe([12])", r"SFENet\1"),
    (r"^rdbs\.(\d+)\.layers\.(\d+)\.conv", r"RDBs.\1.convs.\2.conv.0"),
    (r"^rdbs\.(\d+)\.lff", r"RDBs.\1.LFF"),
    (r"^gff", "GFF"),
    (r"^upscale", "UPNet"),
)


class ResidualDenseBlock(nn.Module):
    """Convolutions that each see the outputs of all before, fused and added to the input.

    [b, h, w, c] to the same; Zhang et al. 2018, Fig. 3.
    """

    growth: int = 64
    layers: int = 8
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        settings, seen = {"gain": TORCH_GAIN, "dtype": self.dtype}, x
        for i in range(self.layers):
            y = nn.relu(conv(self.growth, **settings, name=f"convs.{i}.conv.0")(seen))
            seen = jnp.concatenate([seen, y], axis=-1)
        return x + conv(x.shape[-1], 1, **settings, name="LFF")(seen)


class RDN(nn.Module):
    """The residual dense network of Zhang et al. 2018 (CVPR), Fig. 2.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    The names and the input, 0..255 with no mean subtracted, are those of the PyTorch version that
    the authors point to, in EDSR-PyTorch; their own Lua code subtracts DIV2K's mean. The paper's
    D, C, G and G0 are `blocks`, `layers`, `growth` and `features`. Counted here: 22.12, 22.31 and
    22.27 M parameters for x2, x3 and x4; 5,096 G, 2,287 G and 1,309 G multiply-adds for an SR of
    1280x720.
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 64
    growth: int = 64
    blocks: int = 16
    layers: int = 8
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, settings = self.features, {"gain": TORCH_GAIN, "dtype": self.dtype}
        shallow = conv(f, **settings, name="SFENet1")(lr * RANGE)
        x = conv(f, **settings, name="SFENet2")(shallow)
        outputs, block = [], rematerialised(ResidualDenseBlock, self.remat)
        for i in range(self.blocks):
            x = block(self.growth, self.layers, self.dtype, name=f"RDBs.{i}")(x)
            outputs.append(x)
        x = conv(f, 1, **settings, name="GFF.0")(jnp.concatenate(outputs, axis=-1))
        x = shallow + conv(f, **settings, name="GFF.1")(x)
        stages = sub_pixel_stages(f, self.scale, "UPNet", self.dtype)
        last = conv(lr.shape[-1], **settings, name=f"UPNet.{2 * len(STAGES[self.scale])}")
        sr = apply_tail(lambda x: last(stages(x)), x, self.scale)
        return sr.astype(jnp.float32) / RANGE


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. The names of yjn870's code are understood too.
    """
    shapes = _renamed(shapes)
    first, dense = shapes.get("SFENet1.weight"), shapes.get("RDBs.0.convs.0.conv.0.weight")
    if None in (first, dense) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    stages = {name: shape for name, shape in shapes.items() if shape != (first[1],)}
    scale = sub_pixel_scale(stages, "UPNet", first[0])
    if scale not in (2, 3, 4):
        return None
    hparams = {
        "scale": scale,
        "features": first[0],
        "growth": dense[0],
        "blocks": sum(name.endswith(".LFF.weight") for name in shapes),
        "layers": sum(bool(re.match(r"RDBs\.0\.convs\.\d+\.conv\.0\.weight", n)) for n in shapes),
    }
    return {"model": "rdn", "hparams": hparams}


def canonical(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` with EDSR-PyTorch's names and range, from those of yjn870's code too."""
    if "sfe1.weight" not in state:
        return dict(state)
    # Nothing but ReLUs lies between the convolutions, so biases 255 times as large serve 0..255.
    scaled = {k: v * np.float32(RANGE) if k.endswith(".bias") else v for k, v in state.items()}
    return _renamed(scaled)


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    if "sfe1.weight" not in state:
        return dict(state)
    stages = sum(bool(re.fullmatch(r"upscale\.\d\.weight", name)) for name in state)
    renamed = {}
    for name, value in state.items():
        for old, new in (*_YJN870, ("^output", f"UPNet.{2 * stages}")):
            name = re.sub(old, new, name)
        renamed[name] = value
    return renamed
