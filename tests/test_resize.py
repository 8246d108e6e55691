"""Resizing: equal to exact arithmetic, to the published LR files, and to the device's matrices."""

import math
import os
import tracemalloc
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jsr.resize import (
    EDGES,
    METHODS,
    adjoint,
    crop_to_multiple,
    downscale,
    imresize,
    resize_axis,
    resize_matrix,
    resize_on_device,
)

ROOT = Path(__file__).parent.parent
BENCH = ROOT / os.environ.get("JSR_SHARED", "../shared") / "bench"
needs_bench = pytest.mark.skipif(not BENCH.is_dir(), reason="no bench under JSR_SHARED")


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def cubic(x):
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x < 2 else Fraction(0)


def mirrored(index, size):
    while not 0 <= index < size:
        index = -1 - index if index < 0 else 2 * size - 1 - index
    return index


def clamped(index, size):
    return min(max(index, 0), size - 1)


def exact_pass(line, scale, edges):
    """One bicubic pass over a list of integers or fractions, in exact arithmetic."""
    stretch = min(scale, Fraction(1))
    inside = {"symmetric": mirrored, "replicate": clamped}[edges]
    result = []
    for out in range(math.ceil(len(line) * scale)):
        # Pixel k covers [k, k + 1): its centre lies at k + 1/2.
        center = (out + Fraction(1, 2)) / scale - Fraction(1, 2)
        reach = 2 / stretch
        taps = range(math.ceil(center - reach), math.floor(center + reach) + 1)
        weights = [cubic(stretch * (center - tap)) for tap in taps]
        values = [line[inside(tap, len(line))] for tap in taps]
        total = sum(w * v for w, v in zip(weights, values, strict=True))
        result.append(total / sum(weights))
    return result


def exact_round(value):
    return min(max(math.floor(value + Fraction(1, 2)), 0), 255)


def exact_resize(image, scales, edges="symmetric", between=True, order=(0, 1)):
    grid = [[int(value) for value in row] for row in image]
    for axis in order:
        lines = grid if axis == 1 else [list(column) for column in zip(*grid, strict=True)]
        lines = [exact_pass(line, scales[axis], edges) for line in lines]
        if between:
            lines = [[exact_round(value) for value in line] for line in lines]
        grid = lines if axis == 1 else [list(row) for row in zip(*lines, strict=True)]
    return np.array([[exact_round(value) for value in row] for row in grid], np.uint8)


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize(
    "scale", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(2), Fraction(3)]
)
def test_bicubic_is_exact(scale, edges):
    image = noise(12, 24)
    expected = exact_resize(image, (scale, scale), edges)
    np.testing.assert_array_equal(imresize(image, scale=float(scale), edges=edges), expected)


@pytest.mark.parametrize("edges", EDGES)
def test_a_picture_smaller_than_the_kernel_is_exact(edges):
    image = noise(3, 2)
    quarter = Fraction(1, 4)
    expected = exact_resize(image, (quarter, quarter), edges)
    np.testing.assert_array_equal(imresize(image, scale=0.25, edges=edges), expected)


def test_rounding_between_the_passes_is_what_rounded_says():
    image, half = noise(24, 24), Fraction(1, 2)
    both = exact_resize(image, (half, half))
    end = exact_resize(image, (half, half), between=False)
    assert (both != end).any()
    np.testing.assert_array_equal(imresize(image, scale=0.5), both)
    np.testing.assert_array_equal(imresize(image, scale=0.5, rounded=False), end)


@pytest.mark.parametrize(
    ("shape", "scales", "order"),
    [
        ((12, 6), (Fraction(1, 2), Fraction(1, 4)), (1, 0)),
        ((6, 12), (Fraction(1, 4), Fraction(1, 2)), (0, 1)),
        ((12, 12), (Fraction(1, 2), Fraction(1, 2)), (0, 1)),
    ],
)
def test_the_smaller_scale_goes_first_and_the_height_on_ties(shape, scales, order):
    image = noise(24, 24)
    expected = exact_resize(image, scales, order=order)
    assert (expected != exact_resize(image, scales, order=order[::-1])).any()
    np.testing.assert_array_equal(imresize(image, shape=shape), expected)


def test_a_step_is_the_sum_of_the_kernel_weights():
    # Halving weighs eight pixels with -3 -9 29 111 111 29 -9 -3 (/ 256): 17, 239 and 259 of 256.
    row = np.array([[0] * 8 + [255] * 8], np.uint8).repeat(2, axis=0)
    assert imresize(row, scale=0.5).tolist() == [[0, 0, 0, 17, 238, 255, 255, 255]]
    weights = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    np.testing.assert_array_equal(resize_matrix(16, 8, 0.5)[3, 3:11], weights)


def test_halves_round_up():
    assert imresize(np.array([[0, 1], [0, 1]], np.uint8), scale=0.5, method="box") == 1


def test_color_channels_do_not_mix():
    image = noise(12, 16, 3)
    whole = imresize(image, scale=0.25)
    assert whole.shape == (3, 4, 3)
    for channel in range(3):
        np.testing.assert_array_equal(whole[..., channel], imresize(image[..., channel], 0.25))


def test_types_stay_or_become_float64():
    image = noise(8, 8, dtype=np.uint16)
    assert imresize(image, scale=0.5).dtype == np.uint16
    assert imresize(image.astype(np.float32), scale=0.5).dtype == np.float64
    # A bright step overshoots: integers are clipped, floats are not.
    step = np.full((2, 16), 65535, np.uint16)
    step[:, :8] = 0
    assert imresize(step, scale=0.5).max() == 65535
    assert imresize(step.astype(np.float64), scale=0.5).max() > 65535


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.7, 3.0])
def test_constants_stay(method, scale):
    image = np.full((11, 7, 3), 200, np.uint8)
    result = imresize(image, scale=scale, method=method)
    assert result.shape == (math.ceil(11 * scale), math.ceil(7 * scale), 3)
    assert (result == 200).all()


def test_nearest_repeats_and_picks_pixels():
    image = noise(5, 4, 3)
    enlarged = imresize(image, scale=3, method="nearest")
    np.testing.assert_array_equal(enlarged, image.repeat(3, axis=0).repeat(3, axis=1))
    image = noise(15, 12, 3)
    np.testing.assert_array_equal(imresize(image, scale=1 / 3, method="nearest"), image[1::3, 1::3])


def test_box_averages_blocks():
    image = noise(8, 12).astype(np.float64)
    blocks = image.reshape(2, 4, 3, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(imresize(image, scale=0.25, method="box"), blocks, atol=1e-12)


PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("method", PILLOW)
@pytest.mark.parametrize("size", [16, 40, 160])
def test_away_from_the_borders_floats_equal_pillow(method, size):
    image = noise(80, 80).astype(np.float32)
    ours = imresize(image, shape=(size, size), method=method)
    theirs = np.asarray(Image.fromarray(image).resize((size, size), PILLOW[method]))
    inner = slice(size // 4, -(size // 4))
    np.testing.assert_allclose(ours[inner, inner], theirs[inner, inner], atol=1e-3)


def test_lanczos2_is_a_windowed_sinc():
    def kernel(x):
        return 2 * math.sin(math.pi * x) * math.sin(math.pi * x / 2) / (math.pi * x) ** 2

    weights = np.array([kernel(x) for x in (1.75, 0.75, 0.25, 1.25)])
    matrix = resize_matrix(8, 16, 2.0, "lanczos2")
    np.testing.assert_allclose(matrix[8, 2:6], weights / weights.sum(), atol=1e-12)


def test_without_antialias_shrinking_by_two_reads_four_pixels():
    matrix = resize_matrix(16, 8, 0.5, antialias=False)
    np.testing.assert_array_equal(matrix[4, 7:11], np.array([-1, 9, 9, -1]) / 16)
    assert np.count_nonzero(matrix[4]) == 4


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_crop_with_margin_shrinks_to_the_crop_of_the_whole(scale, dtype):
    image = noise(40 * scale, 36 * scale, 3).astype(dtype)
    whole = imresize(image, scale=1 / scale)
    for top, left in ((0, 0), (3, 5), (7, 2)):
        crop = image[top * scale : (top + 30) * scale, left * scale : (left + 25) * scale]
        small = imresize(crop, scale=1 / scale)[2:-2, 2:-2]
        np.testing.assert_array_equal(small, whole[top + 2 : top + 28, left + 2 : left + 23])


@pytest.mark.parametrize(
    ("scale", "dtype"), [(2, np.uint8), (3, np.uint8), (4, np.uint8), (2, float), (4, float)]
)
def test_a_crop_with_margin_grows_to_the_crop_of_the_whole(scale, dtype):
    image = noise(40, 36, 3).astype(dtype)
    whole = imresize(image, scale=scale)
    crop = imresize(image[7:37, 5:30], scale=scale)
    inner = slice(2 * scale, -2 * scale)
    expected = whole[7 * scale : 37 * scale, 5 * scale : 30 * scale][inner, inner]
    np.testing.assert_array_equal(crop[inner, inner], expected)


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1 / 3, 0.4, 2, 3.5])
def test_the_adjoint_is_the_transpose(scale, method, edges):
    x = np.random.default_rng(0).standard_normal((13, 17, 2))
    resized = imresize(x, scale=scale, method=method, edges=edges)
    r = np.random.default_rng(1).standard_normal(resized.shape)
    back = adjoint(r, x.shape[:2], scale, method, edges)
    assert back.shape == x.shape
    assert np.vdot(resized, r) == pytest.approx(np.vdot(x, back), rel=1e-12)


def test_memory_does_not_grow_with_the_taps():
    image = noise(800, 800, 3)
    tracemalloc.start()
    imresize(image, scale=0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The first pass puts out 200 x 800 x 3 float64; its 16 taps at once would be 16 of those.
    assert peak < 4 * 200 * 800 * 3 * 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("scale", [0.25, 1 / 3, 2.0])
def test_matrices_equal_the_host(method, edges, scale):
    image = np.random.default_rng(1).random((24, 36, 3))
    height, width = (math.ceil(side * scale) for side in (24, 36))
    matrices = [
        resize_matrix(side, out, scale, method, edges) for side, out in ((24, height), (36, width))
    ]
    host = imresize(image, scale=scale, method=method, edges=edges)
    by_hand = np.einsum("Hh,hwc,Ww->HWc", matrices[0], image, matrices[1])
    np.testing.assert_allclose(by_hand, host, atol=1e-12)
    batch = jnp.asarray(image[None], jnp.float32)
    on_device = resize_on_device(batch, *(jnp.asarray(m, jnp.float32) for m in matrices))
    assert on_device.shape == (1, height, width, 3)
    np.testing.assert_allclose(on_device[0], host, atol=1e-5)


def test_downscale_crops_at_the_bottom_right():
    image = noise(26, 31, 3)
    small = downscale(image, 4)
    assert small.shape == (6, 7, 3)
    np.testing.assert_array_equal(small, imresize(image[:24, :28], scale=0.25))
    np.testing.assert_array_equal(crop_to_multiple(image, 4), image[:24, :28])
    assert (small != downscale(image, 4, edges="replicate")).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "either scale or shape"),
        ({"scale": 2, "shape": (2, 2)}, "either scale or shape"),
        ({"scale": 0}, "positive number, not 0"),
        ({"scale": float("nan")}, "positive number, not nan"),
        ({"scale": float("inf")}, "positive number, not inf"),
        ({"scale": (2, 2)}, "positive number"),
        ({"shape": (0, 4)}, "two positive integers"),
        ({"shape": (3.5, 4)}, "two positive integers"),
        ({"shape": (4,)}, "two positive integers"),
        ({"scale": 2, "method": "cubic"}, "'cubic' is unknown; known: nearest, box"),
        ({"scale": 2, "edges": "wrap"}, "'wrap' is unknown; known: symmetric, replicate"),
        ({"scale": 2, "image": noise(0, 4)}, r"not empty, but is uint8 \[0, 4\]"),
        ({"scale": 2, "image": noise(4)}, r"\[h, w, c\]"),
        ({"scale": 2, "image": np.zeros((4, 4), np.int64)}, "int64"),
        ({"scale": 2, "image": np.zeros((4, 4), bool)}, "bool"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        imresize(**{"image": noise(4, 4), **changes})


def test_bad_arguments_of_the_others_are_named():
    for scale in (0, -2, 2.5):
        with pytest.raises(ValueError, match="positive integer"):
            crop_to_multiple(noise(8, 8), scale)
    with pytest.raises(ValueError, match=r"\(3, 8\) has no multiple of 4"):
        downscale(noise(3, 8, 3), 4)
    with pytest.raises(ValueError, match="'cubic' is unknown"):
        resize_matrix(8, 4, 0.5, "cubic")
    with pytest.raises(ValueError, match="'wrap' is unknown"):
        resize_matrix(8, 4, 0.5, edges="wrap")
    for sizes in ((0, 4, 0.5), (4, 0, 0.5), (4, 4, 0.0), (4, 4, math.nan)):
        with pytest.raises(ValueError, match="cannot resize"):
            resize_matrix(*sizes)


def published(dataset, family, scale):
    """(hr, lr) of each file, uint8 [h, w, c], HR as it is on disk."""
    for path in sorted((BENCH / dataset / "HR").iterdir()):
        lr = BENCH / dataset / family / f"X{scale}" / f"{path.stem}x{scale}.png"
        with Image.open(path) as hr_file, Image.open(lr) as lr_file:
            yield tuple(np.atleast_3d(np.asarray(image)) for image in (hr_file, lr_file))


@pytest.mark.long
@needs_bench
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("dataset", "family", "edges", "files"),
    [
        ("Set5", "LR_bicubic", "symmetric", 5),
        ("Set5", "LR_selfexsr", "replicate", 5),
        ("Set14", "LR_bicubic", "symmetric", 14),
        ("Set14", "LR_selfexsr", "replicate", 14),
        ("BSD100", "LR_selfexsr", "replicate", 100),
    ],
)
def test_published_lr_files_are_reproduced(dataset, family, edges, files, scale):
    pairs = list(published(dataset, family, scale))
    assert len(pairs) == files
    for hr, lr in pairs:
        np.testing.assert_array_equal(downscale(hr, scale, edges), lr)
    other = EDGES[1 - EDGES.index(edges)]
    assert any((downscale(hr, scale, other) != lr).any() for hr, lr in pairs)


@pytest.mark.long
@needs_bench
def test_published_x8_files_are_rounded_at_the_end_only():
    pairs = list(published("Set5", "LR_bicubic", 8))
    assert len(pairs) == 5
    for hr, lr in pairs:
        hr = crop_to_multiple(hr, 8)
        np.testing.assert_array_equal(imresize(hr, scale=1 / 8, rounded=False), lr)


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_two_passes_along_an_axis_are_imresize(scale):
    image = np.random.default_rng(0).random((21, 13, 3))
    height, width = (math.ceil(side * scale) for side in image.shape[:2])
    passes = resize_axis(image, 0, height, scale)
    passes = resize_axis(passes, 1, width, scale)
    np.testing.assert_allclose(passes, imresize(image, scale=scale), atol=1e-12)
    with pytest.raises(ValueError, match="cannot resize 21 to 0 pixels"):
        resize_axis(image, 0, 0, scale)
