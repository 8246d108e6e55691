"""A device out of memory: what to change is told, and then the step fits."""

import jax
import pytest
import runs

from configs import base
from jsr import memory, parallel, profile
from jsr import train as training
from jsr.errors import UserError
from jsr.recipe import Recipe
from jsr.step_cost import GIVEN

FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")


def small(**data):
    config = base.published("small", "edsr", features=8, blocks=4)
    config.scale = 2
    config.data.update({"batch_size": 8, "patch": 16, **data})
    return Recipe(config, parallel.make_mesh(jax.devices()[:1]))


def planned(recipe):
    return memory.plan_memory(recipe, recipe.stages[0], [GIVEN])


def test_another_error_is_left_alone():
    memory.check(jax.errors.JaxRuntimeError("INTERNAL: x"), None, None, None)


def test_what_is_told_fits(monkeypatch):
    recipe = small()
    need = planned(recipe)
    # Room for the network and a third of what the batch makes.
    room = int((need.fixed + need.batch / 3) / memory.USABLE)
    monkeypatch.setattr(parallel, "device_bytes", lambda _mesh: room)
    with pytest.raises(UserError) as told:
        memory.check(FULL, recipe, recipe.stages[0], [GIVEN])
    text = str(told.value)
    assert "a step of data.batch_size 8 and data.patch 16 needs about" in text
    batch = "data.batch_size 2, or accumulate 4 (the same batch, in parts), or data.patch 9"
    assert f"choose {batch}, or remat True (about " in text
    for changed in ({"batch_size": 2}, {"patch": 9}):
        assert sum(planned(small(**changed))) < room


def test_a_network_that_fills_the_device():
    recipe = small()
    need = memory.StepMemory(fixed=10, batch=10)
    assert memory.list_remedies(recipe, recipe.stages[0], need, room=10) == []


def test_a_run_ends_with_that_line(tmp_path, monkeypatch):
    def full(*_arguments):
        raise FULL

    monkeypatch.setattr(profile.Profile, "run", full)
    with pytest.raises(UserError, match=r"out of memory on the device: .* choose data.batch_size"):
        training.train(small_run(tmp_path), tmp_path / "run")


def small_run(folder):
    config = base.published("small", "edsr", features=4, blocks=1)
    config.scale, config.pixel.steps = 2, 1
    config.data.update({"batch_size": 8, "patch": 8, "name": "image_folder"})
    config.data.dir = str(runs.make_photos(folder / "photos"))
    config.log_every = config.eval_every = config.save_every = 1
    return config
