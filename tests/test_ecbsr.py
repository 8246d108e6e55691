import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names

from jsr.models import make_model
from jsr.models.ecbsr import fold, recognise

M4C16 = {"features": 16, "blocks": 4}
SMALL = {"features": 6, "blocks": 2}


@pytest.mark.parametrize(("scale", "parameters"), [(2, 11548), (3, 13723), (4, 16768)])
def test_the_published_network(scale, parameters):
    hparams = {"scale": scale, **M4C16}
    assert learnt("ecbsr_plain", **hparams) == parameters
    for model in ("ecbsr", "ecbsr_plain"):
        assert recognise(names(model, **hparams)) == {"model": model, "hparams": hparams}


# The published 2.64, 3.14 and 3.83 G count additions of biases too.
@pytest.mark.parametrize(("scale", "counted"), [(2, 2.621), (3, 3.119), (4, 3.815)])
def test_multiply_adds(scale, counted):
    assert giga("ecbsr_plain", 360, 640, scale=scale) == pytest.approx(counted, abs=0.001)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_size(scale):
    check_sizes("ecbsr", scale, channels=(1, 3), **SMALL)
    check_sizes("ecbsr_plain", scale, channels=(1, 3), **SMALL)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original_in_training_and_folded(scale):
    values, lr, sr = golden("ecbsr", scale, tolerance=1e-4, **SMALL)
    plain = make_model("ecbsr_plain", scale=scale, **SMALL)
    np.testing.assert_allclose(plain.apply(fold(values), lr), sr, atol=1e-5)


def test_others_are_not_recognised():
    tensors = names("ecbsr_plain", scale=2, **M4C16)
    equivalent = {
        **tensors,
        "backbone.6.0.weight": (12, 12, 1, 1),  # ETDS's variant ends with a 1x1 convolution
        "backbone.6.0.bias": (12,),
    }
    assert recognise(equivalent) is None
    assert recognise(names("imdn")) is None
