"""The memory that a CPU's computations take from the system and give back."""

import ctypes
import platform

# Parameters of glibc's mallopt (its malloc.h) and what `keep` sets them to: one arena, which
# alone can hold what is large; no mapping of its own for anything; at most 2 GB of it free.
KEPT = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1)}


def keep() -> bool:
    """Have this process keep the memory that it frees, from now on; whether it could be told so.

    XLA takes a program's temporary arrays from the system at each call. Linux then clears every
    page of them anew, which on a CPU is a fifth of a training step. Only glibc can be told; it
    must be before JAX starts its threads.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in KEPT.values())
