"""Devices and processes: the only file that knows of them.

Batches are split over the axis `batch` of one flat mesh; parameters are replicated, or split too.
"""

import functools
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jsr import heap, watch
from jsr.errors import UserError
from jsr.steps import AXIS

# How an array lies on the mesh: split by examples ([k, b, ...]), by its first axis, or not at all.
EXAMPLES, SHARDS, WHOLE = P(None, AXIS), P(AXIS), P()
# Of this process, where there are several.
_watch: watch.Watch | None = None


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


def place(tree: Any, specs: Any, mesh: Mesh) -> Any:
    """What is the same in all processes as global arrays, which Orbax saves directly.

    specs: a tree like `tree`, how each array lies on the mesh.
    """
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(x, sharding):
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            return jax.device_put(x, sharding)
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree, shardings)


def abstract(shapes: Any, specs: Any, mesh: Mesh) -> Any:
    """Shapes and types alone, with the shardings that `place` would give them."""
    return jax.tree.map(
        lambda x, spec: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec)),
        shapes,
        specs,
    )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The same values on every device, by `place`."""
    return place(tree, jax.tree.map(lambda _: WHOLE, tree), mesh)


def shard_batches(batches: dict, mesh: Mesh, spec: P = EXAMPLES) -> dict:
    """Host arrays [k, b_local, ...] of this process to global arrays [k, b, ...]."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batches)


def place_shards(make: Callable[[int], dict], shapes: dict, mesh: Mesh) -> dict:
    """Arrays of `shapes` [shards, ...], one shard for all devices or one for each.

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
    return min(gather(min(sizes)))


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
    state_spec: Any = WHOLE,
    remat: bool = False,
) -> Callable:
    """Compile a per-device `run(key, state, batches, data)` for the mesh; donates the old state.

    state_spec: one for all of the state, or a tree like it.

    This is what `jax.pmap` compiles to (one named axis, per-device code), kept as global arrays.
    `check_vma` stays off: with it on, `pmean` of a gradient returns the sum.
    """
    sharded = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(WHOLE, state_spec, batch_spec, data_spec),
        out_specs=(state_spec, WHOLE),
        check_vma=False,
    )
    options = None
    if remat and mesh.devices.flat[0].platform == "cpu":
        # Else XLA merges what is computed again with what was computed before.
        options = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    return jax.jit(sharded, donate_argnums=1, compiler_options=options)


def to_host(tree: Any) -> Any:
    """NumPy copies; every process must ask for those of arrays that are split over the devices."""

    def copy(x):
        if x.is_fully_replicated:
            return np.asarray(x.addressable_data(0))
        if x.is_fully_addressable:
            return np.asarray(x)
        whole = jax.device_put(x, NamedSharding(x.sharding.mesh, WHOLE))
        return np.asarray(whole.addressable_data(0))

    return jax.tree.map(copy, tree)


def process_index() -> int:
    """This process's number among `process_count()`."""
    return jax.process_index()


def process_count() -> int:
    """How many processes train together."""
    return jax.process_count()


def setup(deterministic: bool, examples: int = 1) -> None:
    """Settings that must stand before the first computation.

    deterministic: makes a GPU's steps repeatable bit for bit, at a cost in speed. examples: of a
    batch that are computed at once; a CPU becomes as many devices as divide them and have a core
    each, unless JAX was told how many (XLA computes most of a small picture on one core).
    """
    heap.keep()
    told = jax.config.jax_num_cpu_devices > 0 or "device_count" in os.environ.get("XLA_FLAGS", "")
    if not told and not os.environ.get("JAX_COORDINATOR_ADDRESS"):
        cores = min(len(os.sched_getaffinity(0)), examples)
        devices = next(n for n in range(max(cores, 1), 0, -1) if examples % n == 0)
        jax.config.update("jax_num_cpu_devices", devices)
    if deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def start() -> None:
    """Join the other processes of a launch, where the environment names a coordinator.

    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID, the same command in
    every process; they have JSR_JOIN_SECONDS (300) to come. JAX_COORDINATOR_ADDRESS=auto asks the
    cluster (TPU pods, Slurm). Raises UserError when they are incomplete, or when no one answers.
    """
    global _watch
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if not address or jax.distributed.is_initialized():
        return
    _join(address, int(os.environ.get("JSR_JOIN_SECONDS", "300")))
    if jax.process_count() == 1:
        return
    server = None if jax.process_index() else watch.listen()
    port = server.getsockname()[1] if server else 0
    host = _own_address() if address == "auto" else _host(address)
    place = tuple(gather([host, port])[0])
    _watch = watch.Watch(jax.process_index(), jax.process_count(), server, place, watch.end_here)


def _join(address: str, patience: int) -> None:
    # The watch ends a run sooner than these, and with a line that says why.
    waits = {"initialization_timeout": patience + 60, "shutdown_timeout_seconds": 24 * 3600}
    if address == "auto":
        del os.environ["JAX_COORDINATOR_ADDRESS"]
        jax.distributed.initialize(**waits)
        return
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    if not all(os.environ.get(name, "").isdigit() for name in names):
        raise UserError(
            f"JAX_COORDINATOR_ADDRESS is set, so {' and '.join(names)} must be numbers too"
        )
    processes, process = (int(os.environ[name]) for name in names)
    if process >= processes:
        raise UserError(f"JAX_PROCESS_ID is {process}: expected 0 to {processes - 1}")
    line = (
        f"process {process} of {processes} waited {patience} s for the others at {address}: check"
        " that all were started, with the same address and number of processes, and that the hosts"
        " reach one another"
    )
    # JAX's own end of patience is an abort.
    alarm = threading.Timer(patience, watch.end_here, (line, 2))
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(address, processes, process, **waits)
    except RuntimeError as error:
        raise UserError(f"{line} ({str(error).splitlines()[0][:120]})") from error
    finally:
        alarm.cancel()


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _own_address() -> str:
    """The address of this host that others reach; its name may stand for 127.0.1.1 here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only asks which interface leads outward.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostbyname(socket.gethostname())
        return probe.getsockname()[0]


def leave(code: int | None = None) -> None:
    """Part from the other processes: in peace, or with an exit code that ends them too, at once."""
    if _watch is None:
        return
    if code is None:
        _watch.close()
        return
    _watch.fail()
    # Not sys.exit: JAX would wait there for the others.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_same(value: str, what: str) -> None:
    """Raise UserError, in all processes, unless `value` is the same in all."""
    values = gather(value)
    others = [i for i, other in enumerate(values) if other != values[0]]
    if others:
        told = ", ".join(map(str, others))
        raise UserError(f"{what} differs between process 0 and process {told}: make them the same")


def check_shared(folder: Path) -> None:
    """Raise UserError, in all processes, unless all see the same folder."""
    probe = folder / f".seen-by-{gather(os.getpid())[0]}"
    if process_index() == 0:
        probe.touch()
    seen = gather(None) and gather(probe.exists())
    if process_index() == 0:
        probe.unlink(missing_ok=True)
    if not all(seen):
        raise UserError(
            f"{folder} is not the same folder in process 0 and in process {seen.index(False)}:"
            " --workdir must lie on storage that all hosts share"
        )


def make_agreement(mesh: Mesh) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """`agree(wished)`: whether any process wishes so, to be asked for later, equal in all of them.

    Every process calls it at the same step. The answer is on its way while the devices work.
    """
    if jax.process_count() == 1:
        return lambda wished: wished
    split = NamedSharding(mesh, SHARDS)
    largest = jax.jit(lambda wishes: wishes.max(), out_shardings=NamedSharding(mesh, WHOLE))

    def agree(wished: Callable[[], bool]) -> Callable[[], bool]:
        local = np.full(len(mesh.local_devices), wished(), np.int32)
        answer = largest(jax.make_array_from_process_local_data(split, local))
        return lambda: bool(answer.addressable_data(0))

    return agree


def gather(value: Any) -> list:
    """Every process's `value` (what JSON holds, of any size), in the order of the processes.

    Numbers arrive bit for bit. Every process must call it.
    """
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    if process_count() == 1:
        return [json.loads(data.tobytes())]
    lengths = np.ravel(multihost_utils.process_allgather(np.int32(len(data))))
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(data)] = data
    rows = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]
