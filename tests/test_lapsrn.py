import jax
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names, start

from jsr.models import make_model
from jsr.models.lapsrn import from_matconvnet, recognise

LUMA = {"channels": 1}
UPCONV = 64 * 64 * 9


@pytest.mark.parametrize(
    "scale, depth, parameters", [(2, 10, 407_441), (4, 10, 814_242), (8, 5, 667_123)]
)
def test_the_published_networks(scale, depth, parameters):
    # Those in the released files.
    hparams = {"scale": scale, "features": 64, "depth": depth}
    tensors = names("lapsrn", **LUMA, **hparams)
    assert learnt("lapsrn", **LUMA, **hparams) == parameters
    assert recognise(tensors) == {"model": "lapsrn", "hparams": hparams}


def test_the_published_networks_of_one_set_of_weights():
    hparams = {"features": 64, "depth": 5, "recursions": 8}
    for scale in (2, 4, 8):
        assert learnt("mslapsrn", scale=scale, **LUMA) == 222_801
    assert recognise(names("mslapsrn", **LUMA)) == {"model": "mslapsrn", "hparams": hparams}


def test_multiply_adds_are_those_of_the_table_but_for_transposed_convolutions():
    # CARN's table says 149.4 G at x4: there a transposed convolution multiplies the zeros between
    # its inputs too. Its 29.9 G at x2 are those of the first level of x4, at 640x360.
    zeros = 3 * UPCONV * (180 * 320 + 360 * 640) / 1e9
    assert giga("lapsrn", 180, 320, scale=4, **LUMA) + zeros == pytest.approx(149.4, abs=0.1)
    zeros = 3 * UPCONV * 180 * 320 / 1e9
    assert giga("lapsrn", 180, 320, scale=2, **LUMA) + zeros == pytest.approx(29.9, abs=0.05)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_any_size(scale):
    check_sizes("lapsrn", scale, channels=(1, 3), features=4, depth=1)
    check_sizes("mslapsrn", scale, channels=(1, 3), features=4, depth=1, recursions=2)


@pytest.mark.parametrize("scale, depth", [(2, 10), (4, 10), (8, 5)])
def test_the_original(scale, depth):
    golden("lapsrn", scale, tolerance=1e-5, features=8, depth=depth, **LUMA)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_original_of_one_set_of_weights(scale):
    golden("mslapsrn", scale, tolerance=1e-5, features=8, recursions=2, **LUMA)


@pytest.mark.parametrize("name", ["lapsrn", "mslapsrn"])
def test_a_mat_file_becomes_variables(name):
    hparams = {"features": 4, "depth": 2}
    rest = {"recursions": 3} if name == "mslapsrn" else {"scale": 4}
    module = make_model(name, **hparams, **rest)
    params = start(module, jax.ShapeDtypeStruct((1, 8, 8, 1), "float32"))["params"]
    arrays = {"net.params.conv1_f.weightDecay": np.ones((1, 1))}
    for layer, leaves in params.items():
        kernel = leaves["kernel"]
        # MATLAB drops last axes of one.
        shape = kernel.shape[:2] if kernel.size == 16 else kernel.shape
        shape = shape[:3] if shape[-1] == 1 else shape
        arrays[f"net.params.{layer}_f.value"] = kernel.reshape(shape)
        if "bias" in leaves:
            arrays[f"net.params.{layer}_b.value"] = leaves["bias"][None]
    for r in (1, 2, 3):
        arrays[f"net.vars.x2SR_level1_R{r}_output.precious"] = np.zeros((1, 1))
    found = recognise({key: array.shape for key, array in arrays.items()})
    assert found == {"model": name, "hparams": {**hparams, **rest}}
    jax.tree.map(np.testing.assert_array_equal, from_matconvnet(arrays)["params"], params)


def test_a_new_network_enlarges_bilinearly():
    module = make_model("lapsrn", scale=2, features=2, depth=1)
    flat = np.full((1, 6, 6, 3), 0.5, np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), flat)
    kernel = variables["params"]["level1_img_up"]["kernel"]
    assert kernel.shape == (4, 4, 3, 3)
    assert kernel[1, 2].tolist() == (np.eye(3) * 0.75**2).tolist()
    assert kernel[0, 1].tolist() == (np.eye(3) * 0.25 * 0.75).tolist()


def test_others_are_not_recognised():
    for other in ("vdsr", "srcnn", "msrresnet", "fsrcnn"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
