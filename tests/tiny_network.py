"""Untrained networks of a few features."""

import jax
import numpy as np

from jsr.models import make_model, takes_clips
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


def make_film_network(name, scale=2, gain=0.8, **hparams) -> Network:
    """A network of film of random weights, which compiles nothing and sees no motion.

    By an untrained flow features would leave the picture.
    """
    hparams = {"scale": scale, "features": 4, "blocks": 1, **hparams}
    module = make_model(name, **hparams)
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    draw = np.random.default_rng(0)

    def random(x):
        spread = gain / np.prod(x.shape[:-1]) ** 0.5 if len(x.shape) > 1 else 0.0
        return np.float32(spread) * draw.standard_normal(x.shape, np.float32)

    params = dict(jax.tree.map(random, shapes["params"]))
    if "spynet" in params:
        params["spynet"] = jax.tree.map(np.zeros_like, params["spynet"])
    facts = {"model": name, "hparams": hparams, "scale": scale, "channels": "rgb"}
    facts |= {"protocol": "y", "licence": "", "data": "none"}
    return Network(module, jax.device_put({"params": params}), facts)


def write_network(path, **kwargs):
    """The same as a file; a film network where that is its name."""
    films = takes_clips(kwargs.get("name", "msrresnet"))
    network = (make_film_network if films else make_network)(**kwargs)
    save_network(path, network.variables, network.facts)
    return path
