"""BatchNorm's statistics over the whole batch, or over so many examples of it."""

import jax
import numpy as np
import pytest
from test_shards import leaves, make_config, train

from jsr import parallel, step_plan
from jsr.errors import UserError
from jsr.models.layers import Groups
from jsr.recipe import Recipe
from jsr.steps import AXIS


def recipe(norm_batch: int, devices: int, **changes):
    config = make_config(False, norm_batch=norm_batch, **changes)
    config.generator.name = "srresnet"
    config.generator.hparams = {"features": 8, "blocks": 1}
    return Recipe(config, parallel.make_mesh(jax.devices()[:devices]))


def largest_difference(a, b) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(leaves(a), leaves(b), strict=True))


@pytest.mark.parametrize("kind", ["pixel", "gan"])
def test_the_same_examples_give_the_same_on_any_devices(kind):
    # Eight examples: in fours, a device has all of them, or half.
    made = [train(recipe(4, devices), kind, 1) for devices in (2, 4)]
    assert largest_difference(made[0].gen.stats, made[1].gen.stats) < 1e-6
    assert largest_difference(made[0].gen.params, made[1].gen.params) < 1e-5
    whole = train(recipe(0, 4), kind, 1)
    assert largest_difference(made[0].gen.stats, whole.gen.stats) > 1e-4


@pytest.mark.parametrize(
    ("examples", "devices", "axis"),
    [
        (0, 4, AXIS),
        (8, 4, AXIS),
        (16, 1, AXIS),
        (2, 4, None),
        (4, 4, Groups(AXIS, ((0, 1), (2, 3)))),
    ],
)
def test_which_devices_share_statistics(examples, devices, axis):
    made = recipe(examples, devices)
    assert made.generator.axis_name == made.discriminator.axis_name == axis


def test_examples_that_devices_cannot_share_are_refused():
    for examples, devices in ((1, 4), (3, 4), (6, 4)):
        with pytest.raises(UserError, match=f"norm_batch is {examples}, but 4 device"):
            recipe(examples, devices)
    with pytest.raises(UserError, match="norm_batch is -1: expected"):
        recipe(-1, 1)
    assert recipe(2, 2, accumulate=2).generator.axis_name is None


@pytest.mark.parametrize(
    ("norm_batch", "share", "planned"), [(0, 8, 0), (16, 8, 16), (16, 5, 10), (16, 24, 24)]
)
def test_a_plan_takes_what_its_batch_can_do(norm_batch, share, planned):
    config = make_config(False, norm_batch=norm_batch)
    assert step_plan.norm_batch(config, share, 4) == planned
