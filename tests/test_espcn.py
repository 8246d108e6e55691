import jax
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models import make_model
from jsr.models.espcn import from_tensorflow, recognise

LUMA = {"channels": 1}


@pytest.mark.parametrize("scale, parameters", [(2, 21_284), (3, 22_729), (4, 24_752)])
def test_the_published_networks(scale, parameters):
    # Those of the PyTorch implementation that also gives the outputs below.
    hparams = {"scale": scale, "features": 64, "mapped": 32}
    assert learnt("espcn", scale=scale, **LUMA) == parameters
    biases = 64 + 32 + scale**2
    assert giga("espcn", 180, 320, scale=scale, **LUMA) == (parameters - biases) * 180 * 320 / 1e9
    for channels in (1, 3):
        found = recognise(names("espcn", scale=scale, channels=channels))
        assert found == {"model": "espcn", "hparams": hparams}


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("espcn", scale, channels=(1, 3), features=4, mapped=2)
    check_sizes("espcn", scale, channels=(1,), features=4, mapped=2, bounded=True, full_range=True)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden("espcn", scale, **LUMA)


def frozen(scale=2):
    rng = np.random.default_rng(0)
    kernels = [(5, 5, 1, 4), (3, 3, 4, 2), (3, 3, 2, scale**2)]
    arrays = {f"f{i}": rng.random(shape, np.float32) for i, shape in enumerate(kernels, 1)}
    return arrays | {f"b{i}": rng.random(s[-1:], np.float32) for i, s in enumerate(kernels, 1)}


def test_a_frozen_graph_becomes_variables():
    arrays = frozen()
    found = recognise({name: array.shape for name, array in arrays.items()})
    hparams = {"scale": 2, "features": 4, "mapped": 2}
    hparams |= {"activation": "relu", "bounded": True, "full_range": True}
    assert found == {"model": "espcn", "hparams": hparams}
    params = from_tensorflow(arrays)["params"]
    np.testing.assert_array_equal(params["first_part.2"]["kernel"], arrays["f2"])
    np.testing.assert_array_equal(params["last_part.0"]["bias"], arrays["b3"])


def test_a_bounded_network_of_full_range_luma():
    variables = from_tensorflow(frozen())
    hparams = {"scale": 2, "features": 4, "mapped": 2, "activation": "relu"}
    studio = np.random.default_rng(0).uniform(16, 235, (1, 6, 5, 1)).astype(np.float32) / 255
    plain = make_model("espcn", **hparams).apply(variables, (studio * 255 - 16) / 219)
    sr = make_model("espcn", bounded=True, full_range=True, **hparams).apply(variables, studio)
    np.testing.assert_allclose(sr, (np.tanh(plain) * 219 + 16) / 255, atol=1e-6)
    tanh = make_model("espcn", **{**hparams, "activation": "tanh"}).apply(variables, studio)
    assert float(jax.numpy.abs(tanh - plain).max()) > 0.1


def test_others_are_not_recognised():
    for other in ("fsrcnn", "srcnn", "msrresnet", "vdsr"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
