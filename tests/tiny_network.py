"""Untrained networks of a few features."""

import jax
import numpy as np

from jsr.models import make_model
from jsr.weights import Network, save_network


def make_network(name="msrresnet", channels="rgb", noise=0.0, gain=1.0, **hparams) -> Network:
    """A network, its weights times `gain` and with `noise`; with little gain it is its base."""
    if name == "msrresnet":
        hparams = {"features": 4, "blocks": 1, "tail": "light", "base": "bicubic", **hparams}
    hparams = {"scale": 2, **hparams}
    module = make_model(name, **hparams)
    lr = np.zeros((1, 8, 8, 1 if channels == "y" else 3), np.float32)
    leaves, tree = jax.tree.flatten(module.init(jax.random.key(0), lr))
    draw = np.random.default_rng(0)
    leaves = [gain * a + noise * draw.standard_normal(a.shape, np.float32) for a in leaves]
    facts = {"model": name, "hparams": hparams, "scale": hparams["scale"], "channels": channels}
    facts |= {"protocol": "y", "licence": "", "data": "none"}
    return Network(module, jax.device_put(jax.tree.unflatten(tree, leaves)), facts)


def write_network(path, **kwargs):
    """The same as a file."""
    network = make_network(**kwargs)
    save_network(path, network.variables, network.facts)
    return path
