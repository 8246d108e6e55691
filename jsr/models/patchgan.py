"""PatchGAN: a discriminator that judges every patch of a picture."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.conditional import with_condition
from jsr.models.layers import Groups, batch_norm, conv


class PatchGAN(nn.Module):
    """The patch discriminator of Isola et al. 2017, appendix 6.1.2; `layers=3` sees 70x70 patches.

    hr [b, h, w, c] in [0, 1] to logits [b, h', w', 1], float32, with h' = h // 2**layers - 2.
    With `conditional` it takes the pair (hr, lr), concatenated on channels; else `lr` is ignored.
    `norm` stands between the layers: the paper's "batch", "instance" or "none". In training
    `batch_stats` must be mutable. Raises ValueError for pictures under 3 * 2**layers pixels.
    """

    features: int = 64
    layers: int = 3
    norm: Literal["batch", "instance", "none"] = "batch"
    conditional: bool = False
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(
        self, hr: jax.Array, lr: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        smallest = 3 * 2**self.layers
        if min(hr.shape[1:3]) < smallest:
            size = f"{hr.shape[1]}x{hr.shape[2]}"
            raise ValueError(
                f"PatchGAN with {self.layers} layers takes pictures from {smallest}x{smallest},"
                f" not {size}: choose larger patches or fewer layers"
            )
        x = with_condition(hr, lr) if self.conditional else hr
        x = conv(self.features, 4, stride=2, dtype=self.dtype, name="conv_0")(x)
        x = nn.leaky_relu(x, 0.2)
        for i in range(1, self.layers + 1):
            stride = 2 if i < self.layers else 1
            x = self._layer(x, self.features * 2 ** min(i, 3), stride, train, i)
        logits = conv(1, 4, dtype=self.dtype, name=f"conv_{self.layers + 1}")(x)
        return logits.astype(jnp.float32)

    def _layer(self, x: jax.Array, features: int, stride: int, train: bool, i: int) -> jax.Array:
        bias = self.norm == "none"
        x = conv(features, 4, stride, bias, dtype=self.dtype, name=f"conv_{i}")(x)
        if self.norm == "batch":
            x = batch_norm(train, self.axis_name, self.dtype, name=f"norm_{i}")(x)
        elif self.norm == "instance":
            x = nn.InstanceNorm(epsilon=1e-5, dtype=self.dtype, name=f"norm_{i}")(x)
        return nn.leaky_relu(x, 0.2)
