"""Activations by name: their values, and the networks that take them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import variables
from flax.traverse_util import flatten_dict

from jsr.errors import UserError
from jsr.models import hyper_parameters, make_model
from jsr.models.activations import Activation, activation

NARROW = {"scale": 2, "features": 4, "blocks": 1}
# With the layer that a PReLU's slopes are found in.
NETWORKS = {
    "srresnet": "block_0_act",
    "msrresnet": "block_0_act",
    "edsr": "body.1",
    "rrn": "recon_trunk.0.act",
    "srgan": "act_3",
}
NAMES = Activation.__args__


def arrays(name, **hparams):
    """Shapes by path; of a discriminator at 16x16."""
    hparams = {"features": 4, "dense": 4} if name == "srgan" else NARROW | hparams
    return flatten_dict(dict(variables(name, **hparams)))


def test_values():
    x = np.float64([-30.0, -1.5, 0.0, 0.3, 2.0, 30.0])
    expected = {
        "relu": np.maximum(x, 0),
        "leaky": np.where(x < 0, 0.2 * x, x),
        "silu": x / (1 + np.exp(-x)),
        "mish": x * np.tanh(np.log1p(np.exp(x))),
        "gelu": [0.0, -0.1002109, 0.0, 0.1853734, 1.9544997, 30.0],
    }
    for name, values in expected.items():
        made = activation(name, "")(jnp.asarray(x, jnp.float32))
        np.testing.assert_allclose(made, values, rtol=2e-6, atol=1e-6, err_msg=name)
    # exp(x) alone would be infinite.
    assert float(activation("mish", "")(jnp.float32(500.0))) == 500.0
    gradient = jax.grad(lambda x: activation("mish", "")(x))
    assert [float(gradient(jnp.float32(x))) for x in (-200.0, 200.0)] == [0.0, 1.0]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_choice_adds_weights_for_prelu_alone(network):
    def made(name):
        if network == "srgan":
            hparams = {"features": 4, "dense": 4, "activation": name}
            return flatten_dict(dict(variables(network, **hparams)))
        return flatten_dict(dict(variables(network, **NARROW, activation=name)))

    bare = made("relu")
    for name in NAMES:
        found = made(name)
        if name != "prelu":
            assert found == bare
            continue
        more = found.keys() - bare.keys()
        assert all(path[-1] == "alpha" for path in more)
        assert any(NETWORKS[network] in path for path in more)
        assert {path: found[path] for path in bare} == bare


def test_another_activation_makes_another_picture():
    lr = np.random.default_rng(0).random((1, 6, 6, 3), np.float32)
    values = make_model("msrresnet", **NARROW).init(jax.random.key(0), lr)
    made = {}
    for name in set(NAMES) - {"prelu"}:
        module = make_model("msrresnet", **NARROW, activation=name)
        made[name] = np.asarray(module.apply(values, lr)).tobytes()
    assert len(set(made.values())) == len(made)


def test_unknown_names_are_refused():
    known = "must be one of 'relu', 'leaky', 'prelu', 'gelu', 'silu', 'mish', not 'swish'"
    for name in (*NETWORKS, "conditional"):
        assert "activation" in hyper_parameters(name)
        with pytest.raises(UserError, match=f"activation of model '{name}' {known}"):
            make_model(name, activation="swish")
