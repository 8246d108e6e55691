"""The discriminator of SRGAN."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import Groups, batch_norm, conv, kaiming_normal


class SRGANDiscriminator(nn.Module):
    """The discriminator of Ledig et al. 2017, Fig. 4: hr [b, h, w, c] to logits [b, 1], float32.

    `hr` in [0, 1]; `lr` is ignored. Convolutions that batch normalisation follows have no bias.
    With `pool` the last features are averaged over the picture in place of flattened, so that the
    same weights take patches of any size. In training `batch_stats` must be mutable.
    """

    features: int = 64
    dense: int = 1024
    pool: bool = False
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(
        self, hr: jax.Array, lr: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        dtype = self.dtype
        x = nn.leaky_relu(conv(self.features, dtype=dtype, name="conv_0")(hr), 0.2)
        for i in range(1, 8):
            # 1 1 2 2 4 4 8 8 times `features`, every second one at stride 2.
            f, stride = self.features * 2 ** (i // 2), 1 + i % 2
            x = conv(f, stride=stride, bias=False, dtype=dtype, name=f"conv_{i}")(x)
            x = batch_norm(train, self.axis_name, dtype, name=f"norm_{i}")(x)
            x = nn.leaky_relu(x, 0.2)
        x = x.mean(axis=(1, 2)) if self.pool else x.reshape(x.shape[0], -1)
        x = nn.leaky_relu(self._dense(self.dense, "dense_0")(x), 0.2)
        return self._dense(1, "dense_1")(x).astype(jnp.float32)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, kernel_init=kaiming_normal(), dtype=self.dtype, name=name)
