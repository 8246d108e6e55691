"""What the machine can do at most, as measured: matrix products and moved bytes a second."""

import datetime
import functools
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jsr import parallel
from jsr.timing import Work

# Sides of the products and sizes of the arrays that are tried, the best of which counts.
SIDES = {"cpu": (1024, 2048), "other": (4096, 8192)}
MEGABYTES = {"cpu": (64, 256), "other": (512, 2048)}
CHAIN = 4
TRIES = 5


@functools.cache
def product_peak(dtype: str) -> float:
    """Operations a second of the largest matrix products, over all devices together.

    Products of float32 are those that JAX does by default: on some GPUs in TF32.
    """
    best = 0.0
    for side in _for_platform(SIDES):
        start = jax.random.normal(jax.random.key(0), (side, side), jnp.float32) / np.sqrt(side)
        seconds = _fastest(_products, start.astype(dtype))
        best = max(best, 2 * side**3 * CHAIN * jax.device_count() / seconds)
    return best


@functools.cache
def bandwidth() -> float:
    """Bytes a second that all devices together read and write in one pass over large arrays."""
    best = 0.0
    for megabytes in _for_platform(MEGABYTES):
        start = jnp.ones(megabytes * 250_000, jnp.float32)
        seconds = _fastest(lambda x: x + 1.0, start)
        best = max(best, 2 * start.nbytes * jax.device_count() / seconds)
    return best


def describe() -> dict:
    """What a figure belongs to: the processor, the devices, the versions, the day."""
    device = jax.devices()[0]
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def _products(x: jax.Array) -> jax.Array:
    y = x
    for _ in range(CHAIN):
        y = x @ y
    # Of about the size that x had: it is the next call's.
    return (x + y) * 0.5


def _fastest(compute: Callable, start: jax.Array) -> float:
    """Seconds of `compute`, an array to one of its shape in its place, on every device at once."""
    mesh = parallel.make_mesh()

    def on_each(_key, state, _batches, _data):
        return compute(state), {}

    program = parallel.compile_steps(on_each, mesh)
    held = {"state": parallel.replicate(start, mesh)}
    empty = np.zeros((1, mesh.size // parallel.process_count()), np.float32)
    batches = parallel.shard_batches({"none": empty}, mesh)

    def call():
        held["state"], _ = program(jax.random.key(0), held["state"], batches, {})

    work = Work(call, lambda: jax.block_until_ready(held))
    work.seconds()
    return min(work.seconds() for _ in range(TRIES))


def _for_platform(table: dict[str, tuple]) -> tuple:
    return table["cpu" if jax.default_backend() == "cpu" else "other"]


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
