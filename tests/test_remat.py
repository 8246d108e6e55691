"""Blocks computed again for the gradient: the same gradients in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from jsr import parallel
from jsr.errors import UserError
from jsr.models import make_model
from jsr.recipe import Recipe
from jsr.step_cost import GIVEN

FAMILIES = {
    "edsr": {"features": 8, "blocks": 3},
    "hat": {"features": 16, "groups": 1, "blocks": 1, "heads": 2, "window": 4, "squeeze": 4},
    "rcan": {"features": 8, "groups": 1, "blocks": 3, "reduction": 4},
    "rdn": {"features": 8, "growth": 4, "blocks": 2, "layers": 3},
    "rrdb": {"features": 8, "blocks": 1, "growth": 4},
    "swinir": {"features": 16, "groups": 1, "blocks": 2, "heads": 2, "window": 4},
}


# HAT takes XLA long to compile, and its blocks are computed again as SwinIR's are.
@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=pytest.mark.long) if f == "hat" else f for f in FAMILIES]
)
def test_the_same_gradients_from_less_that_is_kept(family):
    lr = jnp.asarray(np.random.default_rng(0).random((1, 8, 8, 3), np.float32))
    plain, remat = (make_model(family, scale=2, **FAMILIES[family], remat=r) for r in (False, True))
    variables = plain.init(jax.random.key(0), lr)
    assert jax.tree.structure(variables) == jax.tree.structure(remat.init(jax.random.key(0), lr))

    def loss(module):
        return lambda params: jnp.mean(jnp.square(module.apply({"params": params}, lr, train=True)))

    def kept(module):
        back = jax.eval_shape(lambda p: jax.vjp(loss(module), p)[1], variables["params"])
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(back))

    expected, found = (jax.jit(jax.grad(loss(m)))(variables["params"]) for m in (plain, remat))
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * np.abs(one).max())
    assert kept(remat) < 0.9 * kept(plain)


def step_memory(remat):
    config = base.published("small", "edsr", features=16, blocks=6)
    config.remat, config.scale, config.data.batch_size, config.data.patch = remat, 2, 4, 16
    recipe = Recipe(config, parallel.make_mesh(jax.devices()[:1]))
    run = recipe.compile(recipe.stages[0], recipe.config.scale, GIVEN)
    batches = {"lr": jnp.zeros((1, 4, 16, 16, 3)), "hr": jnp.zeros((1, 4, 32, 32, 3))}
    program = run.func.lower(*run.args, jax.eval_shape(recipe.start), batches, {}).compile()
    return program.memory_analysis().temp_size_in_bytes


def test_a_step_takes_less_memory():
    assert step_memory(remat=True) < 0.8 * step_memory(remat=False)


def test_a_network_without_such_blocks_is_told():
    config = base.published("small", "srresnet", features=4, blocks=1)
    config.remat = True
    with pytest.raises(UserError, match=r"remat is True: srresnet cannot.* rrdb.* can"):
        Recipe(config, parallel.make_mesh())
