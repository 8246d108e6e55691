"""Devices to compile for by name: those of a TPU slice that is not here, or of this machine."""

import importlib.util
import math
import os
import re
from typing import NamedTuple

import jax
from jax.experimental import topologies

from jsr.chips import CHIPS, SLICES, Chip
from jsr.errors import UserError

# Chips of a host, where a slice is smaller than the compiler's own guess of 2x2.
SMALL = 4


class Topology(NamedTuple):
    """`devices` to compile for; `chip` and the slice's `shape` where they are TPUs."""

    name: str
    devices: list
    chip: Chip | None
    shape: tuple[int, ...]


def open_topology(name: str) -> Topology:
    """The devices of v5e:4x4 and the like, of cpu:N, or of gpu:N; no TPU is needed.

    Must come before JAX's first computation. Raises UserError for a name that is none of these,
    for devices that are not here, and where libtpu is missing.
    """
    kind, _, size = name.partition(":")
    if kind in CHIPS and re.fullmatch(r"\d+(x\d+)*", size):
        return _slice(name, kind, tuple(map(int, size.split("x"))))
    if kind in ("cpu", "gpu") and re.fullmatch(r"[1-9]\d*|", size):
        return _here(name, kind, int(size or 1))
    raise _unknown(name)


def _slice(name: str, kind: str, shape: tuple[int, ...]) -> Topology:
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(f"--topology {name} needs libtpu (no TPU is needed): pip install libtpu")
    if name.partition(":")[2] not in SLICES[kind]:
        raise _unknown(name)
    # Else JAX would look for a TPU here, and libtpu for the cloud's metadata server.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    bounds = {}
    if math.prod(shape) < SMALL:
        bounds["chips_per_host_bounds"] = [*shape, 1, 1][:3]
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=name, **bounds)
    except jax.errors.JaxRuntimeError as error:
        told = str(error).splitlines()[0][:150]
        raise UserError(f"--topology {name}: libtpu does not make it ({told})") from error
    return Topology(name, list(found.devices), CHIPS[kind], shape)


def _here(name: str, kind: str, number: int) -> Topology:
    try:
        if kind == "cpu" and "device_count" not in os.environ.get("XLA_FLAGS", ""):
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_num_cpu_devices", number)
    except RuntimeError:
        # JAX has started, with as many as it has.
        pass
    try:
        devices = jax.devices(kind)
    except RuntimeError as error:
        raise UserError(f"--topology {name}: there is no {kind.upper()} on this machine") from error
    if len(devices) < number:
        raise UserError(f"--topology {name}: there are {len(devices)} {kind.upper()} devices here")
    return Topology(name, devices[:number], None, (number,))


def _unknown(name: str) -> UserError:
    known = "; ".join(f"{kind}:{', '.join(sizes)}" for kind, sizes in SLICES.items())
    return UserError(f"--topology {name} is unknown: there are {known}; cpu:N; gpu:N")
