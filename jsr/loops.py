"""Loops inside compiled programs: XLA's own, or written out where that is faster."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def platform() -> str:
    """What is compiled for: the devices of the mesh, which need not be of this machine."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def written_out() -> bool:
    """Whether it is a CPU that is compiled for, where convolutions in a loop take 40 times as long.

    XLA's CPU compiler calls its fast convolutions from the outermost computation only.
    """
    return platform() == "cpu"


def scan(body: Callable, carry, xs):
    """`lax.scan`, but written out on a CPU."""
    return write_out(body, carry, xs) if written_out() else lax.scan(body, carry, xs)


def write_out(body: Callable, carry, xs, axis: int = 0, reverse: bool = False):
    """What `lax.scan` computes, round by round, over `axis` of the arrays of `xs`."""
    count = jax.tree.leaves(xs)[0].shape[axis]
    outputs = []
    for i in reversed(range(count)) if reverse else range(count):
        here = jax.tree.map(lambda x, i=i: lax.index_in_dim(x, i, axis, keepdims=False), xs)
        carry, output = body(carry, here)
        outputs.append(output)
    outputs = outputs[::-1] if reverse else outputs
    return carry, jax.tree.map(lambda *parts: jnp.stack(parts, axis), *outputs)
