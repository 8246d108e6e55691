"""The discriminator of ESRGAN as BasicSR trains it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, Groups, batch_norm, conv, kaiming_normal

# Halvings of the picture's size.
LEVELS = 5


class VGGStyleDiscriminator(nn.Module):
    """BasicSR's VGGStyleDiscriminator: hr [b, h, w, c] to logits [b, 1], float32.

    `hr` in [0, 1], 128x128 as published; `lr` is ignored. Each of five levels has a 3x3 convolution
    and a 4x4 one at stride 2, the first at the full size. Convolutions that batch normalisation
    follows have no bias. In training `batch_stats` must be mutable. Raises ValueError for pictures
    under 32x32. 14,499,401 parameters for 128x128.
    """

    features: int = 64
    dense: int = 100
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(
        self, hr: jax.Array, lr: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        if min(hr.shape[1:3]) < 2**LEVELS:
            size = f"{hr.shape[1]}x{hr.shape[2]}"
            raise ValueError(f"the VGG-style discriminator takes 32x32 or more, not {size}")
        x = conv(self.features, gain=TORCH_GAIN, dtype=self.dtype, name="conv0_0")(hr)
        x = nn.leaky_relu(x, 0.2)
        for level in range(LEVELS):
            # 1 2 4 8 8 times `features`.
            features = self.features * 2 ** min(level, 3)
            if level > 0:
                x = self._layer(x, features, f"{level}_0", train, kernel=3)
            x = self._layer(x, features, f"{level}_1", train, kernel=4, stride=2)
        x = nn.leaky_relu(self._dense(self.dense, "linear1")(x.reshape(x.shape[0], -1)), 0.2)
        return self._dense(1, "linear2")(x).astype(jnp.float32)

    def _layer(self, x: jax.Array, features: int, place: str, train: bool, **kwargs) -> jax.Array:
        shared = {"bias": False, "gain": TORCH_GAIN, "dtype": self.dtype}
        x = conv(features, **shared, **kwargs, name=f"conv{place}")(x)
        x = batch_norm(train, self.axis_name, self.dtype, name=f"bn{place}")(x)
        return nn.leaky_relu(x, 0.2)

    def _dense(self, features: int, name: str) -> nn.Dense:
        start = kaiming_normal(TORCH_GAIN)
        return nn.Dense(features, kernel_init=start, dtype=self.dtype, name=name)
