import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models.bsrn import recognise


@pytest.mark.parametrize(("scale", "parameters"), [(2, 331628), (3, 340283), (4, 352400)])
def test_the_published_network(scale, parameters):
    tensors = names("bsrn", scale=scale)
    assert learnt("bsrn", scale=scale) == parameters
    hparams = {"scale": scale, "features": 64, "blocks": 8}
    assert recognise(tensors) == {"model": "bsrn", "hparams": hparams}


def test_multiply_adds():
    # The published 19.4 G count the 0.24 G additions of biases too.
    assert giga("bsrn", 180, 320) == pytest.approx(19.177, abs=0.001)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("bsrn", scale, features=16, blocks=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("bsrn", scale, features=16)


def test_others_are_not_recognised():
    assert recognise(names("rfdn")) is None
