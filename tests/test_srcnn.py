import jax.numpy as jnp
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names
from scipy.ndimage import correlate

from jsr.models import make_model
from jsr.models.srcnn import from_matlab, recognise

LUMA = {"channels": 1}


@pytest.mark.parametrize("mapping, weights", [(1, 8_032), (3, 24_416), (5, 57_184)])
def test_the_published_networks(mapping, weights):
    hparams = {"features": 64, "mapped": 32, "mapping": mapping, "edges": "zeros"}
    assert learnt("srcnn", mapping=mapping, **LUMA) == weights + 64 + 32 + 1
    assert recognise(names("srcnn", mapping=mapping, **LUMA)) == {
        "model": "srcnn",
        "hparams": hparams,
    }


def test_multiply_adds():
    # CARN's table, of SRCNN 9-5-5 at every scale.
    for scale, height, width in ((2, 360, 640), (4, 180, 320)):
        giga_adds = giga("srcnn", height, width, scale=scale, mapping=5, **LUMA)
        assert giga_adds == pytest.approx(52.7, abs=0.05)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("srcnn", scale, channels=(1, 3), features=4, mapped=2)


def test_the_original():
    golden("srcnn", 1, mapping=5, edges="zeros", **LUMA)


def mat_arrays(f1, f2, n1=3, n2=2):
    rng = np.random.default_rng(0)
    shapes = {"conv1": (f1**2, n1), "conv2": (n1, f2**2, n2), "conv3": (n2, 25)}
    arrays = {f"weights_{layer}": rng.random(shape) - 0.5 for layer, shape in shapes.items()}
    return arrays | {f"biases_conv{i}": rng.random((n, 1)) for i, n in enumerate((n1, n2, 1), 1)}


@pytest.mark.parametrize("mapping", [1, 3])
def test_a_mat_file_of_the_authors_and_what_their_code_makes_of_it(mapping):
    arrays = mat_arrays(9, mapping)
    found = recognise({name: array.shape for name, array in arrays.items()})
    assert found == {"model": "srcnn", "hparams": {"features": 3, "mapped": 2, "mapping": mapping}}
    lr = np.random.default_rng(1).random((12, 10))
    module = make_model("srcnn", scale=1, **found["hparams"])
    sr = module.apply(from_matlab(arrays), jnp.float32(lr[None, ..., None]))

    def layer(inputs, filters, biases):
        """Filters [in, taps, out], each a column of a square one."""
        side = int(filters.shape[1] ** 0.5)
        square = filters.reshape((len(filters), side, side, -1), order="F")
        return [
            bias
            + sum(correlate(x, square[i, ..., o], mode="nearest") for i, x in enumerate(inputs))
            for o, bias in enumerate(biases[:, 0])
        ]

    w = [arrays[f"weights_conv{i}"] for i in (1, 2, 3)]
    b = [arrays[f"biases_conv{i}"] for i in (1, 2, 3)]
    first = np.maximum(layer([lr], w[0][None], b[0]), 0)
    second = np.maximum(layer(first, w[1], b[1]), 0)
    (expected,) = layer(second, w[2][..., None], b[2])
    np.testing.assert_allclose(sr[0, ..., 0], expected, atol=1e-4)


def test_others_are_not_recognised():
    for other in ("vdsr", "espcn", "fsrcnn", "msrresnet"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
    assert recognise({k: a.shape for k, a in mat_arrays(7, 1).items()}) is None
