"""The free choices of a config reach the steps that it makes."""

import functools

import jax
import numpy as np

from configs import base
from jsr import parallel, step_cost
from jsr.recipe import Recipe


def make_recipe(**changes) -> Recipe:
    config = base.get_config()
    config.scale, config.data.patch, config.data.batch_size = 2, 8, 4
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 4, "blocks": 2, "tail": "light"}
    config.discriminator.name = "patchgan"
    config.discriminator.hparams = {"features": 4, "layers": 1, "norm": "none"}
    for key, value in changes.items():
        *path, last = key.split(".")
        functools.reduce(getattr, path, config)[last] = value
    return Recipe(config, parallel.make_mesh(jax.devices()[:1]))


def train(recipe: Recipe, kind: str, count: int):
    """The first and the last state of so many steps on noise, and the last metrics."""
    stage = next(s for s in recipe.stages if s.name == kind)
    run = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)
    rng = np.random.default_rng(0)
    shapes = step_cost.abstract_batches(recipe.config)
    noise = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
    noise = parallel.shard_batches(noise, recipe.mesh)
    state = recipe.begin(stage, recipe.start())
    first = parallel.to_host(state)
    for _ in range(count):
        state, metrics = run(state, noise, {})
    return first, parallel.to_host(state), jax.tree.map(float, metrics)


def same(one, other) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_everything_that_can_be_chosen_trains_together():
    hparams = {"activation": "prelu", "dropout": 0.3, "drop_path": 0.3, "desubpixel": True}
    recipe = make_recipe(
        **{f"generator.hparams.{key}": value for key, value in hparams.items()},
        **{"generator.initializer": "orthogonal", "pixel.optimizer.name": "adan"},
        **{"data.permute": 0.5, "data.mixup": 0.5, "data.cutblur": 0.5},
    )
    first, last, metrics = train(recipe, "pixel", 2)
    assert np.isfinite(metrics["loss"]) and int(last.skipped) == 0
    assert not same(first.gen.params["head"], last.gen.params["head"])
    assert not same(first.gen.params["block_1_act"], last.gen.params["block_1_act"])
    kernel = np.asarray(first.gen.params["block_0_conv_0"]["kernel"]).reshape(36, 4)
    np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(4), atol=1e-4)
    facts = recipe.facts()["hparams"]
    assert {key: facts[key] for key in hparams} == hparams


def test_smooth_labels_and_penalties_are_the_discriminators_alone():
    plain, smooth = (
        train(make_recipe(**{"gan.label_smoothing": s, "gan.penalty": "r1"}), "gan", 1)
        for s in (0.0, 0.2)
    )
    assert same(plain[0], smooth[0]) and same(plain[1].gen, smooth[1].gen)
    assert not same(plain[1].disc.params, smooth[1].disc.params)
    assert plain[2]["penalty"] == smooth[2]["penalty"] > 0
    assert plain[2]["d_loss"] != smooth[2]["d_loss"]
