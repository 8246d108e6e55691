"""Kernels drawn anew by name; everything else is kept."""

import jax
import numpy as np
import pytest

from jsr.errors import UserError
from jsr.initializers import INITIALIZERS, draw_kernels

PARAMS = {
    "conv": {"kernel": np.ones((3, 3, 32, 64), np.float32), "bias": np.full(64, 2.0, np.float32)},
    "act": {"alpha": np.full(64, 0.25, np.float32)},
}
# Standard deviations of a kernel with 288 inputs and 576 outputs.
DEVIATIONS = {
    "he": (2 / 288) ** 0.5,
    "he_tenth": 0.1 * (2 / 288) ** 0.5,
    "xavier": (2 / (288 + 576)) ** 0.5,
    "orthogonal": (2 / 288) ** 0.5,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_kernels_have_the_variance_of_their_name(name):
    drawn = draw_kernels(jax.random.key(0), PARAMS, name)
    kernel = np.asarray(drawn["conv"]["kernel"])
    assert kernel.std() == pytest.approx(DEVIATIONS[name], rel=0.05)
    assert drawn["conv"]["bias"] is PARAMS["conv"]["bias"]
    assert drawn["act"]["alpha"] is PARAMS["act"]["alpha"]
    if name == "orthogonal":
        columns = kernel.reshape(288, 64)
        np.testing.assert_allclose(columns.T @ columns, 2 * np.eye(64), atol=1e-4)


def test_kernels_of_one_shape_differ_and_no_name_keeps_them():
    twins = {"a": {"kernel": np.ones((1, 1, 4, 4))}, "b": {"kernel": np.ones((1, 1, 4, 4))}}
    drawn = draw_kernels(jax.random.key(0), twins, "he")
    assert np.abs(drawn["a"]["kernel"] - drawn["b"]["kernel"]).min() > 0
    assert draw_kernels(jax.random.key(0), twins, "") is twins


def test_unknown_names_are_refused():
    known = "known: he, he_tenth, orthogonal, xavier"
    with pytest.raises(UserError, match=f"initializer 'lecun' is unknown; {known}"):
        draw_kernels(jax.random.key(0), PARAMS, "lecun")
