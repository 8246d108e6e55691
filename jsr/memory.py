"""Device memory of a training step: what it takes, and what to change where it is too little."""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import jax

from jsr import parallel, step_cost
from jsr.errors import UserError
from jsr.feed import Feed
from jsr.models import hyper_parameters
from jsr.recipe import Recipe, Stage

# The rest goes to libraries and to gaps between arrays.
USABLE = 0.9


class StepMemory(NamedTuple):
    """Bytes on one device: `fixed` by the network and the photos, and what the batch makes."""

    fixed: int
    batch: int


def plan_memory(recipe: Recipe, stage: Stage, feeds: Iterable[Feed]) -> StepMemory:
    """What XLA plans for a step; where it cannot compile it, by the tensors kept for backward."""
    photos = sum(x.addressable_data(0).nbytes for f in feeds for x in jax.tree.leaves(f.data))
    state = recipe.template(stage.name)
    run = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)
    batches = step_cost.abstract_batches(recipe.config)
    try:
        used = run.func.lower(*run.args, state, batches, {}).compile().memory_analysis()
        made = used.temp_size_in_bytes
    except jax.errors.JaxRuntimeError:
        made = step_cost.kept_bytes(recipe, stage)
    return StepMemory(step_cost.state_bytes(state) + photos, made)


def check(error: Exception, recipe: Recipe, stage: Stage, feeds: Iterable[Feed]) -> None:
    """Raise a UserError that says what to change, where `error` is of a device out of memory."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return
    config, has = recipe.config, parallel.device_bytes(recipe.mesh)
    need = plan_memory(recipe, stage, feeds)
    remedies = list_remedies(recipe, stage, need, int(USABLE * has)) or ["a smaller network"]
    raise UserError(
        f"out of memory on the device: a step of data.batch_size {config.data.batch_size} and"
        f" data.patch {config.data.patch} needs about {_gb(sum(need))} (network, optimizer and"
        f" photos {_gb(need.fixed)}, the batch {_gb(need.batch)}) of the {_gb(has)} there; choose"
        f" {', or '.join(remedies)}"
    ) from error


def list_remedies(recipe: Recipe, stage: Stage, need: StepMemory, room: int) -> list[str]:
    """Settings by which a step takes less: at most `room` bytes where the batch alone is large."""
    config, left = recipe.config, room - need.fixed
    if left <= 0:
        return _by_sharing(recipe, stage, need)
    # An estimate that fits was too low, for there was no room.
    share = min(left / need.batch, 0.5)
    parts = recipe.mesh.size * config.accumulate
    examples = int(config.data.batch_size // parts * share)
    remedies = []
    if examples:
        remedies.append(f"data.batch_size {examples * parts}")
    for accumulate in range(config.accumulate + 1, config.data.batch_size + 1):
        at_once, rest = divmod(config.data.batch_size, accumulate * recipe.mesh.size)
        if not rest and 0 < at_once <= examples:
            remedies.append(f"accumulate {accumulate} (the same batch, in parts)")
            break
    if patch := int(config.data.patch * share**0.5):
        remedies.append(f"data.patch {patch}")
    if not config.remat and "remat" in hyper_parameters(config.generator.name):
        light = need.fixed + need.batch * _kept_by_remat(recipe, stage)
        remedies.append(f"remat True (about {_gb(light)})")
    return remedies + _by_sharing(recipe, stage, need)


def _by_sharing(recipe: Recipe, stage: Stage, need: StepMemory) -> list[str]:
    """`shard_state`, where it makes a difference."""
    config = copy.deepcopy(recipe.config)
    if config.shard_state or recipe.mesh.size == 1:
        return []
    with config.unlocked():
        config.shard_state = True
    recipes = (recipe, Recipe(config, recipe.mesh))
    whole, part = (step_cost.state_bytes(r.template(stage.name)) for r in recipes)
    return [f"shard_state True (about {_gb(sum(need) - whole + part)})"] if part < whole else []


def _kept_by_remat(recipe: Recipe, stage: Stage) -> float:
    """The share of the tensors kept for backward that is still kept with `remat`."""
    config = copy.deepcopy(recipe.config)
    with config.unlocked():
        config.remat = True
    light = step_cost.kept_bytes(Recipe(config, recipe.mesh), stage)
    return light / step_cost.kept_bytes(recipe, stage)


def _gb(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
