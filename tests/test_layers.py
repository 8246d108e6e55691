import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr.models.layers import batch_norm, conv, enlarge, pixel_shuffle


def pictures(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape, dtype=np.float32))


def test_pixel_shuffle_orders_channels_as_pytorch():
    b, h, w, c, s = 2, 3, 5, 3, 2
    x = pictures(b, h, w, c * s * s)
    expected = np.zeros((b, h * s, w * s, c), np.float32)
    for n, i, j, k, p, q in itertools.product(*map(range, (b, h, w, c, s, s))):
        expected[n, i * s + p, j * s + q, k] = x[n, i, j, k * s * s + p * s + q]
    np.testing.assert_array_equal(pixel_shuffle(x, s), expected)


compiled = jax.jit(enlarge, static_argnums=(1, 2))


def mirrored(i, size):
    i %= 2 * size
    return min(i, 2 * size - 1 - i)


def keys(d):
    d = abs(d)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def triangle(d):
    return max(0.0, 1 - abs(d))


@pytest.mark.parametrize("method, kernel", [("bicubic", keys), ("bilinear", triangle)])
@pytest.mark.parametrize("size, scale", [(7, 2), (5, 3), (6, 4), (1, 8), (4, 1)])
def test_enlarge_is_the_literal_sum_with_mirrored_borders(method, kernel, size, scale):
    line = np.random.default_rng(0).random(size)
    expected = []
    for i in range(size * scale):
        u = (i + 0.5) / scale - 0.5
        near = range(int(np.floor(u)) - 3, int(np.floor(u)) + 5)
        expected.append(sum(kernel(u - j) * line[mirrored(j, size)] for j in near))
    image = jnp.asarray(np.tile(line[None, :, None, None], (1, 1, 2, 1)), jnp.float32)
    columns = compiled(image, scale, method)
    rows = compiled(image.transpose(0, 2, 1, 3), scale, method)
    np.testing.assert_allclose(columns[0, :, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(rows, columns.transpose(0, 2, 1, 3), atol=1e-6)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_enlarge_agrees_with_jax_away_from_borders_and_with_its_own_crops(method):
    x = pictures(2, 9, 11, 3)
    ours = compiled(x, 3, method)
    jaxs = jax.image.resize(x, (2, 27, 33, 3), method)
    np.testing.assert_allclose(ours[:, 6:-6, 6:-6], jaxs[:, 6:-6, 6:-6], atol=1e-6)
    crop = compiled(x[:, 1:8, 2:10], 3, method)
    np.testing.assert_array_equal(crop[:, 6:-6, 6:-6], ours[:, 9:18, 12:24])


def test_batch_norm_moves_a_tenth_of_the_way_a_step_as_pytorch():
    x = 3.0 * pictures(4, 5, 5, 2) + 1.0
    norm = batch_norm(True, None, jnp.float32)
    _, variables = norm.init_with_output(jax.random.key(0), x)
    y, new = norm.apply(variables, x, mutable=["batch_stats"])
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / jnp.sqrt(var + 1e-5), atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * var, rtol=1e-4)


@pytest.mark.parametrize(
    "kernel, stride, size", [(3, 1, 7), (3, 2, 4), (9, 1, 7), (4, 2, 3), (4, 1, 6)]
)
def test_conv_pads_both_sides_alike_and_starts_at_kaimings_scale(kernel, stride, size):
    x = jnp.zeros((1, 7, 7, 32)).at[0, 0, 0].set(1.0)
    y, variables = conv(64, kernel, stride, gain=0.5).init_with_output(jax.random.key(0), x)
    assert y.shape == (1, size, size, 64)
    weights = variables["params"]["kernel"]
    # The corner meets the tap that is `pad` pixels in.
    pad = (kernel - 1) // 2
    np.testing.assert_allclose(y[0, 0, 0], weights[pad, pad].sum(0), atol=1e-5)
    expected = 0.5 * np.sqrt(2.0 / (kernel * kernel * 32))
    assert float(weights.std()) == pytest.approx(expected, rel=0.03)
