"""What only a GPU shows: JSR_TEST_PLATFORM=cuda python -m pytest tests/test_gpu.py.

With JSR_TEST_PLATFORM=cpu they run on a CPU, to test the tests.
"""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from configs import base
from jsr import memory, parallel, step_cost
from jsr.errors import UserError
from jsr.models import make_model
from jsr.recipe import Recipe
from jsr.step_speed import random_batch

pytestmark = pytest.mark.skipif(
    "JSR_TEST_PLATFORM" not in os.environ, reason="needs a GPU: JSR_TEST_PLATFORM=cuda"
)
HPARAMS = {"features": 32, "blocks": 2}
# Two runs of a few steps, in a process of its own since the flag stands before JAX starts.
TWICE = """
import sys, jax, numpy as np
sys.path.insert(0, "tests")
from jsr import parallel
parallel.setup(True)
import test_gpu
one, other = (test_gpu.train(test_gpu.small(), steps=3)[0] for _ in range(2))
same = jax.tree.map(lambda a, b: np.array_equal(a, b), one.gen.params, other.gen.params)
print("same bits:", all(jax.tree.leaves(same)))
"""


def small(name="edsr", **changes):
    config = base.published("small", name, **HPARAMS)
    config.pixel.optimizer.lr = 1e-3
    config.data.batch_size, config.data.patch = 4 * jax.device_count(), 16
    config.update(changes)
    return config


def learnable(config):
    """A batch of which HR is LR, enlarged."""
    lr = random_batch(config)["lr"]
    return {"lr": lr, "hr": lr.repeat(config.scale, 2).repeat(config.scale, 3)}


def train(config, steps):
    """The state after some steps on the same batch, and the losses."""
    recipe = Recipe(config, parallel.make_mesh())
    run, batch = (
        recipe.compile(recipe.stages[0], recipe.config.scale, step_cost.GIVEN),
        learnable(config),
    )
    state, losses = recipe.start(), []
    for _ in range(steps):
        batches = parallel.shard_batches(batch, recipe.mesh)
        state, metrics = run(state, batches, {})
        losses.append(float(metrics["loss"]))
    return state, losses


def test_the_platform_is_the_one_asked_for():
    assert jax.default_backend() in ("gpu", os.environ["JSR_TEST_PLATFORM"])


@pytest.mark.parametrize("name", ["srresnet", "edsr", "rrdb", "swinir"])
def test_bfloat16_is_float32_to_its_precision(name):
    hparams = {"swinir": {"features": 32, "groups": 1, "blocks": 2, "heads": 2}}.get(name, HPARAMS)
    lr = jnp.asarray(np.random.default_rng(0).random((1, 32, 32, 3), np.float32))
    exact, half = (make_model(name, **hparams, dtype=d) for d in ("float32", "bfloat16"))
    variables = exact.init(jax.random.key(0), lr)
    expected, found = jax.jit(exact.apply)(variables, lr), jax.jit(half.apply)(variables, lr)
    assert found.dtype == jnp.float32
    assert jnp.abs(found - expected).max() < 0.03 * jnp.abs(expected).max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_steps_learn_in_either_precision(dtype):
    state, losses = train(small(dtype=dtype), steps=20)
    assert losses[-1] < 0.9 * losses[0] and int(state.skipped) == 0
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state.gen.params))


def test_the_same_steps_as_on_a_cpu():
    _, losses = train(small(), steps=3)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        mesh = parallel.make_mesh(jax.local_devices(backend="cpu")[:1])
        recipe = Recipe(small(), mesh)
        run, state = (
            recipe.compile(recipe.stages[0], recipe.config.scale, step_cost.GIVEN),
            recipe.start(),
        )
        expected, batches = [], parallel.shard_batches(learnable(small()), mesh)
        for _ in range(3):
            state, metrics = run(state, batches, {})
            expected.append(float(metrics["loss"]))
    # TF32 has ten bits.
    np.testing.assert_allclose(losses, expected, rtol=1e-2)


def test_steps_in_one_dispatch_are_the_same_steps():
    periods = {"log_every": 4, "eval_every": 4, "save_every": 4}
    config = small(steps_per_dispatch=4, **periods)
    config.pixel.steps = 4
    recipe = Recipe(config, parallel.make_mesh())
    run = recipe.compile(recipe.stages[0], recipe.config.scale, step_cost.GIVEN)
    batch = {name: x.repeat(4, 0) for name, x in learnable(small()).items()}
    state, _ = run(recipe.start(), parallel.shard_batches(batch, recipe.mesh), {})
    expected, _ = train(small(), steps=4)
    for a, b in zip(*(jax.tree.leaves(s.gen.params) for s in (state, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_the_batch_is_shared_out_over_all_devices():
    recipe = Recipe(small(), parallel.make_mesh())
    assert recipe.mesh.size == jax.device_count()
    placed = parallel.shard_batches(random_batch(small()), recipe.mesh)
    assert {s.data.shape[1] for s in placed["lr"].addressable_shards} == {4}


def test_deterministic_steps_have_the_same_bits():
    done = subprocess.run(
        [sys.executable, "-c", TWICE], cwd=runs.ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == ["same bits: True"], done.stderr[-2000:]


def test_remat_takes_less_memory():
    found = []
    for remat in (False, True):
        config = small(remat=remat, scale=2)
        config.generator.hparams.blocks = 8
        recipe = Recipe(config, parallel.make_mesh())
        found.append(memory.plan_memory(recipe, recipe.stages[0], [step_cost.GIVEN]).batch)
    assert found[1] < 0.9 * found[0]


@pytest.mark.skipif(os.environ.get("JSR_TEST_PLATFORM") == "cpu", reason="a CPU has swap")
def test_too_large_a_step_is_told():
    config = small()
    config.data.batch_size, config.data.patch = 512 * jax.device_count(), 512
    recipe = Recipe(config, parallel.make_mesh())
    stage, batches = recipe.stages[0], step_cost.abstract_batches(config)
    with pytest.raises(UserError, match=r"out of memory on the device: .* data.batch_size"):
        try:
            state = recipe.start()
            made = {k: jnp.zeros(x.shape, x.dtype) for k, x in batches.items()}
            jax.block_until_ready(
                recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)(state, made, {})
            )
        except jax.errors.JaxRuntimeError as error:
            memory.check(error, recipe, stage, [step_cost.GIVEN])
            raise
