import functools
import re

import numpy as np
import pytest
from families import check_sizes, giga, golden, names

from jsr.models.rcan import canonical, recognise

SMALL = {"features": 8, "groups": 2, "blocks": 2, "reduction": 4}


@functools.cache
def parameters(scale, **hparams):
    return sum(np.prod(shape) for shape in names("rcan", scale=scale, **hparams).values())


def test_the_published_network():
    # 15.59 M by the authors; exact by their code.
    shapes = names("rcan")
    assert sum(np.prod(shape) for shape in shapes.values()) == 15592355
    hparams = {"scale": 4, "features": 64, "groups": 10, "blocks": 20, "reduction": 16}
    assert recognise(shapes) == {"model": "rcan", "hparams": hparams}


# 15.44 and 15.63 M by the authors; the body is the same at every scale, so a small one will do.
@pytest.mark.parametrize(("scale", "published"), [(2, 15444643), (3, 15629283), (8, 15740067)])
def test_other_scales(scale, published):
    one = {"groups": 1, "blocks": 1}
    assert published - 15592355 == parameters(scale, **one) - parameters(4, **one)
    assert recognise(names("rcan", scale=scale, **one))["hparams"]["scale"] == scale


def test_multiply_adds():
    def tera(groups, blocks):
        return giga("rcan", 256, 256, groups=groups, blocks=blocks) / 1e3

    block, group = tera(1, 2) - tera(1, 1), tera(2, 1) - tera(1, 1)
    # SwinIR's README: 850.6 G for 256x256 at x4. That is with 16 blocks a group as BasicSR has by
    # default, not 20, and with the attention's means, an addition an element.
    whole = tera(1, 1) + 9 * group + 10 * 15 * block
    assert whole + 160 * 64 * 256 * 256 / 1e12 == pytest.approx(0.8506, abs=1e-4)
    # What the class says of 20 blocks and an SR of 1280x720.
    assert (whole + 10 * 4 * block) * 180 * 320 / 256**2 == pytest.approx(0.917, abs=5e-4)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("rcan", scale, features=8, groups=1, blocks=1, reduction=4)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_independent_implementation(scale):
    golden("rcan", scale, **SMALL)


def test_names_of_basicsr():
    shapes = names("rcan", **SMALL)
    renamings = (
        (r"^head\.0", "conv_first"),
        (r"^body\.2\.", "conv_after_body."),
        (r"^body\.(\d)\.body\.2\.", r"body.\1.conv."),
        (r"^body\.(\d)\.body\.(\d)\.body\.", r"body.\1.residual_group.\2.rcab."),
        (r"3\.conv_du\.0", "3.attention.1"),
        (r"3\.conv_du\.2", "3.attention.3"),
        (r"^tail\.0\.", "upsample."),
        (r"^tail\.1", "conv_last"),
    )
    old = {}
    for name in shapes:
        value = name
        for pattern, replacement in renamings:
            name = re.sub(pattern, replacement, name)
        old[name] = value
    assert {
        "body.1.residual_group.0.rcab.3.attention.1.weight",
        "body.0.conv.bias",
        "conv_after_body.weight",
    } <= old.keys()
    assert canonical(old) == {name: name for name in shapes}
    assert recognise({k: shapes[v] for k, v in old.items()}) == recognise(shapes)


def test_others_are_not_recognised():
    assert recognise(names("edsr", features=4, blocks=1)) is None
    shapes = names("rcan", **SMALL)
    # HAN: RCAN's names and more.
    assert recognise({**shapes, "la.gamma": (1,)}) is None
    assert recognise({k: v for k, v in shapes.items() if not k.startswith("tail.0")}) is None
