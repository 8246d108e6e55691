"""A discriminator of pairs: is this high-resolution picture the one of that small picture?"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.activations import Activation
from jsr.models.layers import Groups, enlarge
from jsr.models.srgan import SRGANDiscriminator


def with_condition(hr: jax.Array, lr: jax.Array | None) -> jax.Array:
    """Concatenate on channels hr [b, h*s, w*s, c] and the bicubically enlarged lr [b, h, w, c].

    Returns [b, h*s, w*s, 2c]. Raises ValueError without `lr`, or when hr is not a whole number s
    of times its size.
    """
    if lr is None:
        raise ValueError("a conditional discriminator takes lr as well: call it as D(hr, lr)")
    scale = hr.shape[1] // lr.shape[1]
    if hr.shape[1:3] != (lr.shape[1] * scale, lr.shape[2] * scale):
        sizes = f"hr {hr.shape[1]}x{hr.shape[2]}, lr {lr.shape[1]}x{lr.shape[2]}"
        raise ValueError(f"hr must be a whole number of times the size of lr, not {sizes}")
    return jnp.concatenate([hr, enlarge(lr, scale, "bicubic").astype(hr.dtype)], axis=-1)


class ConditionalDiscriminator(nn.Module):
    """D(x, y): hr [b, h*s, w*s, c] and lr [b, h, w, c] in [0, 1] to logits [b, 1], float32.

    `lr` is enlarged bicubically and concatenated on channels (Mirza & Osindero 2014, the
    conditioning; Isola et al. 2017, on pictures); then the body of SRGAN's discriminator, whose
    hyper-parameters these are. Raises ValueError as `with_condition`.
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
        settings = (self.features, self.dense, self.pool, self.activation, self.dtype)
        body = SRGANDiscriminator(*settings, self.axis_name, name="body")
        return body(with_condition(hr, lr), train=train)
