import jax
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names, start

from jsr.models.imdn import ContrastAttention, canonical, recognise


@pytest.mark.parametrize(("scale", "parameters"), [(2, 694404), (3, 703059), (4, 715176)])
def test_the_published_network(scale, parameters):
    assert learnt("imdn", scale=scale) == parameters
    hparams = {"scale": scale, "features": 64, "blocks": 6}
    assert recognise(names("imdn", scale=scale)) == {"model": "imdn", "hparams": hparams}


# For x3 the table takes an LR of 427x240.
@pytest.mark.parametrize(
    ("scale", "size", "published"),
    [(2, (360, 640), 158.8), (3, (240, 427), 71.5), (4, (180, 320), 40.9)],
)
def test_multiply_adds(scale, size, published):
    assert giga("imdn", *size, scale=scale) == pytest.approx(published, abs=0.05)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("imdn", scale, features=16, blocks=2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("imdn", scale, features=16)


def test_a_flat_channel_has_a_gradient():
    module, x = ContrastAttention(), np.ones((1, 4, 4, 16), np.float32)
    values = start(module, x)
    assert np.isfinite(jax.grad(lambda x: module.apply(values, x).sum())(x)).all()


def test_others_are_not_recognised():
    assert recognise(names("rfdn")) is None
    assert recognise({"fea_conv.0.weight": (64, 3, 3, 3), "IMDB1.cca.conv_du.0.weight": ()}) is None


def test_names_from_several_devices():
    assert canonical({"module.c.0.bias": 1}) == canonical({"c.0.bias": 1}) == {"c.0.bias": 1}
