"""Networks that are shown pictures of HR's size take LR as its nearest-neighbour enlargement."""

import jax
import numpy as np
import pytest
from families import check_sizes

from jsr.models import make_model
from jsr.models.desubpixel import sub_pixels

NARROW = {"features": 4, "blocks": 1, "desubpixel": True}


@pytest.mark.parametrize("name", ["edsr", "msrresnet", "srresnet"])
def test_lr_stands_for_its_enlargement(name):
    lr = np.random.default_rng(0).random((1, 5, 4, 3), np.float32)
    module = make_model(name, scale=2, **NARROW)
    values = module.init(jax.random.key(0), lr)
    shown = np.repeat(lr[..., None], 4, axis=-1)
    sr = np.asarray(module.apply(values, lr))
    np.testing.assert_allclose(module.apply(values, shown), sr, atol=1e-6)
    sharp = shown + np.float32([0.1, -0.1, 0.1, -0.1])
    assert np.abs(module.apply(values, sharp) - sr).max() > 1e-4


def test_means_are_taken_off_every_colour():
    lr = np.random.default_rng(0).random((1, 2, 2, 3), np.float32)
    mean = np.float32([0.1, 0.2, 0.3])
    same, x = sub_pixels(lr, 3, mean)
    small, y = sub_pixels(np.repeat(lr[..., None], 9, axis=-1), 3, mean)
    np.testing.assert_array_equal(same, lr)
    np.testing.assert_array_equal(x, np.repeat(lr - mean, 9, axis=-1))
    np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose(small, lr, rtol=1e-6)


def test_sizes():
    check_sizes("edsr", 3, channels=(1, 3), **NARROW)
