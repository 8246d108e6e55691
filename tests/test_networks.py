"""Every network that enlarges: it trains a step when narrow, and compiles soon at full size."""

import time

import jax
import numpy as np
import optax
import pytest

from jsr import losses, parallel, state, steps
from jsr.models import MODELS, hyper_parameters, make_model, takes_clips

GENERATORS = [name for name in MODELS if "scale" in hyper_parameters(name)]
# What makes a network narrow, where it has it.
NARROW = {"features": 8, "blocks": 1, "groups": 1, "layers": 3, "growth": 4, "depth": 2}
NARROW |= {"recursions": 2, "units": 2, "convs": 2, "window": 4, "heads": 2, "up_features": 8}
NARROW |= {"middle": 8, "attention": 4, "compress": 2, "squeeze": 2, "reduction": 2, "mapped": 4}
# Half of the colours of these are normalised or split in ways that need more features.
WIDER = {"carn_m": {"groups": 4}, "bsrn": {"features": 16}}


def narrow(name):
    chosen = {key: NARROW[key] for key in hyper_parameters(name) if key in NARROW}
    if "axis_name" in hyper_parameters(name):
        chosen["axis_name"] = steps.AXIS
    return make_model(name, scale=2, **{**chosen, **WIDER.get(name, {})})


@pytest.mark.long
@pytest.mark.parametrize("name", GENERATORS)
def test_a_narrow_one_trains_a_step(name):
    rng = np.random.default_rng(0)
    many = (2, 2) if takes_clips(name) else (2,)
    lr, hr = (rng.random((*many, side, side, 3), np.float32) for side in (16, 32))
    module, optimizer = narrow(name), optax.adam(1e-4)
    begun = state.start_training(state.init_net(jax.random.key(0), module, optimizer, lr[:1]))
    step = steps.make_pixel_step(module, optimizer, losses.l1, 1.0, None, 0.0, 0.9, 1)
    mesh = parallel.make_mesh(jax.devices()[:1])
    compiled = parallel.compile_steps(steps.repeat(step), mesh)
    batches = parallel.shard_batches({"lr": lr[None], "hr": hr[None]}, mesh)
    replicated = parallel.replicate(state.copy_tree(begun), mesh)
    ended, metrics = compiled(jax.random.key(1), replicated, batches, {})
    assert np.isfinite(float(metrics["loss"])) and int(ended.skipped) == 0
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), begun.gen.params, ended.gen.params)
    flat, _ = jax.tree_util.tree_flatten_with_path(moved)
    still = [jax.tree_util.keystr(path) for path, changed in flat if not changed]
    # Branches of other scales have no part in a step of this one.
    assert len(still) < 0.6 * len(flat), still


@pytest.mark.long
@pytest.mark.parametrize("name", GENERATORS)
def test_a_full_one_starts_and_compiles_within_half_a_minute(name):
    began = time.process_time()
    module = make_model(name)
    lr = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
    variables = module.lazy_init(jax.random.key(0), lr)
    jax.jit(module.apply).lower(variables, lr).compile()
    # Of two cores' time, whatever else they have to do.
    assert time.process_time() - began < 2 * 30
