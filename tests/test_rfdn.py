import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names, start

from jsr.models.esa import ESA
from jsr.models.rfdn import recognise


# Beside the x4 network that is published: the same code at other scales.
@pytest.mark.parametrize(("scale", "parameters"), [(2, 417212), (3, 423977), (4, 433448)])
def test_the_published_network(scale, parameters):
    assert learnt("rfdn", scale=scale) == parameters
    hparams = {"scale": scale, "features": 50, "blocks": 4}
    assert recognise(names("rfdn", scale=scale)) == {"model": "rfdn", "hparams": hparams}


def test_multiply_adds():
    # The 27.10 G of the challenge's tools count leaky ReLUs too.
    assert giga("rfdn", 256, 256) == pytest.approx(27.034, abs=0.001)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("rfdn", scale, features=8, blocks=2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("rfdn", scale, features=8)


def test_a_small_picture_is_weighed_like_one_that_continues_its_border():
    module = ESA(4)
    small = np.random.default_rng(0).random((1, 6, 15, 8), dtype=np.float32)
    large = np.pad(small, ((0, 0), (0, 9), (0, 0), (0, 0)), mode="edge")
    values = start(module, large)
    expected = module.apply(values, large)[:, :6]
    np.testing.assert_allclose(module.apply(values, small), expected, atol=1e-6)


def test_others_are_not_recognised():
    assert recognise(names("bsrn")) is None
    assert recognise(names("imdn")) is None
