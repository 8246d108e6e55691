"""Activations by name, for the networks that leave the choice to who trains them."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

Activation = Literal["relu", "leaky", "prelu", "gelu", "silu", "mish"]
# Slope of the leaky ReLU below zero, that of most discriminators and of ESRGAN.
LEAK = 0.2


class PReLU(nn.Module):
    """max(x, 0) + alpha * min(x, 0) with one learnt alpha a channel, 0.25 at first.

    He et al. 2015, eq. 1. [..., c] to [..., c].
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        alpha = self.param("alpha", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        return jnp.where(x >= 0, x, alpha.astype(x.dtype) * x)


def mish(x: jax.Array) -> jax.Array:
    """x * tanh(log(1 + exp(x))) (Misra 2020), without a logarithm; the dtype is kept."""
    # Beyond 20 tanh is 1 in float32, and the square of exp(x) stays far from overflow.
    e = jnp.exp(jnp.minimum(x, 20.0))
    return x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0))


_FUNCTIONS: dict[str, Callable] = {
    "relu": nn.relu,
    "leaky": lambda x: nn.leaky_relu(x, LEAK),
    # By the error function, as PyTorch has it; flax's own default is an approximation.
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "silu": nn.silu,
    "mish": mish,
}


def activation(kind: Activation, name: str) -> Callable[[jax.Array], jax.Array]:
    """What activates [..., c]; inside a module, in which PReLU's weights are called `name`."""
    return PReLU(name=name) if kind == "prelu" else _FUNCTIONS[kind]
