"""A step means the same on one device and on four, in one part and in several."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jsr import losses, parallel, state, steps
from jsr.models import make_model

RNG = np.random.default_rng(0)
BATCH = {
    "lr": RNG.random((8, 8, 8, 3), np.float32),
    "hr": RNG.random((8, 16, 16, 3), np.float32),
}
GENERATOR = make_model("srresnet", scale=2, features=8, blocks=1, axis_name=steps.AXIS)
DISCRIMINATOR = make_model("patchgan", features=4, layers=1, axis_name=steps.AXIS)
SGD = optax.sgd(0.1)


def pixel_step(**changes):
    values = {
        "pixel_loss": losses.l1,
        "pixel_weight": 1.0,
        "perceptual": None,
        "perceptual_weight": 0.0,
        "ema_decay": 0.9,
        "accumulate": 1,
    }
    return steps.make_pixel_step(GENERATOR, SGD, **{**values, **changes})


def gan_step(**changes):
    values = {
        "pixel_loss": losses.l1,
        "pixel_weight": 1.0,
        "perceptual": None,
        "perceptual_weight": 0.0,
        "adversarial": losses.ADVERSARIAL["relativistic"],
        "adversarial_weight": 0.1,
        "penalty": "none",
        "penalty_weight": 0.0,
        "ema_decay": 0.9,
        "accumulate": 1,
    }
    return steps.make_gan_step(GENERATOR, DISCRIMINATOR, SGD, SGD, **{**values, **changes})


def start(gan=False):
    gen = state.init_net(jax.random.key(1), GENERATOR, SGD, BATCH["lr"][:1])
    begun = state.start_training(gen)
    if gan:
        hr, lr = BATCH["hr"][:1], BATCH["lr"][:1]
        disc = state.init_net(jax.random.key(2), DISCRIMINATOR, SGD, hr, lr)
        begun = state.start_gan(begun, disc, SGD)
    return begun


def run(step, begun, devices, batch=BATCH, count=1):
    mesh = parallel.make_mesh(jax.devices()[:devices])
    compiled = parallel.compile_steps(steps.repeat(step), mesh)
    batches = {name: np.stack([x] * count) for name, x in batch.items()}
    begun = parallel.replicate(state.copy_tree(begun), mesh)
    batches = parallel.shard_batches(batches, mesh)
    ended, metrics = compiled(jax.random.key(3), begun, batches, {})
    return jax.tree.map(np.asarray, ended), jax.tree.map(float, metrics)


def largest_difference(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(a - b))) for a, b in pairs)


@pytest.mark.parametrize("kind", ["pixel", "gan"])
def test_one_device_equals_four(kind):
    step = pixel_step() if kind == "pixel" else gan_step()
    begun = start(kind == "gan")
    one, metrics_one = run(step, begun, 1, count=2)
    four, metrics_four = run(step, begun, 4, count=2)
    assert largest_difference(one, begun) > 1e-3
    assert largest_difference(one, four) < 2e-5
    assert metrics_one == pytest.approx(metrics_four, abs=2e-5)


def test_the_compiled_step_is_pmap():
    step, begun = gan_step(), start(gan=True)
    sharded, metrics = run(step, begun, 4)
    split = {name: x.reshape(4, 2, *x.shape[1:]) for name, x in BATCH.items()}
    literal = jax.pmap(step, axis_name=steps.AXIS, in_axes=(None, None, 0), out_axes=(None, None))
    ended, literal_metrics = literal(jax.random.key(3), begun, split)
    assert largest_difference(sharded, ended) < 1e-6
    metrics.pop("skipped_in_row")
    assert metrics == pytest.approx(jax.tree.map(float, literal_metrics), abs=1e-6)


def test_accumulated_parts_equal_the_whole_batch():
    # Without BatchNorm, whose statistics are those of a part.
    plain = make_model("msrresnet", scale=2, features=8, blocks=1)
    gen = state.init_net(jax.random.key(1), plain, SGD, BATCH["lr"][:1])
    content = (losses.l2, 1.0, None, 0.0, 0.9)
    whole, _ = run(steps.make_pixel_step(plain, SGD, *content, 1), state.start_training(gen), 2)
    parts, _ = run(steps.make_pixel_step(plain, SGD, *content, 2), state.start_training(gen), 2)
    assert largest_difference(whole, parts) < 1e-6


def test_the_draws_of_stochastic_depth_are_those_of_the_step():
    narrow = {"features": 4, "groups": 1, "blocks": 2, "heads": 1, "window": 4}
    module = make_model("swinir", scale=2, **narrow, drop_path=0.9)
    begun = state.start_training(state.init_net(jax.random.key(1), module, SGD, BATCH["lr"][:1]))
    step = steps.make_pixel_step(module, SGD, losses.l1, 1.0, None, 0.0, 0.9, 1)
    both, _ = run(step, begun, 2, count=2)
    first, _ = run(step, begun, 2)
    second, _ = run(step, first, 2)
    assert largest_difference(both, second) == 0.0
    other, _ = run(step, begun.replace(step=jnp.int32(1)), 2)
    assert largest_difference(first.gen.params, other.gen.params) > 1e-6


def test_a_step_that_is_not_finite_changes_only_the_counters():
    bad = {**BATCH, "hr": np.where(np.arange(8)[:, None, None, None] == 7, np.nan, BATCH["hr"])}
    begun = start(gan=True)
    ended, _ = run(gan_step(), begun, 4, bad, count=2)
    assert (int(ended.step), int(ended.skipped), int(ended.skipped_in_row)) == (2, 2, 2)
    for name in ("gen", "disc", "ema"):
        assert largest_difference(getattr(ended, name), getattr(begun, name)) == 0.0
    mended, metrics = run(gan_step(), ended, 4)
    assert (int(mended.skipped), metrics["skipped_in_row"]) == (2, 0)
    assert np.isfinite(metrics["loss"])


def test_the_moving_average_follows_the_parameters():
    begun = start()
    ended, _ = run(pixel_step(), begun, 1)
    old, new = (jax.tree.leaves(x)[0] for x in (begun.gen.params, ended.gen.params))
    expected = 0.9 * old + 0.1 * new
    np.testing.assert_allclose(jax.tree.leaves(ended.ema["params"])[0], expected, atol=1e-7)


def test_lr_scale_multiplies_the_update():
    begun = start()
    full, _ = run(pixel_step(), begun, 1)
    half, _ = run(pixel_step(), begun.replace(lr_scale=jnp.float32(0.5)), 1)
    moved = jax.tree.map(lambda a, b: 0.5 * (a - b), full.gen.params, begun.gen.params)
    half_moved = jax.tree.map(lambda a, b: a - b, half.gen.params, begun.gen.params)
    assert largest_difference(moved, half_moved) < 1e-7


def test_the_perceptual_loss_is_weighed_in():
    def distance(sr, hr):
        return jnp.mean(sr * 0 + 3.0)

    _, metrics = run(pixel_step(perceptual=distance, perceptual_weight=2.0), start(), 1)
    assert metrics["perceptual"] == pytest.approx(3.0)
    assert metrics["loss"] == pytest.approx(metrics["pixel"] + 6.0, rel=1e-5)


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_penalties_reach_the_discriminator(penalty):
    begun = start(gan=True)
    weighed, metrics = run(gan_step(penalty=penalty, penalty_weight=10.0), begun, 2)
    free, _ = run(gan_step(penalty=penalty, penalty_weight=0.0), begun, 2)
    assert metrics["penalty"] > 0
    assert largest_difference(weighed.disc.params, free.disc.params) > 1e-5
    assert largest_difference(weighed.gen.params, free.gen.params) == 0.0


def test_the_discriminator_learns_against_a_fixed_generator():
    step = gan_step(adversarial=losses.ADVERSARIAL["vanilla"], pixel_weight=0.0)
    mesh = parallel.make_mesh(jax.devices()[:1])
    compiled = parallel.compile_steps(steps.repeat(step), mesh)
    batches = parallel.shard_batches({name: x[None] for name, x in BATCH.items()}, mesh)
    present, seen = parallel.replicate(start(gan=True), mesh), []
    for _ in range(30):
        # G is put back as it was: only D goes on.
        present = present.replace(gen=state.copy_tree(parallel.replicate(start().gen, mesh)))
        present, metrics = compiled(jax.random.key(3), present, batches, {})
        seen.append(float(metrics["d_loss"]))
    assert np.mean(seen[-5:]) < seen[0] - 0.01


def test_predict_clips_to_the_range_of_a_picture():
    variables = {"params": start().gen.params, "batch_stats": start().gen.stats}
    loud = jax.tree.map(lambda x: 50.0 * x, variables)
    sr = np.asarray(steps.make_predict(GENERATOR.apply)(loud, BATCH["lr"]))
    assert sr.shape == (8, 16, 16, 3)
    assert sr.min() == 0.0 and sr.max() == 1.0
