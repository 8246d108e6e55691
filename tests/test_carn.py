import numpy as np
import pytest
from families import check_sizes, giga, golden, names

from jsr.models.carn import canonical, recognise


def test_the_published_networks():
    sizes = {}
    for name, groups in (("carn", 1), ("carn_m", 4)):
        shapes = names(name)
        hparams = {"features": 64, "groups": groups, "multi_scale": True}
        assert recognise(shapes) == {"model": name, "hparams": hparams}
        sizes[name] = sum(np.prod(shape) for shape in shapes.values())
    # 1,592 K and 412 K (Table 1); the second is without its 2,755 biases.
    assert sizes == {"carn": 1591939, "carn_m": 412032 + 2755}


# For one scale alone, exact by the authors' code.
@pytest.mark.parametrize(("scale", "parameters"), [(2, 964163), (3, 1148803), (4, 1111875)])
def test_a_single_scale(scale, parameters):
    hparams = {"scale": scale, "features": 64, "groups": 1, "multi_scale": False}
    shapes = names("carn", **hparams)
    assert sum(np.prod(shape) for shape in shapes.values()) == parameters
    assert recognise(shapes) == {"model": "carn", "hparams": hparams}
    hparams = {"scale": scale, "features": 32, "groups": 4, "multi_scale": False}
    assert recognise(names("carn_m", **hparams)) == {"model": "carn_m", "hparams": hparams}


# Table 1; at x3 an LR of 427x240 is a little more than a ninth of 1280x720.
@pytest.mark.parametrize(
    ("name", "published"), [("carn", (222.8, 118.8, 90.9)), ("carn_m", (91.2, 46.1, 32.5))]
)
def test_multiply_adds(name, published):
    x2, x3, x4 = published
    assert giga(name, 360, 640, scale=2) == pytest.approx(x2, abs=0.05)
    assert giga(name, 240, 427, scale=3) / 427 * 1280 / 3 == pytest.approx(x3, abs=0.05)
    assert giga(name, 180, 320, scale=4) == pytest.approx(x4, abs=0.05)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("carn", scale, features=8)


def test_any_size_at_a_single_scale():
    check_sizes("carn_m", 3, features=8, multi_scale=False)


def test_every_scale_has_the_same_variables():
    x2, x3, x4 = (names("carn_m", scale=scale, features=8) for scale in (2, 3, 4))
    assert x2 == x3 == x4


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["carn", "carn_m"])
def test_the_original(name, scale):
    golden(name, scale)


def test_mean_shifts_are_left_out():
    shifts = {f"{which}_mean.shifter.{leaf}": 1 for which in ("sub", "add") for leaf in "wb"}
    assert canonical({**shifts, "entry.bias": 2}) == {"entry.bias": 2}


def test_others_are_not_recognised():
    assert recognise(names("edsr", features=4, blocks=1)) is None
    shapes = names("carn", features=8, multi_scale=False)
    assert recognise({**shapes, "b1.b1.se.weight": (8, 8)}) is None
    assert recognise({k: v for k, v in shapes.items() if "upsample" not in k}) is None
