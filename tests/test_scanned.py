"""Equal blocks as a loop: the same results and gradients as unrolled, and one body."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from configs import base
from jsr import parallel
from jsr.errors import UserError
from jsr.models import make_model, scanned
from jsr.models.dropout import stochastic_depth
from jsr.models.scanned import in_turn
from jsr.recipe import Recipe

FAMILIES = {
    "hat": {"features": 8, "groups": 2, "blocks": 4, "heads": 2, "window": 4, "squeeze": 4},
    "swinir": {"features": 8, "groups": 2, "blocks": 5, "heads": 2, "window": 4},
}


class Block(nn.Module):
    rate: float = 0.0
    slope: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        y = nn.Dense(x.shape[-1])(x)
        return x + stochastic_depth(nn.leaky_relu(y, self.slope), self.rate, train)


class Chain(nn.Module):
    rates: tuple
    scan: bool
    cycle: int = 1
    slopes: tuple = (0.0,)

    @nn.compact
    def __call__(self, x, train=False):
        slopes = [self.slopes[i % len(self.slopes)] for i in range(len(self.rates))]
        blocks = [
            Block(rate, slope, name=f"b{i}")
            for i, (rate, slope) in enumerate(zip(self.rates, slopes, strict=True))
        ]
        return in_turn(blocks, x, train, scan=self.scan, cycle=self.cycle)


@pytest.fixture
def accelerator(monkeypatch):
    """Compiled as for a device whose loops are fast."""
    monkeypatch.setattr(scanned, "written_out", lambda: False)


def loops(module, variables, x):
    return str(jax.make_jaxpr(module.apply)(variables, x)).count(" scan[")


def test_the_same_as_unrolled_with_what_is_left_over(accelerator):
    x = jax.random.normal(jax.random.key(1), (2, 3, 3, 4))
    settings = {"rates": (0.0,) * 5, "cycle": 2, "slopes": (0.1, 0.7)}
    plain, looped = (Chain(**settings, scan=scan) for scan in (False, True))
    variables = plain.init(jax.random.key(0), x)
    assert jax.tree.structure(looped.init(jax.random.key(0), x)) == jax.tree.structure(variables)
    np.testing.assert_allclose(looped.apply(variables, x), plain.apply(variables, x), rtol=1e-5)
    assert (loops(looped, variables, x), loops(plain, variables, x)) == (1, 0)


def test_each_round_has_its_rate_and_draws(accelerator):
    x = jnp.ones((400, 1, 1, 2))
    draw = {"dropout": jax.random.key(3)}

    def change(*rates):
        module = Chain(rates, scan=True)
        variables = module.init({"params": jax.random.key(0)}, x[:1])
        one = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
        variables = {"params": {name: {"Dense_0": one} for name in variables["params"]}}
        return np.asarray(module.apply(variables, x, True, rngs=draw))[:, 0, 0, 0]

    # A block doubles what it is given; at a rate r, by chance, times 1 + 1 / (1 - r).
    assert (change(0.0, 0.0, 0.0) == 8).all()
    several = change(0.0, 0.5, 0.5)
    assert set(several) == {2.0, 6.0, 18.0}
    # Of independent draws half have been left out once.
    assert 0.4 < (several == 6).mean() < 0.6


# HAT takes XLA long to compile, and its groups are as SwinIR's are.
@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=pytest.mark.long) if f == "hat" else f for f in FAMILIES]
)
@pytest.mark.parametrize("drop_path", [0.0, 0.2])
def test_families(family, drop_path, accelerator):
    lr = jnp.asarray(np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
    settings = {**FAMILIES[family], "scale": 2, "drop_path": drop_path}
    plain, looped = (make_model(family, **settings, scan=scan) for scan in (False, True))
    variables = plain.init(jax.random.key(0), lr)
    assert jax.tree.structure(variables) == jax.tree.structure(looped.init(jax.random.key(0), lr))

    def loss(module, train):
        rngs = {"dropout": jax.random.key(1)}
        return lambda p: jnp.mean(module.apply({"params": p}, lr, train=train, rngs=rngs) ** 2)

    expected, found = (
        jax.jit(jax.grad(loss(m, False)))(variables["params"]) for m in (plain, looped)
    )
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())
    # A loop of groups around one of pairs of blocks.
    assert loops(looped, variables, lr) == 2
    if drop_path:
        told = jax.jit(loss(looped, True))(variables["params"])
        assert np.isfinite(told) and told != jax.jit(loss(looped, False))(variables["params"])


def test_only_networks_that_can():
    config = base.published("small", "edsr", features=8, blocks=2)
    config.scan = True
    mesh = parallel.make_mesh(jax.devices()[:1])
    with pytest.raises(UserError, match=r"scan is True: edsr cannot do that, .*swinir.* can"):
        Recipe(config, mesh)
    config.generator = base.published("small", "swinir", **FAMILIES["swinir"]).generator
    assert Recipe(config, mesh).generator.scan


def test_a_cpu_computes_no_loop():
    x = jnp.ones((1, 2, 2, 4))
    module = Chain((0.0,) * 4, scan=True)
    assert loops(module, module.init(jax.random.key(0), x), x) == 0
