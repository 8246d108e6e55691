import jax
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names, start

from jsr.models import make_model
from jsr.models.fsrcnn import from_tensorflow, recognise

LUMA = {"channels": 1}
NETWORKS = {
    12_464: {"features": 56, "shrunk": 12, "mappings": 4},
    3_937: {"features": 32, "shrunk": 5, "mappings": 1},
}


@pytest.mark.parametrize("weights", NETWORKS)
def test_the_published_networks(weights):
    hparams = NETWORKS[weights]
    d, s, m = hparams.values()
    biases_and_slopes = 2 * (2 * d + s * (m + 1)) + 1
    assert learnt("fsrcnn", **LUMA, **hparams) == weights + biases_and_slopes
    assert giga("fsrcnn", 180, 320, **LUMA, **hparams) == weights * 180 * 320 / 1e9
    assert recognise(names("fsrcnn", **LUMA, **hparams)) == {"model": "fsrcnn", "hparams": hparams}


def test_multiply_adds_are_those_of_the_table_but_for_the_transposed_convolution():
    # CARN's table says 6.0 G at x2: there it multiplies the zeros between its inputs too.
    zeros = 3 * 81 * 56 * 360 * 640 / 1e9
    assert giga("fsrcnn", 360, 640, scale=2, **LUMA) + zeros == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("tail", ["transposed", "subpixel"])
def test_any_size(scale, tail):
    small = {"features": 4, "shrunk": 2, "mappings": 1, "tail": tail}
    check_sizes("fsrcnn", scale, channels=(1, 3), **small)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("fsrcnn", scale, features=8, shrunk=4, mappings=2, **LUMA)


def subpixel(**hparams):
    small = {"scale": 3, "features": 4, "shrunk": 2, "mappings": 2, "tail": "subpixel"}
    return make_model("fsrcnn", **small, **hparams)


def test_a_frozen_graph_becomes_variables():
    rng = np.random.default_rng(0)
    kernels = [(5, 5, 1, 4), (1, 1, 4, 2), (3, 3, 2, 2), (3, 3, 2, 2), (1, 1, 2, 4), (1, 1, 4, 9)]
    arrays = {"mul_1/y": np.float32(0.5), "NCHW_output/perm": np.arange(4)}
    for i, shape in enumerate(kernels, 1):
        arrays[f"f{i}"] = rng.random(shape, np.float32)
        arrays[f"b{i}"] = rng.random(shape[-1:] if i < 6 else 1, np.float32)
        if i < 6:
            arrays[f"alpha{i}"] = rng.random(shape[-1:], np.float32)
    hparams = {"scale": 3, "features": 4, "shrunk": 2, "mappings": 2}
    hparams |= {"tail": "subpixel", "full_range": True}
    found = recognise({name: array.shape for name, array in arrays.items()})
    assert found == {"model": "fsrcnn", "hparams": hparams}
    variables = from_tensorflow(arrays)
    like = jax.eval_shape(subpixel().init, jax.random.key(0), np.zeros((1, 8, 8, 1)))
    shapes = jax.tree.map(np.shape, variables["params"])
    assert shapes == jax.tree.map(np.shape, dict(like["params"]))
    np.testing.assert_array_equal(variables["params"]["mid_part.4"]["kernel"], arrays["f4"])
    assert variables["params"]["mid_part.7"]["alpha"].tolist() == arrays["alpha5"].tolist()
    assert set(variables["params"]["last_part"]["bias"].tolist()) == {arrays["b6"].item()}


def test_full_range_luma_is_stretched_inside():
    studio = np.random.default_rng(0).uniform(16, 235, (1, 6, 5, 1)).astype(np.float32) / 255
    variables = start(subpixel(), studio)
    full = subpixel().apply(variables, (studio * 255 - 16) / 219)
    sr = subpixel(full_range=True).apply(variables, studio)
    np.testing.assert_allclose(sr, (full * 219 + 16) / 255, atol=1e-6)


def test_a_state_dict_with_subpixels_tells_its_scale():
    small = {"scale": 3, "features": 4, "shrunk": 2, "mappings": 2, "tail": "subpixel"}
    for channels in (1, 3):
        found = recognise(names("fsrcnn", channels=channels, **small))
        assert found == {"model": "fsrcnn", "hparams": small}


def test_others_are_not_recognised():
    for other in ("espcn", "srcnn", "msrresnet", "vdsr"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
    assert recognise({"alpha1": (3,)}) is None
