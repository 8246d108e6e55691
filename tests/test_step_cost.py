"""Counting a step in its jaxpr."""

import copy

import jax
import numpy as np
import pytest
from runs import noise_photos

from configs import base
from jsr import parallel, step_cost, step_speed
from jsr.datasets import Photos
from jsr.pipeline import make_batch, open_pairs
from jsr.recipe import Recipe

MESH = parallel.make_mesh(jax.devices()[:1])


def small(**changes):
    config = base.published("small", "edsr", features=8, blocks=2)
    config.scale, config.data.batch_size, config.data.patch, config.ema = 2, 4, 8, 0.9
    config.update(changes)
    return config


def count(config, mesh=MESH):
    return step_cost.count_step(config, mesh, Recipe(config, mesh).stages[0])


def convolutions():
    """(multiply-adds, input, output) of the network's convolutions for one LR of 8x8."""
    layers = [(3, 8, 64)] + [(8, 8, 64)] * 5 + [(8, 32, 64), (8, 3, 256)]
    return [(9 * i * o * pixels, i * pixels, o * pixels) for i, o, pixels in layers]


def test_operations_are_those_of_the_convolutions_and_their_gradients():
    # Forward, by the weights, and by the input: but the first layer's input is a picture.
    forward = [macs for macs, _, _ in convolutions()]
    assert count(small()).operations == 2 * 4 * (3 * sum(forward) - forward[0])


def test_bytes_are_what_goes_in_and_out():
    cost, config = count(small()), small()
    state = Recipe(config, MESH).start()
    assert cost.state_bytes == sum(x.nbytes for x in jax.tree.leaves(state))
    inputs, outputs = (4 * 4 * sum(c[i] for c in convolutions()) for i in (1, 2))
    # Each conv's input, output, and both gradients: read or written at most three times each.
    assert 2 * (inputs + outputs) < cost.nbytes - 2 * cost.state_bytes < 4 * (inputs + outputs)
    assert cost.floor(1e9, 1e30) == pytest.approx(cost.operations / 1e9)
    assert cost.floor(1e30, 1e9) == pytest.approx(cost.nbytes / 1e9)
    assert cost.floor(1e9, 1e9) >= max(cost.operations, cost.nbytes) / 1e9


def test_the_count_is_of_one_step_and_not_of_what_is_computed_again():
    expected = count(small())
    many = copy.deepcopy(small(steps_per_dispatch=3, log_every=3, eval_every=3, save_every=3))
    many.pixel.steps = 3
    assert count(many).operations == expected.operations
    assert count(small(remat=True)).operations == expected.operations


def test_the_count_is_of_one_device():
    assert count(small(), parallel.make_mesh()).operations == count(small()).operations / 4


def test_kept_are_the_inputs_of_the_convolutions():
    recipe = Recipe(small(), MESH)
    kept = step_cost.kept_bytes(recipe, recipe.stages[0])
    inputs = 4 * 4 * sum(c[1] for c in convolutions())
    # And where ReLU was on, what the loss needs.
    assert inputs * 0.9 < kept < inputs * 1.3
    light = Recipe(small(remat=True), MESH)
    assert step_cost.kept_bytes(light, light.stages[0]) < kept
    quarter = Recipe(small(), parallel.make_mesh())
    assert step_cost.kept_bytes(quarter, quarter.stages[0]) == pytest.approx(kept / 4, rel=0.02)


@pytest.mark.parametrize(("channels", "protocol"), [("rgb", "y"), ("y", "classic"), ("ct", "ct")])
def test_batches_have_the_types_that_the_pipeline_gives(channels, protocol):
    config = small(channels=channels, protocol=protocol)
    photos = noise_photos([(20, 24)] * 2)
    if channels == "ct":
        slices = [photos[i][..., :1].astype(np.float32) for i in range(2)]
        photos = Photos(photos.names, photos.sizes, slices.__getitem__)
    pairs = open_pairs(config, photos, config.scale, 0)
    given = make_batch(pairs, 0, 0, np.arange(config.data.batch_size), config.data.patch)
    told, noise = step_cost.abstract_batches(config), step_speed.random_batch(config)
    for name, x in told.items():
        assert (x.shape, x.dtype) == ((1, *given[name].shape), given[name].dtype)
        assert (x.shape, x.dtype) == (noise[name].shape, noise[name].dtype)
