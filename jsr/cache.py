"""What is kept on the disk from run to run: downloads, prepared datasets, compiled programs."""

import contextlib
import hashlib
import os
import platform
import sys
from pathlib import Path

# What the compiled programs of one kind of processor may take.
COMPILED_BYTES = 2 * 10**9


def cache_folder() -> Path:
    """`$JSR_CACHE`, else `~/.cache/jsr`. Raises RuntimeError where there is no home."""
    return Path(os.environ.get("JSR_CACHE") or "~/.cache/jsr").expanduser()


def keep_compiled_programs() -> None:
    """Let JAX find the programs that it compiled before, here and in processes started here.

    They lie in the cache by kind of processor (programs of one may not run on another, and home
    folders are shared), at most COMPILED_BYTES of them when a command starts.
    JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 does without. To
    be called before JAX is imported.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        folder = cache_folder() / "compiled" / _processor()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return  # nothing is kept where nothing can be written
    if not os.access(folder, os.W_OK):
        return
    _trim(folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # Many programs are small; together they are a second of every start.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    if "jax" in sys.modules:
        config = sys.modules["jax"].config
        config.update("jax_compilation_cache_dir", str(folder))
        config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _trim(folder: Path) -> None:
    """Remove the programs used the longest ago, beyond COMPILED_BYTES.

    JAX's own limit (jax_compilation_cache_max_size) needs one more package, locks the folder for
    each program that is read, and fails on folders that were filled without it.
    """
    found = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):  # another process may have removed it
            status = path.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    kept = 0
    for _, size, path in sorted(found, reverse=True):
        kept += size
        if kept > COMPILED_BYTES:
            with contextlib.suppress(OSError):
                path.unlink()


def _processor() -> str:
    """A name for the kind of processor: its instructions, hashed."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    kinds = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    told = kinds[:2] or [platform.processor(), platform.machine()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
