import re

import numpy as np
import pytest
from families import check_sizes, giga, golden_case, learnt, names, variables
from golden.weights import golden_weights

from jsr.models.rrdb import canonical, recognise
from jsr.torch_names import from_torch

# From BasicSR's code, which Real-ESRGAN uses. Of the larger network at x2 and x1, 16,703,171 and
# 16,723,907 parameters, only the first layer differs, as it does of the smaller one.
PUBLISHED = [
    ({"scale": 4, "blocks": 23, "unshuffle": True}, 16_697_987),
    ({"scale": 4, "blocks": 6, "unshuffle": True}, 4_467_779),
    ({"scale": 2, "blocks": 6, "unshuffle": True}, 4_472_963),
    ({"scale": 1, "blocks": 6, "unshuffle": True}, 4_493_699),
    ({"scale": 8, "blocks": 6, "unshuffle": True}, 4_504_707),
    ({"scale": 2, "blocks": 6, "unshuffle": False}, 4_430_851),
    ({"scale": 1, "blocks": 6, "unshuffle": False}, 4_393_923),
]


def second_names(shapes):
    """As in the code that ESRGAN's authors released after the challenge."""
    swaps = {r"body\.(\d+)\.rdb": r"RRDB_trunk.\1.RDB", "conv_body": "trunk_conv"}
    swaps |= {"conv_up": "upconv", "conv_hr": "HRconv"}
    for new, old in swaps.items():
        shapes = {re.sub("^" + new, old, name): shape for name, shape in shapes.items()}
    return shapes


def first_names(shapes):
    """As in the first release: one sequence, in which enlargement and activations count too."""
    body = {name.split(".")[1] for name in shapes if name.startswith("body.")}
    ups = sum(f"conv_up{i}.bias" in shapes for i in (1, 2, 3))
    places = {f"conv_up{i}": 3 * i for i in range(1, ups + 1)}
    places |= {"conv_first": 0, "conv_hr": 3 * ups + 2, "conv_last": 3 * ups + 4}
    places["conv_body"] = f"1.sub.{len(body)}"
    renamed = {}
    for name, shape in shapes.items():
        name = re.sub(r"body\.(\d+)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", name)
        layer, _, leaf = name.rpartition(".")
        renamed[f"model.{places[layer]}.{leaf}" if layer in places else name] = shape
    return renamed


@pytest.mark.parametrize(("hparams", "parameters"), PUBLISHED)
def test_published_networks(hparams, parameters):
    shapes = names("rrdb", **hparams)
    assert learnt("rrdb", **hparams) == parameters
    found = {"model": "rrdb", "hparams": {"features": 64, "growth": 32, **hparams}}
    for rename in (dict, second_names, first_names):
        assert recognise(rename(shapes)) == found
        assert canonical(rename(shapes)) == shapes


def test_names_of_the_first_release():
    first = first_names(names("rrdb", blocks=2))
    assert first["model.1.sub.0.RDB1.conv1.0.weight"] == (32, 64, 3, 3)
    assert first["model.1.sub.2.bias"] == first["model.3.bias"] == first["model.6.bias"] == (64,)
    assert first["model.8.weight"] == (64, 64, 3, 3) and first["model.10.bias"] == (3,)


def test_multiply_adds():
    # Not published. By hand: weights of 3 x 3 times the pixels that each is applied to.
    block = 3 * (64 * 32 + 96 * 32 + 128 * 32 + 160 * 32 + 192 * 64)
    pixels = 3 * 64 + 6 * block + 64 * 64 + 4 * 64 * 64 + 16 * (64 * 64 + 64 * 64 + 64 * 3)
    assert giga("rrdb", 64, 64, blocks=6) == pytest.approx(9 * 64 * 64 * pixels / 1e9)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_any_size(scale):
    check_sizes("rrdb", scale, features=4, blocks=1, growth=2, channels=(1, 3))


@pytest.mark.parametrize(
    ("case", "hparams"),
    [(f"x{s}", {"scale": s}) for s in (1, 2, 4, 8)]
    + [("plain_x2", {"scale": 2, "unshuffle": False})],
)
def test_the_original(case, hparams):
    narrow = {"features": 8, "blocks": 1, **hparams}
    weights = golden_weights(first_names(names("rrdb", **narrow)))
    values = from_torch(canonical(weights), variables("rrdb", **narrow))
    *_, sr = golden_case("rrdb", case, (9, 10), values, **narrow)
    assert np.isfinite(sr).all()


def test_others_are_not_recognised():
    assert recognise(names("swinir", groups=1, blocks=1)) is None
    assert (
        recognise({"conv_first.weight": (64, 3, 3, 3), "conv_last.weight": (3, 64, 3, 3)}) is None
    )
    shapes = names("rrdb", blocks=1)
    assert recognise({**shapes, "body.0.rdb1.conv1x1.weight": (32, 64, 1, 1)}) is None
    # A quarter of the size at twice the resolution: no such network.
    assert recognise({**shapes, "conv_first.weight": (64, 27, 3, 3)}) is None
