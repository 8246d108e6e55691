import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models.vdsr import from_matconvnet, recognise

LUMA = {"channels": 1}


def test_the_published_network():
    biases = 19 * 64 + 1
    assert learnt("vdsr", **LUMA) == 664_704 + biases
    assert giga("vdsr", 180, 320, scale=4, **LUMA) == pytest.approx(612.6, abs=0.05)
    hparams = {"features": 64, "layers": 20}
    assert recognise(names("vdsr", **LUMA)) == {"model": "vdsr", "hparams": hparams}


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("vdsr", scale, channels=(1, 3), features=4, layers=3)


def test_the_original():
    golden("vdsr", 1, **LUMA)


def test_a_mat_file_becomes_variables():
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4)]
    arrays = {f"model.weight.{i}": rng.random(s, np.float32) for i, s in enumerate(shapes)}
    arrays |= {f"model.bias.{i}": rng.random((n, 1), np.float32) for i, n in enumerate((4, 4, 1))}
    found = recognise({name: array.shape for name, array in arrays.items()})
    assert found == {"model": "vdsr", "hparams": {"features": 4, "layers": 3}}
    params = from_matconvnet(arrays)["params"]
    assert params["conv_2"]["kernel"].shape == (3, 3, 4, 1)
    np.testing.assert_array_equal(params["conv_2"]["kernel"][..., 0], arrays["model.weight.2"])
    np.testing.assert_array_equal(params["conv_1"]["kernel"], arrays["model.weight.1"])
    assert params["conv_0"]["bias"].tolist() == arrays["model.bias.0"][:, 0].tolist()


def test_others_are_not_recognised():
    for other in ("srcnn", "drcn", "msrresnet"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
