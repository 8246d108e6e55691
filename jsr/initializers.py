"""How the kernels of a network start, by name, where not as the network itself has it."""

import math
from collections.abc import Callable

import jax
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jsr.lookup import find
from jsr.models.layers import kaiming_normal

# Each `initialise(key, shape)` of a kernel [..., inputs, outputs].
INITIALIZERS: dict[str, Callable] = {
    # He et al. 2015, eq. 10, and at a tenth, as ESRGAN starts (Wang et al. 2018, section 3.1).
    "he": kaiming_normal(),
    "he_tenth": kaiming_normal(0.1),
    # Glorot & Bengio 2010, eq. 16.
    "xavier": nn.initializers.xavier_uniform(),
    # Saxe et al. 2014, with the gain of a ReLU.
    "orthogonal": nn.initializers.orthogonal(math.sqrt(2.0)),
}


def draw_kernels(key: jax.Array, params: dict, name: str) -> dict:
    """`params` with every kernel drawn anew as `name` says; with "" they stay as they are.

    name: one of INITIALIZERS or package.module:function. All else, biases and the like, is kept.
    Raises UserError for an unknown name.
    """
    if not name:
        return params
    initialise, drawn = find("initializer", name, INITIALIZERS), {}
    for i, (path, leaf) in enumerate(flatten_dict(params).items()):
        own = jax.random.fold_in(key, i)
        drawn[path] = initialise(own, leaf.shape) if path[-1] == "kernel" else leaf
    return unflatten_dict(drawn)
