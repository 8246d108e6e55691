import re

import numpy as np
import pytest
from families import check_sizes, giga, golden, names, start
from golden.weights import golden_weights

from jsr.models import make_model
from jsr.models.edsr import canonical, recognise
from jsr.models.layers import DIV2K_MEAN
from jsr.torch_names import from_torch, to_torch

LARGE = {"features": 256, "blocks": 32, "res_scale": 0.1}
BASELINE = {"features": 64, "blocks": 16, "res_scale": 1.0}


# EDSR-PyTorch's README: 1.37, 1.55, 1.52 M; 40.7, 43.7, 43.1 M. Exact by its code.
@pytest.mark.parametrize(
    ("scale", "size", "parameters"),
    [
        (2, BASELINE, 1369859),
        (3, BASELINE, 1554499),
        (4, BASELINE, 1517571),
        (2, LARGE, 40729603),
        (3, LARGE, 43680003),
        (4, LARGE, 43089923),
    ],
)
def test_published_networks(scale, size, parameters):
    shapes = names("edsr", scale=scale, **size)
    assert sum(np.prod(shape) for shape in shapes.values()) == parameters
    assert recognise(shapes) == {"model": "edsr", "hparams": {"scale": scale, **size}}


# EDSR-PyTorch's README: 3.23 and 7.95 M.
@pytest.mark.parametrize(("blocks", "parameters"), [(16, 3227203), (80, 7953987)])
def test_published_multi_scale_networks(blocks, parameters):
    shapes = names("mdsr", blocks=blocks)
    assert sum(np.prod(shape) for shape in shapes.values()) == parameters
    assert recognise(shapes) == {"model": "mdsr", "hparams": {"features": 64, "blocks": blocks}}


def test_multiply_adds():
    assert giga("edsr", 360, 640, scale=2) == pytest.approx(316.3, abs=0.06)
    # The branches of other scales cost nothing: MDSR is EDSR and four convolutions of 5x5.
    small = {"features": 8, "blocks": 1}
    extra = 4 * (5 * 5 * 8 * 8) * 180 * 320 / 1e9
    assert giga("mdsr", 180, 320, **small) == pytest.approx(
        giga("edsr", 180, 320, **small) + extra, rel=1e-4
    )


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("edsr", scale, channels=(3, 1) if scale == 8 else (3,), features=4, blocks=1)
    if scale < 8:
        check_sizes("mdsr", scale, features=4, blocks=1)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_original(scale):
    golden("edsr", scale, features=8, blocks=2, res_scale=0.1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original_for_all_scales(scale):
    golden("mdsr", scale, features=8, blocks=1)


def test_every_scale_of_mdsr_has_the_same_variables():
    x2, x3, x4 = (names("mdsr", scale=s, features=4, blocks=1) for s in (2, 3, 4))
    assert x2 == x3 == x4


def test_names_of_basicsr():
    new = {name: i for i, name in enumerate(names("edsr", features=4, blocks=2))}
    renamings = (
        (r"^head\.0", "conv_first"),
        (r"^body\.(\d)\.body\.0", r"body.\1.conv1"),
        (r"^body\.(\d)\.body\.2", r"body.\1.conv2"),
        (r"^body\.2\.", "conv_after_body."),
        (r"^tail\.0\.", "upsample."),
        (r"^tail\.1", "conv_last"),
    )
    old = {}
    for name, i in new.items():
        for pattern, replacement in renamings:
            name = re.sub(pattern, replacement, name)
        old[name] = i
    assert {"body.1.conv2.weight", "conv_after_body.bias", "upsample.2.weight"} <= old.keys()
    assert canonical(old) == new
    shapes = names("edsr", features=4, blocks=2)
    assert recognise({k: shapes[n] for k, n in zip(old, new, strict=True)}) == recognise(shapes)


def shifts(before, minus, after, plus):
    return {
        "sub_mean.weight": before[..., None, None],
        "sub_mean.bias": minus,
        "add_mean.weight": after[..., None, None],
        "add_mean.bias": plus,
    }


def test_mean_shifts_that_were_trained():
    module = make_model("edsr", scale=2, features=8, blocks=2, res_scale=0.1)
    lr = np.random.default_rng(0).random((1, 24, 20, 3), dtype=np.float32)
    like, mean = start(module, lr), 255 * np.float32(DIV2K_MEAN)
    before = np.array([[1.1, 0.1, 0], [0, 0.9, 0], [0, 0.2, 1]], np.float32)
    after = np.array([[0.9, 0, 0.1], [0, 1, 0], [0.3, 0, 1]], np.float32)
    state = {**to_torch(like), **shifts(before, -before @ mean, after, mean + 2)}
    folded = from_torch(canonical(state), like)
    # The same in two other ways: a picture changed before, and one changed behind.
    changed = ((255 * lr - mean) @ before.T + mean) / 255
    inner = 255 * module.apply(like, changed) - mean
    expected = (inner @ after.T + mean + 2) / 255
    np.testing.assert_allclose(module.apply(folded, lr), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "tail"), [("edsr", "tail.1"), ("mdsr", "tail.0")])
def test_constant_mean_shifts(name, tail):
    state = golden_weights(names(name, scale=2, features=4, blocks=1))
    mean, eye = 255 * np.float32(DIV2K_MEAN), np.eye(3, dtype=np.float32)
    kept = canonical({**state, **shifts(eye, -mean, eye, mean)})
    assert kept.keys() == state.keys()
    for key in ("head.0.weight", "head.0.bias", f"{tail}.weight", f"{tail}.bias"):
        np.testing.assert_allclose(kept[key], state[key], atol=1e-5)
    # A changed mean of the last shift is a changed last bias.
    moved = canonical({**state, **shifts(eye, -mean, eye, mean + 2)})
    np.testing.assert_allclose(moved[f"{tail}.bias"], state[f"{tail}.bias"] + 2, atol=1e-5)


def test_others_are_not_recognised():
    assert recognise(names("rcan", features=16, groups=1, blocks=1)) is None
    assert recognise({"head.0.weight": (64, 3, 3, 3)}) is None
    # Denoising networks of the same code enlarge by nothing.
    shapes = names("edsr", features=4, blocks=1)
    assert recognise({k: v for k, v in shapes.items() if not k.startswith("tail.0")}) is None
    assert canonical({"sub_mean.weight": 1}) == {"sub_mean.weight": 1}
