"""The discriminator of SRGAN."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.activations import Activation, activation
from jsr.models.layers import Groups, batch_norm, conv, kaiming_normal


class SRGANDiscriminator(nn.Module):
    """The discriminator of Ledig et al. 2017, Fig. 4: hr [b, h, w, c] to logits [b, 1], float32.

    `hr` in [0, 1]; `lr` is ignored. Convolutions that batch normalisation follows have no bias.
    With `pool` the last features are averaged over the picture in place of flattened, so that the
    same weights take patches of any size; the paper's `activation` is leaky. In training
    `batch_stats` must be mutable.
    """

    features: int = 64
    dense: int = 1024
    pool: bool = False
    activation: Activation = "leaky"
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(
        self, hr: jax.Array, lr: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        dtype, act = self.dtype, partial(activation, self.activation)
        x = act("act_0")(conv(self.features, dtype=dtype, name="conv_0")(hr))
        for i in range(1, 8):
            # 1 1 2 2 4 4 8 8 times `features`, every second one at stride 2.
            f, stride = self.features * 2 ** (i // 2), 1 + i % 2
            x = conv(f, stride=stride, bias=False, dtype=dtype, name=f"conv_{i}")(x)
            x = batch_norm(train, self.axis_name, dtype, name=f"norm_{i}")(x)
            x = act(f"act_{i}")(x)
        x = x.mean(axis=(1, 2)) if self.pool else x.reshape(x.shape[0], -1)
        x = act("act_8")(self._dense(self.dense, "dense_0")(x))
        return self._dense(1, "dense_1")(x).astype(jnp.float32)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, kernel_init=kaiming_normal(), dtype=self.dtype, name=name)
