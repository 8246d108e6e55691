"""Hidden colours are replaced by what shows nearest, and alpha keeps within its neighbours."""

import numpy as np

from jsr.alpha import bounds, fill_hidden

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def test_hidden_colours_are_those_that_show():
    alpha = np.zeros((13, 22), np.float32)
    alpha[4:9, 5:8] = 1
    pixels = np.where(alpha[..., None] > 0, RED, GREEN).astype(np.float32)
    np.testing.assert_allclose(
        fill_hidden(pixels, alpha), np.broadcast_to(RED, (13, 22, 3)), atol=1e-6
    )


def test_what_shows_is_kept_and_the_nearest_counts():
    draw = np.random.default_rng(0)
    pixels = draw.random((16, 16, 3), np.float32)
    alpha = np.where(np.arange(16) < 8, draw.random((16, 16)), 0).astype(np.float32)
    alpha[:, 12:] = 0.5
    filled = fill_hidden(pixels, alpha)
    np.testing.assert_array_equal(filled[alpha > 0], pixels[alpha > 0])
    left = fill_hidden(np.where(np.arange(16)[:, None] < 8, RED, GREEN) + 0 * pixels, alpha)
    np.testing.assert_allclose(left[:, 8], np.broadcast_to(RED, (16, 3)), atol=1e-6)
    np.testing.assert_allclose(left[:, 11], np.broadcast_to(GREEN, (16, 3)), atol=1e-6)


def test_means_are_weighted_by_alpha():
    pixels = np.array([[RED, GREEN], [RED, RED]], np.float32)
    alpha = np.array([[0.75, 0.25], [0, 0]], np.float32)
    np.testing.assert_allclose(fill_hidden(pixels, alpha)[1, 1], (0.75, 0.25, 0), atol=1e-6)


def test_a_single_faint_pixel_colours_all():
    pixels = np.broadcast_to(np.float32(GREEN), (300, 200, 3)).copy()
    alpha = np.zeros((300, 200), np.float32)
    pixels[299, 7], alpha[299, 7] = RED, 1 / 65535
    np.testing.assert_allclose(fill_hidden(pixels, alpha)[0, 199], RED, atol=1e-3)


def test_all_or_nothing_hidden_stays():
    pixels = np.random.default_rng(0).random((5, 3, 3), np.float32)
    for alpha in (np.zeros((5, 3), np.float32), np.ones((5, 3), np.float32)):
        np.testing.assert_array_equal(fill_hidden(pixels, alpha), pixels)


def test_bounds_are_those_of_the_neighbours():
    alpha = np.zeros((5, 6), np.uint8)
    alpha[:, 3:] = 200
    low, high = bounds(alpha)
    assert low[2].tolist() == [0, 0, 0, 0, 200, 200]
    assert high[2].tolist() == [0, 0, 200, 200, 200, 200]
