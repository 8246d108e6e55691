import jax.numpy as jnp
import numpy as np
import pytest
from families import check_sizes, giga, learnt, names, start
from scipy.ndimage import correlate

from jsr.models import make_model
from jsr.models.drcn import recognise

LUMA = {"channels": 1}


def test_the_published_network():
    biases, ensemble = 4 * 256 + 1, 16
    assert learnt("drcn", **LUMA) == 1_774_080 + biases + ensemble
    assert giga("drcn", 180, 320, scale=4, **LUMA) == pytest.approx(17_974.3, abs=0.05)
    hparams = {"features": 256, "recursions": 16}
    assert recognise(names("drcn", **LUMA)) == {"model": "drcn", "hparams": hparams}


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("drcn", scale, channels=(1, 3), features=4, recursions=2)


def test_it_is_what_the_papers_equations_say():
    lr = np.random.default_rng(0).random((1, 7, 6, 1), dtype=np.float32)
    module = make_model("drcn", scale=1, features=4, recursions=3)
    variables = start(module, lr)
    sr = module.apply(variables, jnp.asarray(lr))
    params = variables["params"]

    def conv(name, x):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        planes = [
            sum(
                correlate(x[..., i], kernel[..., i, o], mode="constant") for i in range(x.shape[-1])
            )
            for o in range(kernel.shape[-1])
        ]
        return np.stack(planes, axis=-1) + bias

    def relu(x):
        return np.maximum(x, 0)

    h = relu(conv("embedding_1", relu(conv("embedding_0", lr[0]))))
    expected = np.zeros_like(lr[0])
    for weight in params["ensemble"]:
        h = relu(conv("recursion", h))
        expected += weight * (lr[0] + conv("reconstruction_1", relu(conv("reconstruction_0", h))))
    np.testing.assert_allclose(sr[0], expected, atol=1e-5)


def test_others_are_not_recognised():
    for other in ("vdsr", "drrn", "msrresnet"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
