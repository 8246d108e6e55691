"""Tiles: they cover the picture once, have one shape, and see what the whole picture shows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr.models.layers import pixel_shuffle
from jsr.tiling import enlarge_tiled, receptive_radius


class Plain(nn.Module):
    """Convolutions of side 5, 3 and 3: radius 4."""

    @nn.compact
    def __call__(self, lr, train=False):
        x = nn.relu(nn.Conv(3, (5, 5))(lr))
        x = nn.relu(nn.Conv(3, (3, 3))(x))
        return pixel_shuffle(nn.Conv(4 * lr.shape[-1], (3, 3))(x), 2)


class Pooling(nn.Module):
    @nn.compact
    def __call__(self, lr, train=False):
        return lr * nn.sigmoid(nn.Conv(3, (1, 1))(lr.mean((1, 2), keepdims=True)))


class Folding(nn.Module):
    """Folds 2x2 pixels into channels: x1, radius 2 or 3 by the pixel's place."""

    grid: int = 2

    @nn.compact
    def __call__(self, lr, train=False):
        b, h, w, c = lr.shape
        x = lr.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
        x = nn.Conv(4 * c, (3, 3))(x.reshape(b, h // 2, w // 2, 4 * c))
        return pixel_shuffle(x, 2)


def build(module, channels=3):
    return module.init(jax.random.key(0), jnp.zeros((1, 8, 8, channels)))


def test_the_radius_is_that_of_the_convolutions():
    assert receptive_radius(Plain(), build(Plain()), 3) == 4
    assert receptive_radius(Plain(), build(Plain(), 1), 1) == 4
    assert receptive_radius(Folding(), build(Folding()), 3) in (2, 3)
    assert receptive_radius(Pooling(), build(Pooling()), 3) is None


@pytest.mark.parametrize("size", [(23, 40), (9, 31), (40, 16), (5, 5)])
@pytest.mark.parametrize("tile", [4, 8, 11])
def test_tiles_are_the_whole_and_have_one_shape(size, tile):
    module = Plain()
    variables = build(module)
    lr = np.random.default_rng(0).random((*size, 3), np.float32)
    shapes = set()

    def run(part):
        shapes.add(part.shape)
        return np.asarray(module.apply(variables, part[None]))[0]

    whole = run(lr)
    shapes.clear()
    np.testing.assert_allclose(enlarge_tiled(run, lr, 2, tile, 4), whole, atol=1e-6)
    assert len(shapes) == 1
    assert max(next(iter(shapes))[:2]) <= max(tile + 8, 8)
    if min(size) > tile + 8:
        # With less around each tile the seams show.
        assert np.abs(enlarge_tiled(run, lr, 2, tile, 2) - whole).max() > 1e-4


def test_tiles_keep_to_the_grid_of_a_network_that_folds():
    module = Folding()
    variables = build(module)
    lr = np.random.default_rng(0).random((26, 18, 3), np.float32)

    def run(part):
        return np.asarray(module.apply(variables, part[None]))[0]

    tiled = enlarge_tiled(run, lr, 1, 5, 3, grid=2)
    np.testing.assert_allclose(tiled, run(lr), atol=1e-6)
