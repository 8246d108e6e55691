"""A training's start from weights that are there: those of the same network, at any scale."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jsr.errors import UserError
from jsr.weights import Network, load_network

# Hyper-parameters that no weight depends on, beside the scale, on which those of the upsampler do.
FREE = ("scale", "dtype", "axis_name", "dropout", "drop_path", "remat", "scan", "parent", "name")
# Layers of fresh weights that a note names.
SHOWN = 6


def warm_start(spec: str, module: nn.Module, channels: str, fresh: Any) -> tuple[Any, str]:
    """`fresh` variables of `module` with what fits of the weights `spec`, and a note.

    A weight fits by its name and shape; at another scale those of the upsampler stay fresh, as
    where EDSR, RCAN and others start x3 and x4 from x2. channels: "rgb" or "y". The note says what
    stayed fresh, and is empty where nothing did. Raises UserError for weights of another network,
    naming the hyper-parameters that differ, and as `load_network`.
    """
    network = load_network(spec)
    _require_same(spec, network, module, channels)
    theirs = flatten_dict(network.variables)
    started, left = {}, []
    for key, value in flatten_dict(fresh).items():
        fits = key in theirs and np.shape(theirs[key]) == value.shape
        # Kept in float16, weights are trained on in float32.
        started[key] = jnp.asarray(theirs[key], value.dtype) if fits else value
        left += [] if fits else [key]
    if left and network.scale == module.scale:
        raise UserError(f"{_another(spec, module)}: it has no fitting {'/'.join(left[0])}")
    # An empty collection, such as that of statistics, has no keys.
    return {**fresh, **unflatten_dict(started)}, _note(spec, network.scale, len(started), left)


def _require_same(spec: str, network: Network, module: nn.Module, channels: str) -> None:
    theirs = network.module
    if type(theirs) is not type(module):
        raise UserError(f"{_another(spec, module)}: it is {type(theirs).__name__}")
    names = [field.name for field in dataclasses.fields(module) if field.name not in FREE]
    pairs = {name: (getattr(theirs, name), getattr(module, name)) for name in names}
    pairs["channels"] = network.facts["channels"], channels
    differing = [f"{k} ({a} there, {b} here)" for k, (a, b) in pairs.items() if a != b]
    if differing:
        raise UserError(f"{_another(spec, module)}: {', '.join(differing)}")


def _another(spec: str, module: nn.Module) -> str:
    return f"config.init {spec} holds another network than this config's {type(module).__name__}"


def _note(spec: str, scale: int, count: int, left: list[tuple[str, ...]]) -> str:
    if not left:
        return ""
    layers = list(dict.fromkeys("/".join(key[1:-1]) for key in left))
    named = ", ".join(layers[:SHOWN]) + (", ..." if len(layers) > SHOWN else "")
    taken = f"{count - len(left)} of {count} arrays are those of {spec} (x{scale})"
    return f"init: {taken}; fresh, of other names or shapes: {named}"
