import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pictures import texture

from jsr.models.motion import lucas_kanade
from jsr.models.warping import warp


@pytest.mark.parametrize(
    ("size", "down", "right", "off"),
    # Also where the pyramid's levels have odd sides, and where there is one level alone.
    [((64, 80), 0.4, -0.7, 0.05), ((61, 75), 6.0, 9.5, 0.15), ((15, 14), -0.5, 0.5, 0.15)],
)
def test_a_moved_picture(size, down, right, off):
    there, here = texture(*size), texture(*size, down, right)
    flow = jax.jit(lucas_kanade)(here, there)
    assert flow.shape == (1, *size, 2) and flow.dtype == jnp.float32
    edge = int(max(abs(down), abs(right))) + 4
    inner = np.asarray(flow)[0, edge:-edge, edge:-edge]
    assert np.abs(inner - [right, down]).mean() < off
    moved = warp(there, flow, border=True)[0, edge:-edge, edge:-edge]
    still = np.abs(there - here)[0, edge:-edge, edge:-edge].mean()
    assert np.abs(moved - here[0, edge:-edge, edge:-edge]).mean() < still / 4


def test_two_things_that_move_apart():
    there = texture(48, 96)
    here = jnp.concatenate([texture(48, 48, 0, 1.5), texture(48, 96, 0, -1.5)[:, :, 48:]], axis=2)
    flow = np.asarray(lucas_kanade(here, there))[0, 8:-8]
    assert np.abs(flow[:, 8:36] - [1.5, 0]).mean() < 0.15
    assert np.abs(flow[:, 60:88] - [-1.5, 0]).mean() < 0.15


@pytest.mark.parametrize("size", [(40, 40), (1, 3)])
def test_what_stands_still_or_shows_nothing_does_not_move(size):
    standing, flat = texture(*size), jnp.full((1, *size, 1), 0.3)
    np.testing.assert_array_equal(lucas_kanade(standing, standing), 0)
    np.testing.assert_allclose(lucas_kanade(flat, flat + 0.2), 0, atol=1e-4)


def test_no_gradient_goes_through_it():
    here, there = texture(16, 16, 0, 1), texture(16, 16)
    grad = jax.grad(lambda x, y: lucas_kanade(x, y).sum(), argnums=(0, 1))(here, there)
    for part in grad:
        np.testing.assert_array_equal(part, 0)
