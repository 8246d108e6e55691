import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import check_sizes, giga, golden_case, learnt, names, start, variables
from golden.weights import golden_weights

from jsr.models.span import Conv3XC, canonical, recognise, reparameterise
from jsr.torch_names import from_torch, to_torch

SPAN = {"scale": 4, "features": 48, "form": "branches", "norm": True}
NARROW = {"features": 8}


@pytest.mark.parametrize(
    ("hparams", "parameters"),
    [
        # From the authors' code: without the merged kernels, which its files hold as well.
        (SPAN, 1_840_488),
        ({**SPAN, "scale": 2}, 1_824_900),
        ({**SPAN, "form": "single"}, 426_288),
        # The baseline of NTIRE 2026's challenge on efficient SR: 0.151 M.
        ({**SPAN, "features": 28, "form": "single"}, 150_688),
        # Only the mark that tells it from the others.
        ({**SPAN, "norm": False}, 1_840_489),
    ],
)
def test_published_networks(hparams, parameters):
    assert learnt("span", **hparams) == parameters
    assert recognise(names("span", **hparams)) == {"model": "span", "hparams": hparams}


def test_multiply_adds():
    # The NTIRE baseline has 9.83 G for 256 x 256.
    assert giga("span", 256, 256, features=28, form="single") == pytest.approx(9.83, abs=0.005)
    # Merging the branches takes 0.1 G, whatever the size.
    single = giga("span", 180, 320, form="single")
    assert giga("span", 180, 320) - single == pytest.approx(0.12, abs=0.01)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    form = "branches" if scale == 3 else "single"
    check_sizes("span", scale, channels=(1, 3) if scale <= 3 else (3,), form=form, **NARROW)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_original(scale):
    golden_case("span", f"x{scale}", (9, 10), tolerance=2e-5, scale=scale, **NARROW)


def test_the_original_reparameterised():
    weights = golden_weights(names("span", scale=3, **NARROW))
    single = {"scale": 3, "form": "single", **NARROW}
    values = from_torch(reparameterise(weights), variables("span", **single))
    golden_case("span", "x3", (9, 10), values, tolerance=2e-5, **single)


def test_the_original_without_normalisation():
    golden_case("span", "no_norm", (9, 10), scale=2, norm=False, **NARROW)


def test_a_file_holds_the_merged_kernels_too():
    branches, single = (names("span", form=form) for form in ("branches", "single"))
    file = {**branches, **single}
    assert canonical(file) == branches and canonical(single) == single
    assert recognise(file) == recognise(branches)


def test_the_kernel_is_that_of_the_branches_up_to_the_border():
    module = Conv3XC(2, "branches")
    x = jnp.asarray(np.random.default_rng(0).random((1, 5, 6, 3), dtype=np.float32))
    values = start(module, x)
    w = {name: jnp.asarray(tensor) for name, tensor in to_torch(values).items()}

    def layer(x, name, pad=0):
        layout = ("NHWC", "OIHW", "NHWC")
        x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        kernel, bias = w[name + ".weight"], w[name + ".bias"]
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", None, None, layout) + bias

    row = layer(layer(layer(x, "conv.0", pad=1), "conv.1"), "conv.2")
    np.testing.assert_allclose(module.apply(values, x), row + layer(x, "sk"), atol=1e-6)


def test_others_are_not_recognised():
    assert recognise(names("safmn", blocks=1)) is None
    assert recognise({**names("span"), "block_7.c1_r.sk.bias": (48,)}) is None
