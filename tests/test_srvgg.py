import pytest
from families import check_sizes, giga, golden_case, learnt, names

from jsr.models.srvgg import recognise

PUBLISHED = [
    # realesr-animevideov3 and its x2 and x3; realesr-general-x4v3 (1.21 M). From the authors' code.
    ({"scale": 4, "convs": 16}, 621_424),
    ({"scale": 3, "convs": 16}, 609_307),
    ({"scale": 2, "convs": 16}, 600_652),
    ({"scale": 4, "convs": 32}, 1_213_296),
]


@pytest.mark.parametrize(("hparams", "parameters"), PUBLISHED)
def test_published_networks(hparams, parameters):
    assert learnt("srvgg", **hparams) == parameters
    found = {"features": 64, "activation": "prelu", **hparams}
    assert recognise(names("srvgg", **hparams)) == {"model": "srvgg", "hparams": found}


def test_multiply_adds():
    # Not published; by hand: 3 * 64 + convs * 64 * 64 + 64 * 48 weights of 3 x 3 at LR size.
    for convs in (16, 32):
        weights = 9 * (3 * 64 + convs * 64 * 64 + 64 * 48)
        assert giga("srvgg", 180, 320, convs=convs) == pytest.approx(weights * 180 * 320 / 1e9)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("srvgg", scale, features=4, convs=1, channels=(1, 3))


@pytest.mark.parametrize(
    ("activation", "scale"), [("prelu", s) for s in (1, 2, 3, 4)] + [("relu", 2), ("leakyrelu", 2)]
)
def test_the_original(activation, scale):
    hparams = {"scale": scale, "activation": activation, "features": 8, "convs": 2}
    golden_case("srvgg", f"{activation}_x{scale}", (9, 10), **hparams)


def test_without_prelu_relu_is_assumed():
    shapes = names("srvgg", activation="leakyrelu", features=8, convs=3, scale=2)
    hparams = {"scale": 2, "features": 8, "convs": 3, "activation": "relu"}
    assert recognise(shapes) == {"model": "srvgg", "hparams": hparams}


def test_others_are_not_recognised():
    assert recognise({}) is None
    assert recognise(names("rrdb", blocks=1)) is None
    shapes = names("srvgg", convs=2)
    assert recognise({**shapes, "tail.weight": (3, 64, 3, 3)}) is None
    assert recognise({**shapes, "body.7.weight": (64,)}) is None
    assert recognise({**shapes, "body.2.weight": (64, 64, 1, 1)}) is None
    assert recognise({k: v for k, v in shapes.items() if not k.startswith("body.1.")}) is None
