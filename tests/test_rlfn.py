import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models.rlfn import recognise

RLFN = {"features": 52, "middle": 52, "blocks": 6, "attention": 16}
SMALL = {"features": 48, "middle": 48, "blocks": 6, "attention": 16}
NTIRE = {"features": 46, "middle": 48, "blocks": 4, "attention": 16}


@pytest.mark.parametrize(
    ("scale", "hparams", "parameters"),
    [
        (2, RLFN, 526856),
        (4, RLFN, 543740),
        (2, SMALL, 454620),
        (4, SMALL, 470208),
        (4, NTIRE, 317218),
    ],
)
def test_the_published_networks(scale, hparams, parameters):
    hparams = {"scale": scale, **hparams}
    assert learnt("rlfn", **hparams) == parameters
    assert recognise(names("rlfn", **hparams)) == {"model": "rlfn", "hparams": hparams}


def test_multiply_adds():
    assert giga("rlfn", 360, 640, scale=2) == pytest.approx(115.4, abs=0.05)
    assert giga("rlfn", 180, 320, scale=4) == pytest.approx(29.8, abs=0.05)
    # The authors' 19.70 G count leaky ReLUs too.
    assert giga("rlfn", 256, 256, **NTIRE) == pytest.approx(19.658, abs=0.001)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("rlfn", scale, features=8, middle=6, blocks=2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("rlfn", scale, features=8, middle=6, blocks=4)


def test_others_are_not_recognised():
    assert recognise(names("rfdn")) is None
