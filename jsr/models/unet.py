"""The U-Net discriminator of Real-ESRGAN."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import conv, enlarge


class UNetDiscriminator(nn.Module):
    """The discriminator of Wang et al. 2021 (Real-ESRGAN), Fig. 6: a logit for every pixel.

    hr [b, h, w, c] in [0, 1], h and w multiples of 8, to logits [b, h, w, 1], float32; `lr` is
    ignored. All layers but the first and last have spectral normalisation (Miyato et al. 2018),
    whose power iteration lives in `batch_stats`, which must be mutable in training. Raises
    ValueError for other sizes.
    """

    features: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, hr: jax.Array, lr: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        if hr.shape[1] % 8 or hr.shape[2] % 8:
            size = f"{hr.shape[1]}x{hr.shape[2]}"
            raise ValueError(f"the U-Net discriminator takes multiples of 8 pixels, not {size}")
        f = self.features
        x = nn.leaky_relu(conv(f, dtype=self.dtype, name="head")(hr), 0.2)
        skips = []
        for i in range(3):
            skips.append(x)
            x = self._layer(x, f * 2 ** (i + 1), f"down_{i}", train, kernel=4, stride=2)
        for i in reversed(range(3)):
            x = enlarge(x, 2, "bilinear")
            x = self._layer(x, f * 2**i, f"up_{i}", train) + skips[i]
        for i in range(2):
            x = self._layer(x, f, f"hr_{i}", train)
        return conv(1, dtype=self.dtype, name="tail")(x).astype(jnp.float32)

    def _layer(self, x: jax.Array, features: int, name: str, train: bool, **kwargs) -> jax.Array:
        layer = conv(features, bias=False, dtype=self.dtype, name=name, **kwargs)
        layer = nn.SpectralNorm(layer, name=f"{name}_norm")
        return nn.leaky_relu(layer(x, update_stats=train), 0.2)
