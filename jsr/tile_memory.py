"""How much memory tiles may take: what is free on the device or in the machine."""

from contextlib import suppress
from pathlib import Path

import jax
import psutil

# Of what is free.
SHARE = 0.4
# On a CPU larger windows are no faster; with pictures around them this stays below 2 GB.
CPU_LIMIT = 1.3e9
# What a control group of Linux (a container, a batch system's job) allows and has taken.
GROUP = Path("/sys/fs/cgroup")


def tile_bytes(device: jax.Device) -> float:
    """The bytes that a batch of windows may need on `device`."""
    if device.platform == "cpu":
        return min(SHARE * free_memory(), CPU_LIMIT)
    with suppress(Exception):
        stats = device.memory_stats()
        return SHARE * (stats["bytes_limit"] - stats["bytes_in_use"])
    return CPU_LIMIT


def free_memory() -> float:
    """The bytes of main memory that this process may still take."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError, KeyError):
        limit = float((GROUP / "memory.max").read_text())
        taken = float((GROUP / "memory.current").read_text())
        pairs = (line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        # Files that were read count as taken, but are given up first.
        files = float(dict(pairs)["inactive_file"])
        free = min(free, limit - taken + files)
    return free


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device, or the machine, could not give what was asked for."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
