"""The convolution with its own weight gradient means what lax's does, and compiles to fast code."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jsr import convolution
from jsr.models.layers import conv

# b, h, w, c, features, kernel, padding, stride; whether pictures and kernel change places, parts.
CASES = {
    "few features": ((4, 9, 11, 12, 3, 3, 1, 1), (True, 1)),
    "few features, 9x9": ((2, 12, 10, 20, 1, 9, 4, 1), (True, 1)),
    "few features in parts": ((4, 9, 7, 40, 3, 3, 1, 1), (True, 4)),
    "in parts": ((6, 9, 11, 5, 20, 3, 1, 1), (False, 3)),
    "one picture": ((1, 9, 11, 20, 24, 3, 1, 1), (False, 1)),
    "even kernel": ((2, 9, 8, 12, 4, 4, 1, 1), (True, 1)),
    "no padding": ((2, 9, 8, 12, 3, 5, 0, 1), (True, 1)),
    "stride 2": ((2, 9, 11, 12, 3, 3, 1, 2), None),
}


def arrays(case, dtype=jnp.float32):
    b, h, w, c, features, k, _, _ = case
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(b, h, w, c)), dtype)
    return x, jnp.asarray(rng.normal(size=(k, k, c, features)) / k, dtype)


def apply(function, case):
    pad, stride = case[6:]
    return lambda x, kernel: function(
        x,
        kernel,
        (stride, stride),
        [(pad, pad)] * 2 if pad else "VALID",
        dimension_numbers=convolution.LAYOUT,
    )


def loss(function, case):
    convolve = apply(function, case)
    return lambda x, kernel: jnp.sum(jnp.sin(convolve(x, kernel).astype(jnp.float32)))


def assert_close(ours, theirs, tolerance):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.dtype == other.dtype
        one, other = np.float32(one), np.float32(other)
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max(), rtol=0)


@pytest.fixture
def small_cache(monkeypatch):
    monkeypatch.setattr(convolution, "WIDE", 20_000)
    monkeypatch.setattr(convolution, "FIT", 16_000)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("bfloat16", 2e-2)])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_those_of_lax(small_cache, name, dtype, tolerance):
    case, planned = CASES[name]
    x, kernel = arrays(case, dtype)
    if planned:
        y = apply(convolution.conv_general_dilated, case)(x, kernel)
        assert convolution.plan(x.shape, y.shape) == planned
    results = [
        jax.jit(jax.value_and_grad(loss(function, case), argnums=(0, 1)))(x, kernel)
        for function in (convolution.conv_general_dilated, lax.conv_general_dilated)
    ]
    assert_close(*results, tolerance)


@pytest.mark.parametrize("name", ["few features in parts", "in parts"])
def test_the_gradient_of_a_gradient_penalty_is_that_of_lax(small_cache, name):
    case = CASES[name][0]
    x, kernel = arrays(case)

    def penalty(function):
        slope = jax.grad(loss(function, case), argnums=(0, 1))
        return lambda x, k: sum(jnp.sum(jnp.square(g)) for g in slope(x, k))

    results = [
        jax.jit(jax.grad(penalty(function), argnums=(0, 1)))(x, kernel)
        for function in (convolution.conv_general_dilated, lax.conv_general_dilated)
    ]
    assert_close(*results, 1e-5)


def test_a_batch_under_vmap_is_that_of_lax():
    case = CASES["few features"][0]
    x, kernel = arrays(case)
    results = [
        jax.vmap(jax.grad(loss(function, case), argnums=1), (0, None))(x[None], kernel)
        for function in (convolution.conv_general_dilated, lax.conv_general_dilated)
    ]
    assert_close(*results, 2e-6)


def test_other_layouts_groups_and_dilations_are_left_to_lax():
    x, kernel = arrays(CASES["few features"][0])
    for settings in (
        {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "rhs_dilation": (2, 2)},
        {"dimension_numbers": ("NWHC", "HWIO", "NHWC")},
        {"dimension_numbers": convolution.LAYOUT, "feature_group_count": 4},
        {"dimension_numbers": convolution.LAYOUT, "lhs_dilation": (1, 2)},
    ):
        k = kernel[:, :, : 12 // settings.get("feature_group_count", 1)].repeat(4, axis=3)
        args = (x, k, (1, 1), [(1, 1)] * 2)
        ours = convolution.conv_general_dilated(*args, **settings)
        np.testing.assert_array_equal(ours, lax.conv_general_dilated(*args, **settings))


def test_a_layer_s_convolutions_are_compiled_to_library_calls_of_the_outermost_program():
    # In an inner computation (a branch, a loop) XLA's CPU compiler has slow convolutions only.
    layer = conv(3, kernel=9)
    x = jnp.zeros((4, 32, 32, 64))
    variables = layer.init(jax.random.key(0), x[:1])

    def total(variables, x):
        return jnp.sum(jnp.square(layer.apply(variables, x)))

    text = jax.jit(jax.grad(total, argnums=(0, 1))).lower(variables, x).compile().as_text()
    assert not re.search(r" (conditional|call|while)\(", text)
    plain = jax.jit(apply(lax.conv_general_dilated, (*CASES["one picture"][0][:6], 1, 1)))
    if "ynn_fusion" not in plain.lower(*arrays(CASES["one picture"][0])).compile().as_text():
        pytest.skip("XLA has no YNNPACK on this machine")
    called = set(re.findall(r"calls=(%[\w.-]+),.*__ynn_fusion", text))
    inside = [c.split()[0] for c in text.split("\n\n") if " convolution(" in c]
    # The value, the gradient by the pictures and the gradient by the kernel.
    assert len(inside) == 3 and called.issuperset(inside)


def test_other_platforms_have_lax_s_gradient():
    case = (4, 32, 32, 64, 3, 9, 4, 1)
    texts = [
        jax.jit(jax.grad(loss(function, case), argnums=(0, 1)))
        .trace(*arrays(case))
        .lower(lowering_platforms=("tpu",))
        .as_text()
        for function in (convolution.conv_general_dilated, lax.conv_general_dilated)
    ]
    ours, theirs = (sorted(re.findall(r"stablehlo\.convolution.* dim_numbers.*", t)) for t in texts)
    strip = re.compile(r"%\w+")
    assert [strip.sub("", o) for o in ours] == [strip.sub("", t) for t in theirs]
    assert len(ours) == 3
