import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models.pan import recognise


@pytest.mark.parametrize(
    ("scale", "parameters", "told"), [(2, 261403, [2, 3]), (3, 261403, [2, 3]), (4, 272419, None)]
)
def test_the_published_network(scale, parameters, told):
    assert learnt("pan", scale=scale) == parameters
    hparams = {"features": 40, "up_features": 24, "blocks": 16}
    expected = {"scales": told} if told else {}
    hparams |= {} if told else {"scale": scale}
    found = recognise(names("pan", scale=scale))
    assert found == {"model": "pan", "hparams": hparams, **expected}


@pytest.mark.parametrize(
    ("scale", "size", "published"),
    [(2, (360, 640), 70.5), (3, (240, 426), 39.0), (4, (180, 320), 28.2)],
)
def test_multiply_adds(scale, size, published):
    assert giga("pan", *size, scale=scale) == pytest.approx(published, abs=0.05)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("pan", scale, features=8, up_features=6, blocks=2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("pan", scale, features=8, up_features=6, blocks=2)


def test_others_are_not_recognised():
    assert recognise(names("rlfn")) is None
