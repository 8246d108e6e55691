"""Checkpoints: whole or not there, the right ones kept, the wrong ones refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr import parallel
from jsr.checkpoint import Checkpoints, check_same_config
from jsr.errors import UserError

MESH = parallel.make_mesh()


def tree(value, size=3):
    return parallel.replicate({"a": jnp.full(size, value), "n": jnp.int32(value)}, MESH)


def test_what_is_saved_comes_back_with_its_facts(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None
    checkpoints.save(3, tree(1.5), {"config": {"seed": 1}}, set())
    checkpoints.close()
    again = Checkpoints(tmp_path, keep=2)
    assert again.latest() == 3
    assert again.facts(3)["config"] == {"seed": 1}
    restored = again.restore(3, tree(0.0))
    np.testing.assert_array_equal(restored["a"], np.full(3, 1.5))
    assert restored["a"].sharding == tree(0.0)["a"].sharding
    again.close()


def test_saving_copies_a_state_whose_buffers_are_then_donated(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    state = parallel.replicate({"a": jnp.arange(1 << 20, dtype=jnp.float32)}, MESH)
    checkpoints.save(0, state, {}, set())
    add = jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t), donate_argnums=0)
    for _ in range(20):
        state = add(state)
    jax.block_until_ready(state)
    checkpoints.wait()
    restored = checkpoints.restore(0, state)
    np.testing.assert_array_equal(restored["a"], np.arange(1 << 20, dtype=np.float32))
    checkpoints.close()


def test_keeps_the_newest_and_the_protected(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in range(6):
        checkpoints.save(step, tree(step), {}, {1})
        checkpoints.wait()
    steps = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert steps == [1, 4, 5]
    checkpoints.delete_after(1)
    assert checkpoints.latest() == 1
    checkpoints.close()


def test_a_half_written_checkpoint_is_not_one(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, tree(1.0), {}, set())
    checkpoints.close()
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir()
    again = Checkpoints(tmp_path, keep=2)
    assert again.latest() == 1
    again.close()


def test_another_architecture_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, tree(1.0), {}, set())
    checkpoints.wait()
    with pytest.raises(UserError, match=r"another architecture: .*\['a'\] is \[3\] there, \[4\]"):
        checkpoints.restore(1, tree(1.0, size=4))
    checkpoints.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(UserError, match="cannot write checkpoints to"):
        Checkpoints(tmp_path, keep=2)


def test_configs_may_differ_in_what_does_not_change_the_result(tmp_path):
    old = {"seed": 0, "log_every": 5, "data": {"threads": 2, "patch": 8}, "stages": ("pixel",)}
    new = {"seed": 0, "log_every": 9, "data": {"threads": 8, "patch": 8}, "stages": ["pixel"]}
    check_same_config(old, new, tmp_path)
    new["data"]["patch"] = 16
    with pytest.raises(UserError, match=r"data\.patch \(8 there, 16 here\)"):
        check_same_config(old, new, tmp_path)


def test_a_run_from_before_a_key_was_there_goes_on(tmp_path):
    new = {"seed": 0, "data": {"frames": 1, "lr": "symmetric"}}
    check_same_config({"seed": 0, "data": {}}, new, tmp_path)
    with pytest.raises(UserError, match=r"data.frames \(1 there, 7 here\)"):
        check_same_config({"seed": 0, "data": {}}, {**new, "data": {"frames": 7}}, tmp_path)
