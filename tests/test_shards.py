"""A state that is shared out among the devices trains as one that each of them has."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_processes import Launch, commands, largest_difference, photos  # noqa: F401

from configs import base, srgan
from jsr import machine, memory, parallel, shards, step_cost, step_plan, topology
from jsr.checkpoint import Checkpoints
from jsr.errors import UserError
from jsr.recipe import Recipe
from jsr.steps import AXIS
from jsr.weights import save_network


def make_config(shared: bool, **changes):
    config = srgan.get_config()
    config.generator.hparams.update(features=16, blocks=1)
    config.discriminator.name = "patchgan"
    config.discriminator.hparams = {"features": 16, "layers": 1}
    config.scale, config.data.patch, config.data.batch_size = 2, 8, 8
    config.shard_state = shared
    for name in ("pixel", "gan"):
        config[name].steps = 4
        # Clips every gradient.
        config[name].optimizer = base.optimizer(name="adamw", clip=1e-3, weight_decay=0.1)
    config.gan.disc_optimizer.clip = 1e-3
    config.gan.adversarial = "relativistic"
    config.update(changes)
    return config


def make_recipe(shared: bool, devices: int = 4, **changes) -> Recipe:
    return Recipe(make_config(shared, **changes), parallel.make_mesh(jax.devices()[:devices]))


def train(recipe: Recipe, kind: str, count: int = 2):
    """The state after so many steps on noise."""
    stage = next(s for s in recipe.stages if s.name == kind)
    run = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)
    rng = np.random.default_rng(0)
    shapes = step_cost.abstract_batches(recipe.config)
    noise = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
    train_state = recipe.begin(stage, recipe.start())
    for _ in range(count):
        train_state, _ = run(train_state, parallel.shard_batches(noise, recipe.mesh), {})
    return train_state


def leaves(tree) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(parallel.to_host(tree))]


def test_the_longest_axis_that_the_devices_divide_is_split():
    assert shards.split_axis((3, 3, 64, 256), 4) == 3
    assert shards.split_axis((3, 3, 64, 64), 4) == 2
    assert shards.split_axis((3, 3, 180, 64), 16) == 3
    for shape, devices in (((256,), 4), ((3, 3, 180, 180), 16), ((512, 512), 1)):
        assert shards.split_axis(shape, devices) == shards.UNSPLIT


# Sums of gradients are rounded in another order; Adam makes that larger where they are near 0.
@pytest.mark.parametrize(("kind", "accumulate"), [("pixel", 2), ("gan", 1)])
def test_shared_out_and_replicated_states_train_alike(kind, accumulate):
    made = [make_recipe(shared, accumulate=accumulate) for shared in (False, True)]
    whole, parts = (train(recipe, kind) for recipe in made)
    begun = made[0].start()
    split = [x for x in jax.tree.leaves(parts) if not x.is_fully_replicated]
    # Kernels of G, their average, both moments; those of D and both moments.
    assert len(split) == (11 if kind == "gan" else 8)
    pairs = [*zip(leaves(whole), leaves(parts), strict=True)]
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-6
    moved = zip(leaves(whole.gen.params), leaves(begun.gen.params), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in moved) > 1e-4


NETWORKS = {
    "remat": ("edsr", {"features": 16, "blocks": 2}, {"remat": True}),
    "scales": ("vdsr", {"features": 16, "layers": 3}, {"scales": (2, 4)}),
}


def chosen(what: str, shared: bool, **changes) -> Recipe:
    name, hparams, more = NETWORKS[what]
    config = make_config(shared, **more, **changes)
    config.generator.name, config.generator.hparams = name, hparams
    config.stages = ("pixel",)
    return Recipe(config, parallel.make_mesh())


def difference(one, other) -> float:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


@pytest.mark.parametrize(("what", "scale"), [("remat", 2), ("scales", 2), ("scales", 4)])
def test_so_do_those_of_networks_that_recompute_or_know_several_scales(what, scale):
    whole, parts = (train(chosen(what, shared, scale=scale), "pixel") for shared in (False, True))
    assert any(not x.is_fully_replicated for x in jax.tree.leaves(parts.gen.params))
    assert difference(whole, parts) < 1e-6


def test_a_warm_start_is_shared_out(tmp_path):
    path = tmp_path / "net.safetensors"
    first = train(chosen("remat", False), "pixel")
    save_network(path, parallel.to_host(first.ema), chosen("remat", False).facts())
    started = chosen("remat", True, init=str(path)).start()
    assert any(not x.is_fully_replicated for x in jax.tree.leaves(started.gen.params))
    assert difference(started.gen.params, first.ema["params"]) == 0
    assert difference(started.ema["params"], first.ema["params"]) == 0


def test_the_norm_is_that_of_all_parts():
    rng = np.random.default_rng(0)
    grads = {"large": rng.normal(size=(64, 64)), "small": rng.normal(size=5)}
    grads = jax.tree.map(jnp.float32, grads)
    parts = shards.Shards(lambda _name: grads, 4)
    specs = {"large": parallel.SHARDS, "small": parallel.WHOLE}
    for largest in (1e-2, 1e4):
        clip = parts.clip("gen")(largest)
        expected, _ = optax.clip_by_global_norm(largest).update(grads, optax.EmptyState())
        clipped = jax.jit(
            jax.shard_map(
                lambda g, clip=clip: clip.update(g, optax.EmptyState())[0],
                mesh=parallel.make_mesh(),
                in_specs=(specs,),
                out_specs=specs,
                check_vma=False,
            )
        )(grads)
        for name in grads:
            np.testing.assert_allclose(clipped[name], expected[name], rtol=1e-5)


def test_a_number_that_breaks_in_one_part_skips_the_step_in_all():
    made = make_recipe(shared=True)
    axes = made._shards.axes("gen")

    def update(updates, opt_state, params=None):
        def spoil(u, axis):
            last = lax_last(AXIS)
            return jnp.where(last, jnp.nan, u) if axis != shards.UNSPLIT else u

        return jax.tree.map(spoil, updates, axes), opt_state

    spoiled = optax.GradientTransformation(lambda _params: optax.EmptyState(), update)
    made._optimizers["pixel"]["gen"] = spoiled
    begun, ended = made.start(), train(made, "pixel")
    assert int(ended.skipped) == int(ended.skipped_in_row) == 2
    for before, after in zip(leaves(begun.gen), leaves(ended.gen), strict=True):
        np.testing.assert_array_equal(before, after)


def lax_last(axis: str):
    return jax.lax.axis_index(axis) == jax.lax.axis_size(axis) - 1


def large(shared: bool):
    config = base.published("large", "edsr", features=64, blocks=2)
    config.scale, config.data.patch, config.data.batch_size = 2, 8, 4
    config.shard_state = shared
    return config


def test_each_device_has_its_part_of_a_large_state():
    mesh = parallel.make_mesh()
    whole, part = (Recipe(large(shared), mesh) for shared in (False, True))
    train_state = part.start()
    held = [x.addressable_data(0).nbytes for x in jax.tree.leaves(train_state)]
    all_of_it = step_cost.state_bytes(whole.template("pixel"))
    assert sum(held) == step_cost.state_bytes(part.template("pixel"))
    assert sum(held) < 1.3 * all_of_it / 4
    need = memory.StepMemory(fixed=all_of_it, batch=10)
    (remedy,) = memory.list_remedies(whole, whole.stages[0], need, room=10)
    assert remedy.startswith("shard_state True (about ")
    assert memory.list_remedies(part, part.stages[0], need, room=10) == []


def test_preflight_knows_of_it(monkeypatch):
    monkeypatch.setattr(machine, "product_peak", lambda _dtype: 4e9)
    monkeypatch.setattr(machine, "bandwidth", lambda: 4e9)
    where = topology.open_topology("cpu:4")
    stage = Recipe(large(False), parallel.make_mesh(where.devices)).stages[0]
    whole, part = (step_plan.plan_step(large(shared), where, stage, 1) for shared in (False, True))
    train_state = Recipe(large(False), parallel.make_mesh(where.devices)).template("pixel")
    saved = 3 / 4 * step_cost.state_bytes(train_state)
    # The parameters are put together for the step, and are no input any more.
    together = step_cost.state_bytes(train_state.gen.params)
    assert whole.hbm - part.hbm > 0.9 * saved - together
    assert part.flops == whole.flops
    assert sum(part.collectives) == pytest.approx(sum(whole.collectives), rel=0.01)


def test_a_checkpoint_goes_on_with_another_number_of_devices_and_without_it(tmp_path):
    """Of the adversarial stage, so with two networks."""
    written = make_recipe(shared=True)
    begun = train(written, "gan", 0)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(0, begun, {}, set())
    checkpoints.wait()
    for shared, devices in ((False, 2), (True, 2), (True, 4), (True, 1)):
        template = make_recipe(shared, devices).template("gan")
        restored = checkpoints.restore(0, template)
        for x, like in zip(jax.tree.leaves(restored), jax.tree.leaves(template), strict=True):
            assert x.sharding == like.sharding
        for one, other in zip(leaves(begun), leaves(restored), strict=True):
            np.testing.assert_array_equal(one, other)
    checkpoints.close()


def test_an_optimizer_that_may_need_whole_arrays_is_refused():
    keys = base.optimizer(name="optax:lamb")
    with pytest.raises(UserError, match="shard_state is True, but the optimizer optax:lamb may"):
        make_recipe(shared=True, pixel={"optimizer": keys})


@pytest.mark.long
def test_a_run_goes_on_with_it_and_without(photos, tmp_path):  # noqa: F811
    """Two processes of two devices, then one of one, as one that was left alone."""
    features = {"generator__hparams__features": 16}
    launch = Launch(commands(photos, tmp_path / "alone", 1, **features))
    assert launch.finish() == [0], launch.said
    both = {**features, "shard_state": True}
    launch = Launch(commands(photos, tmp_path / "run", **both), devices=2)
    launch.until("step 18/24")
    launch.processes[1].terminate()
    assert launch.finish() == [0, 0], launch.said
    assert "state shared out among the devices" in launch.text(0)
    launch = Launch(commands(photos, tmp_path / "run", 1, **features))
    assert launch.finish() == [0], launch.said
    assert "resumed from step" in launch.text(0)
    assert largest_difference(tmp_path / "alone", tmp_path / "run") < 2e-4
