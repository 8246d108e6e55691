"""Windows cover a picture once, in few shapes, and their tiles are what the whole gives."""

from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr.models.layers import pixel_shuffle
from jsr.tiling import enlarge_tiled, fewest_pixels, measure, windows


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


def joined(run, lr, scale, tile, overlap, grid=1, **more):
    """SR put together; every pixel comes once."""
    lines = [windows(side, tile, overlap, grid) for side in lr.shape[:2]]
    sr = np.full((lr.shape[0] * scale, lr.shape[1] * scale, lr.shape[2]), np.nan, np.float32)
    for _, part in enlarge_tiled(run, [lr], scale, *lines, **more):
        assert np.isnan(sr[part.rows, part.columns]).all()
        sr[part.rows, part.columns] = part.sr
    assert not np.isnan(sr).any()
    return sr


def test_the_radius_is_that_of_the_convolutions():
    assert measure(Plain(), build(Plain()), 3)[0] == 4
    assert measure(Plain(), build(Plain(), 1), 1)[0] == 4
    assert measure(Folding(), build(Folding()), 3)[0] in (2, 3)
    assert measure(Pooling(), build(Pooling()), 3)[0] is None


def test_the_bytes_are_those_of_the_features():
    needed = measure(Plain(), build(Plain()), 3).whole
    assert 12 * 4 <= needed <= 10 * 12 * 4  # float32: 12 channels of SR, and features between


@pytest.mark.parametrize("grid", [1, 2, 8])
def test_windows_cover_a_side_with_enough_around_and_start_on_the_grid(grid):
    draw = np.random.default_rng(grid)
    for _ in range(500):
        size, tile, overlap = (int(draw.integers(1, top)) for top in (3000, 700, 70))
        found = windows(size, tile, overlap, grid)
        assert found[0].start == found[0].first == 0 and found[-1].stop == found[-1].last == size
        assert all(window.start % grid == 0 for window in found)
        assert all(w.start <= w.first < w.last <= w.stop for w in found)
        for one, other in pairwise(found):
            assert one.last == other.first
            assert one.stop - one.last >= overlap and other.first - other.start >= overlap
        lengths = [window.stop - window.start for window in found]
        assert set(lengths[:-1]) <= {lengths[0]} and 0 <= lengths[-1] - lengths[0] < grid
        assert lengths[0] <= tile + 2 * overlap + 3 * grid


def test_pictures_of_all_sizes_have_few_windows_shapes():
    lengths = {windows(size, 128, 10)[0].stop for size in range(149, 5000)}
    assert len(lengths) <= 17


@pytest.mark.parametrize("size, tile, bound", [((1365, 2048), 512, 1.34), ((500, 20000), 512, 1.4)])
def test_little_is_computed_twice(size, tile, bound):
    """What is run, by what there is: (1 + 2R/t)^2 and a tenth is allowed, for R = 40."""
    run = [sum(w.stop - w.start for w in windows(side, tile, 40)) for side in size]
    assert run[0] * run[1] / (size[0] * size[1]) <= bound


@pytest.mark.parametrize("size", [(23, 40), (9, 31), (40, 16), (5, 5)])
@pytest.mark.parametrize("tile", [4, 8, 11])
@pytest.mark.parametrize("batch, ahead", [(1, 0), (3, 2)])
def test_tiles_are_the_whole_and_have_one_shape(size, tile, batch, ahead):
    module = Plain()
    variables = build(module)
    lr = np.random.default_rng(0).random((*size, 3), np.float32)
    apply = jax.jit(module.apply)
    shapes = set()

    def run(windows):
        shapes.add(windows.shape[1:])
        assert len(windows) <= batch
        return apply(variables, windows)

    whole = np.asarray(apply(variables, lr[None]))[0]
    tiled = joined(run, lr, 2, tile, 4, batch=batch, ahead=ahead)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)
    assert len(shapes) == 1
    assert max(next(iter(shapes))[:2]) <= tile + 8
    if min(size) > tile + 8:
        # With less around each tile the seams show.
        narrow = joined(run, lr, 2, tile, 1, batch=batch, ahead=ahead)
        assert np.abs(narrow - whole).max() > 1e-4


@pytest.mark.parametrize("size", [(23, 40), (40, 9), (5, 5)])
@pytest.mark.parametrize("feather", [1, 2, 4])
def test_faded_tiles_sum_to_one_and_are_the_whole_where_tiles_agree(size, feather):
    module = Plain()
    variables = build(module)
    lr = np.random.default_rng(0).random((*size, 3), np.float32)

    def run(windows):
        return np.asarray(module.apply(variables, windows))

    tiled = joined(run, lr, 2, 8, 4 + feather, feather=feather)
    np.testing.assert_allclose(tiled, run(lr[None])[0], atol=1e-6)
    ones = joined(lambda x: np.ones_like(x), lr, 1, 8, 4, feather=feather)
    np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_fading_hides_a_seam():
    """Windows that each add their own number meet in a ramp, not in a step."""
    lr = np.zeros((1, 64, 1), np.float32)
    numbers = iter(range(100))

    def run(windows):
        return windows + np.float32(next(numbers))

    steps = np.abs(np.diff(joined(run, lr, 1, 16, 8, feather=4)[0, :, 0]))
    assert 0 < steps.max() <= 1 / 8 + 1e-6


def test_tiles_keep_to_the_grid_of_a_network_that_folds():
    module = Folding()
    variables = build(module)
    lr = np.random.default_rng(0).random((26, 18, 3), np.float32)

    def run(windows):
        return np.asarray(module.apply(variables, windows))

    np.testing.assert_allclose(joined(run, lr, 1, 5, 3, grid=2), run(lr[None])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("size", "around", "room"),
    [((1080, 1920), 40, 860_000), ((500, 20000), 40, 300_000), ((7, 9999), 5, 30_000)],
)
def test_tiles_are_chosen_by_the_fewest_pixels(size, around, room):
    tile = fewest_pixels(size, around, room)
    cost, largest = _run_pixels(size, tile, around)
    assert largest <= 1.1 * room
    side = int(room**0.5) - 2 * around
    square, _ = _run_pixels(size, (side, side), around)
    assert cost <= square
    if size == (1080, 1920):
        # Three columns of full height: two overlaps of 80.
        assert tile[0] == 1080 and cost < 1.12 * 1080 * 1920


def test_pictures_of_like_sizes_share_windows():
    tiles = {fewest_pixels((n, n), 8, 10_000) for n in range(1000, 1020)}
    assert len(tiles) <= 2
    assert fewest_pixels((50, 50), 8, 10_000) == (50, 50)
    assert fewest_pixels((1000, 1000), 64, 10_000) is None


def _run_pixels(size, tile, around):
    """How many pixels all windows have, and the largest one."""
    areas = [
        (row.stop - row.start) * (column.stop - column.start)
        for row in windows(size[0], tile[0], around)
        for column in windows(size[1], tile[1], around)
    ]
    return sum(areas), max(areas)
