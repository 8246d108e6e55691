"""Devices and processes: the only file that knows of them.

Parameters are replicated, batches are split over the axis `batch` of one flat mesh.
"""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jsr.errors import UserError
from jsr.steps import AXIS


def make_mesh(devices: list | None = None) -> Mesh:
    """A flat mesh over all devices of all processes (or those given)."""
    return Mesh(np.array(devices if devices is not None else jax.devices()), (AXIS,))


def check_batch(batch_size: int, accumulate: int, mesh: Mesh) -> None:
    """Raise UserError unless the batch splits over the devices and their accumulated parts."""
    parts = mesh.size * accumulate
    if batch_size < parts or batch_size % parts:
        raise UserError(
            f"data.batch_size is {batch_size}, which {mesh.size} device(s) times accumulate"
            f" {accumulate} do not divide: choose a multiple of {parts}"
        )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same values on every device, as global arrays that Orbax saves directly."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


# How an array lies on the mesh: split by examples ([k, b, ...]), by its first axis, or not at all.
EXAMPLES, SHARDS, WHOLE = P(None, AXIS), P(AXIS), P()


def shard_batches(batches: dict, mesh: Mesh, spec: P = EXAMPLES) -> dict:
    """Host arrays [k, b_local, ...] of this process to global arrays [k, b, ...]."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batches)


def place_shards(make: Callable[[int], dict], shapes: dict, mesh: Mesh) -> dict:
    """uint8 arrays of `shapes` [shards, ...], one shard for all devices or one for each.

    `make(shard)` gives the arrays of one shard; it is called once for each shard that this
    process's devices need.
    """
    made = functools.cache(make)

    def place(name, shape):
        spec = SHARDS if shape[0] > 1 else WHOLE
        return jax.make_array_from_callback(
            shape, NamedSharding(mesh, spec), lambda index: made(index[0].start or 0)[name][None]
        )

    return {name: place(name, shape) for name, shape in shapes.items()}


def device_bytes(mesh: Mesh) -> int:
    """Memory of the mesh's smallest device; a CPU's is its host's, shared among its devices."""
    sizes = [_bytes_of(device) for device in mesh.local_devices]
    return min(gather(min(sizes))) if jax.process_count() > 1 else min(sizes)


def _bytes_of(device) -> int:
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit or _host_bytes() // jax.local_device_count()


def _host_bytes() -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:  # what a container may take of it
        return min(installed, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return installed


def compile_steps(
    run: Callable,
    mesh: Mesh,
    batch_spec: P = EXAMPLES,
    data_spec: P = WHOLE,
    remat: bool = False,
) -> Callable:
    """Compile a per-device `run(key, state, batches, data)` for the mesh; donates the old state.

    This is what `jax.pmap` compiles to (one named axis, per-device code), kept as global arrays.
    `check_vma` stays off: with it on, `pmean` of a gradient returns the sum.
    """
    sharded = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(WHOLE, WHOLE, batch_spec, data_spec),
        out_specs=(WHOLE, WHOLE),
        check_vma=False,
    )
    options = None
    if remat and mesh.devices.flat[0].platform == "cpu":
        # Else XLA merges what is computed again with what was computed before.
        options = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    return jax.jit(sharded, donate_argnums=1, compiler_options=options)


def to_host(tree: Any) -> Any:
    """NumPy copies of replicated values."""
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)


def process_index() -> int:
    """This process's number among `process_count()`."""
    return jax.process_index()


def process_count() -> int:
    """How many processes train together."""
    return jax.process_count()


def setup(deterministic: bool) -> None:
    """Settings that must stand before the first computation.

    `deterministic` makes a GPU's steps repeatable bit for bit, at a cost in speed.
    """
    if deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def start() -> None:
    """Join the other processes of a launch, where the environment names a coordinator.

    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID, the same command in
    every process. Raises UserError when they are incomplete.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if not address or jax.distributed.is_initialized():
        return
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    if not all(os.environ.get(name, "").isdigit() for name in names):
        raise UserError(
            f"JAX_COORDINATOR_ADDRESS is set, so {' and '.join(names)} must be numbers too"
        )
    processes, process = (int(os.environ[name]) for name in names)
    jax.distributed.initialize(address, processes, process)


def gather(value: Any) -> list:
    """Every process's `value` (what JSON holds, of any size), in the order of the processes.

    Numbers arrive bit for bit. Every process must call it.
    """
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = np.ravel(multihost_utils.process_allgather(np.int32(len(data))))
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(data)] = data
    rows = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]
