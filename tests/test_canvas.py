"""A picture on a canvas comes out as it does alone, where the network is of convolutions."""

import jax
import numpy as np
import pytest
from tiny_network import make_network

from jsr.canvas import can_be_masked, canvas_side, masked, place


def test_few_sides_and_little_waste():
    sides = {size: canvas_side(size) for size in range(1, 1025)}
    assert len(set(sides.values())) <= 25
    for size, side in sides.items():
        assert side == size or size + 4 <= side <= max(size + 19, 1.34 * size)


def test_a_picture_is_mirrored_and_marked():
    lr = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    canvas, inside = place(lr, 4, 8)
    assert canvas[..., 0].tolist()[2] == [3, 4, 5, 5, 4, 3, 3, 4]
    assert inside.sum() == 6 and inside[:2, :3].all()


@pytest.mark.parametrize(
    "name", ["msrresnet", pytest.param("srresnet", marks=pytest.mark.long), "fsrcnn"]
)
def test_nothing_beyond_the_picture_is_seen(name):
    channels = "y" if name == "fsrcnn" else "rgb"
    small = {} if name == "fsrcnn" else {"features": 4, "blocks": 1}
    network = make_network(name, channels, noise=0.1, **small)
    on_canvas = jax.jit(masked(network.module))
    for size in ((1, 1), (5, 16), (12, 11)):
        lr = np.random.default_rng(0).random((*size, network.channels), np.float32)
        canvas, inside = place(lr, 16, 16)
        sr = on_canvas(network.variables, canvas[None], inside[None])
        alone = jax.jit(network.module.apply)(network.variables, lr[None])
        np.testing.assert_allclose(sr[:, : 2 * size[0], : 2 * size[1]], alone, atol=1e-5)


def test_what_cannot_be_masked_is_known():
    assert can_be_masked(*parts(make_network(noise=0.1)))
    assert not can_be_masked(*parts(make_network("rrdb", features=4, blocks=1, growth=2)))  # folds


def parts(network):
    return network.module, network.variables, network.channels
