"""Channels left out by chance in training, and never otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jsr.errors import UserError
from jsr.models import make_model
from jsr.models.dropout import drop_channels, drop_rates

NARROW = {"scale": 2, "features": 4, "blocks": 2}


class Drop(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return drop_channels(x, 0.25, train)


def test_whole_channels_of_an_example_are_left_out():
    x = jnp.ones((20, 3, 2, 16))
    y = np.asarray(Drop().apply({}, x, True, rngs={"dropout": jax.random.key(0)}))
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert 0.15 < (y[:, 0, 0] == 0).mean() < 0.35
    assert Drop().apply({}, x, False) is x


def test_rates_rise_to_the_last_block():
    assert drop_rates(0.3, 2, 2) == [[0.0, pytest.approx(0.1)], [pytest.approx(0.2), 0.3]]


@pytest.mark.parametrize("more", [{"dropout": 0.5}, {"drop_path": 0.5}])
@pytest.mark.parametrize("name", ["srresnet", "msrresnet", "edsr"])
def test_networks_draw_in_training_alone(name, more):
    lr = jax.ShapeDtypeStruct((2, 4, 4, 3), "float32")
    plain, dropping = make_model(name, **NARROW), make_model(name, **NARROW, **more)
    values = jax.eval_shape(plain.init, jax.random.key(0), lr)
    assert jax.tree.map(jnp.shape, values) == jax.tree.map(
        jnp.shape, jax.eval_shape(dropping.init, jax.random.key(0), lr)
    )

    def draws(module, train):
        def apply(values, lr, key):
            rngs, mutable = {"dropout": key}, ["batch_stats"]
            return module.apply(values, lr, train=train, rngs=rngs, mutable=mutable)[0]

        return "random_bits" in str(jax.make_jaxpr(apply)(values, lr, jax.random.key(0)))

    assert draws(dropping, True)
    assert not draws(dropping, False) and not draws(plain, True)


@pytest.mark.parametrize("key", ["dropout", "drop_path"])
def test_a_rate_is_a_share(key):
    with pytest.raises(UserError, match=rf"{key} of model 'edsr' must be a share .* not 1\.0"):
        make_model("edsr", **{key: 1.0})
