"""How fast a config's training step is on batches that lie on the device, and how fast it could be.

`python -m jsr.bench train` prints these rows.
"""

import copy
import time
from collections.abc import Iterator

import jax
import numpy as np

from jsr import machine, memory, model_cost, parallel, step_cost, timing
from jsr.errors import UserError
from jsr.peers import load_peer
from jsr.recipe import Recipe, Stage
from jsr.timing import Work
from jsr.torch_names import to_torch


def step_row(config, rounds: int, against: bool) -> dict:
    """The row of a config's first stage; `against` PyTorch's step of the same network.

    Raises UserError where it does not fit into the device's memory.
    """
    recipe = Recipe(config, parallel.make_mesh())
    stage = recipe.stages[0]
    try:
        return _step_row(recipe, stage, rounds, against)
    except jax.errors.JaxRuntimeError as error:
        memory.check(error, recipe, stage, [])
        raise


def _step_row(recipe: Recipe, stage: Stage, rounds: int, against: bool) -> dict:
    config = recipe.config
    start = time.perf_counter()
    state = jax.block_until_ready(recipe.begin(stage, recipe.start()))
    more = {"init_s": time.perf_counter() - start}
    more["parameters"] = model_cost.parameters({"params": state.gen.params})
    batch, works = random_batch(config), {}
    if against:
        state_dict = {k: np.array(v) for k, v in to_torch(parallel.to_host(state.ema)).items()}
        works, note = peer_works(config, stage, state_dict, batch)
        more |= {"note": note} if note else {}
    start = time.perf_counter()
    program = compile_step(recipe, stage)
    more["compile_s"] = time.perf_counter() - start
    works = {"jsr": _work(program, recipe, stage, state, batch), **works}
    turns = timing.alternate(works, rounds)
    turns["jsr"] = [seconds / config.steps_per_dispatch for seconds in turns["jsr"]]
    row = timing.make_row(f"step: {describe(config)}", turns, **more)
    return row | costs(recipe, stage, program, row["jsr_s"])


def describe(config) -> str:
    """A config's network, precision and batch in a few words."""
    network = config.generator
    size = "x".join(str(network.hparams[k]) for k in ("features", "blocks") if k in network.hparams)
    words = [network.name, size, f"x{config.scale}", config.dtype, "remat" if config.remat else ""]
    data = f"batch {config.data.batch_size}, LR {config.data.patch}x{config.data.patch}"
    return f"{' '.join(filter(None, words))}, {data}"


def variants(config, batches: list[int], patches: list[int], sweep: bool) -> Iterator:
    """The config with each batch and patch (its own where the lists are empty).

    `sweep` adds what grows: the batch by 2 and 4, the patch by 2, the network's width by 2.
    """
    for batch in batches or [config.data.batch_size]:
        for patch in patches or [config.data.patch]:
            changed = _with(config, batch, patch)
            yield changed
            if sweep:
                yield from (_with(config, batch * times, patch) for times in (2, 4))
                yield _with(config, batch, patch * 2)
                yield from _wider(changed)


def random_batch(config) -> dict[str, np.ndarray]:
    """Noise of the shapes and types of one dispatch, as `step_cost.abstract_batches` has them."""
    rng = np.random.default_rng(0)
    shapes = step_cost.abstract_batches(config)
    levels = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
    return {
        name: x if shapes[name].dtype == np.uint8 else x / np.float32(255.0)
        for name, x in levels.items()
    }


def compile_step(recipe: Recipe, stage: Stage):
    """The compiled dispatch of `stage` on batches that are given."""
    run = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)
    placed = jax.tree.map(
        lambda x, like: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=like.sharding),
        step_cost.abstract_batches(recipe.config),
        parallel.shard_batches(random_batch(recipe.config), recipe.mesh),
    )
    return run.func.lower(*run.args, recipe.template(stage.name), placed, {}).compile()


def costs(recipe: Recipe, stage: Stage, program, seconds: float) -> dict:
    """What a step needs and how near `seconds` are to it; memory, as XLA planned it."""
    config, devices = recipe.config, recipe.mesh.size
    cost = step_cost.count_step(config, recipe.mesh, stage)
    peak, bandwidth = machine.product_peak(config.dtype), machine.bandwidth()
    floor = cost.floor(peak / devices, bandwidth / devices)
    planned = program.memory_analysis()
    temporary, kept = planned.temp_size_in_bytes, step_cost.kept_bytes(recipe, stage)
    return {
        "operations": cost.operations * devices,
        "bytes": cost.nbytes * devices,
        "mfu": cost.operations * devices / seconds / peak,
        "floor_s": floor,
        "over_floor": seconds / floor,
        "temp_bytes": temporary,
        "kept_bytes": kept,
        "temp_over_kept": temporary / kept,
        "memory_bytes": temporary + planned.argument_size_in_bytes,
        "peak_bytes": (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use"),
    }


def peer_works(config, stage: Stage, state: dict, batch: dict) -> tuple[dict[str, Work], str]:
    """PyTorch's ways to do the step, and what did not work. Raises UserError where it cannot."""
    peer = load_peer("peers.torch_loop")
    refused = peer.refusal(config) if stage.name == "pixel" else "the peers have the pixel stage"
    if refused:
        raise UserError(f"--against torch: {refused}")
    ways, note = peer.training(config, state, {name: x[0] for name, x in batch.items()})
    return {name: Work(*pair) for name, pair in ways.items()}, note


def _work(program, recipe: Recipe, stage: Stage, state, batch: dict) -> Work:
    key = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN).args
    batches = parallel.shard_batches(batch, recipe.mesh)
    held = {"state": state, "metrics": {}}

    def call():
        before = held["metrics"]
        held["state"], held["metrics"] = program(*key, held["state"], batches, {})
        # As the loop does: queues of dispatches to several CPU devices may hang.
        jax.block_until_ready(before)

    return Work(call, lambda: jax.block_until_ready(held))


def _with(config, batch: int, patch: int):
    changed = copy.deepcopy(config)
    changed.data.batch_size, changed.data.patch = batch, patch
    return changed


def _wider(config) -> Iterator:
    features = config.generator.hparams.get("features")
    if features:
        changed = copy.deepcopy(config)
        changed.generator.hparams.features = 2 * features
        yield changed
