import re
from pathlib import Path

import numpy as np
import pytest
from families import check_sizes, giga, names, variables
from golden.weights import golden_weights

from jsr.models import make_model
from jsr.models.rdn import canonical, recognise
from jsr.torch_names import from_torch

SMALL = {"features": 8, "growth": 8, "blocks": 2, "layers": 3}
PUBLISHED = {"features": 64, "growth": 64, "blocks": 16, "layers": 8}


def yjn870(name):
    """The name of a tensor in yjn870's code."""
    name = re.sub(r"^UPNet\.(\d)\.", lambda m: f"upscale.{m[1]}.", name)
    name = re.sub(r"RDBs\.(\d+)\.convs\.(\d+)\.conv\.0", r"rdbs.\1.layers.\2.conv", name)
    for old, new in (("SFENet", "sfe"), ("RDBs", "rdbs"), ("LFF", "lff"), ("GFF", "gff")):
        name = name.replace(old, new)
    return name


def yjn870_shapes(scale, **hparams):
    shapes = names("rdn", scale=scale, **hparams)
    last = f"upscale.{4 if scale == 4 else 2}."
    return {yjn870(n).replace(last, "output."): shape for n, shape in shapes.items()}


# Exact by EDSR-PyTorch's code.
@pytest.mark.parametrize(("scale", "parameters"), [(2, 22123395), (3, 22308035), (4, 22271107)])
def test_the_published_network(scale, parameters):
    shapes = names("rdn", scale=scale)
    assert sum(np.prod(shape) for shape in shapes.values()) == parameters
    assert recognise(shapes) == {"model": "rdn", "hparams": {"scale": scale, **PUBLISHED}}


def test_multiply_adds():
    # No paper's figure was found: a multiply-add a weight and position, at each stage's size.
    positions = 180 * 320
    trunk = 22271107 - 2 * (9 * 64 * 256 + 256) - (9 * 64 * 3 + 3)
    biases = 64 * (2 + 16 * 9 + 2)
    stages = 9 * 64 * 256 * (1 + 4) + 9 * 64 * 3 * 16
    assert giga("rdn", 180, 320) * 1e9 == pytest.approx(positions * (trunk - biases + stages))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("rdn", scale, features=8, growth=4, blocks=2, layers=2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_independent_implementation(scale):
    shapes = yjn870_shapes(scale, **SMALL)
    assert {"sfe1.bias", "rdbs.1.layers.2.conv.weight", "output.weight"} <= shapes.keys()
    assert recognise(shapes) == {"model": "rdn", "hparams": {"scale": scale, **SMALL}}
    like = variables("rdn", scale=scale, **SMALL)
    values = from_torch(canonical(golden_weights(shapes)), like)
    lr = np.random.default_rng(0).random((1, 24, 20, 3), dtype=np.float32)
    sr = make_model("rdn", scale=scale, **SMALL).apply(values, lr)
    with np.load(Path(__file__).parent / "golden" / "rdn.npz") as corners:
        np.testing.assert_allclose(sr[:, -24:, -20:], corners[f"x{scale}"], atol=5e-6, rtol=0)


def test_names_of_its_own_stay():
    state = dict.fromkeys(names("rdn", **SMALL), 1)
    assert canonical(state) == state


def test_others_are_not_recognised():
    assert recognise(names("edsr", features=4, blocks=1)) is None
    shapes = names("rdn", **SMALL)
    # An encoder without enlargement, as of LIIF, and a network with more.
    assert recognise({k: v for k, v in shapes.items() if not k.startswith("UPNet")}) is None
    assert recognise({**shapes, "imnet.layers.0.weight": (256, 580)}) is None
