"""The folder of what is kept from run to run."""

import os
import subprocess
import sys
from pathlib import Path

import runs

from jsr import cache


def compiled_folder(**environment) -> str:
    words = "from jsr import cache; cache.keep_compiled_programs(); import jax; "
    words += "print(jax.config.jax_compilation_cache_dir)"
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    run = subprocess.run(
        [sys.executable, "-c", words],
        env={**inherited, **environment},
        cwd=runs.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_compiled_programs_are_kept(tmp_path):
    """By kind of processor; another folder by JAX's own variable; none where none can be."""
    folder = Path(compiled_folder(JSR_CACHE=str(tmp_path)))
    assert folder.parent == tmp_path / "compiled" and folder.is_dir()
    assert compiled_folder(JSR_CACHE=str(tmp_path)) == str(folder)
    assert compiled_folder(JAX_COMPILATION_CACHE_DIR="/nowhere") == "/nowhere"
    (tmp_path / "file").touch()
    assert compiled_folder(JSR_CACHE=str(tmp_path / "file")) == "None"


def test_programs_used_the_longest_ago_go_first(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "COMPILED_BYTES", 100)
    monkeypatch.setenv("JSR_CACHE", str(tmp_path))
    folder = tmp_path / "compiled" / cache._processor()
    folder.mkdir(parents=True)
    for name, size, read, written in (
        ("new", 40, 500, 500),
        ("read", 60, 400, 100),
        ("old", 1, 300, 200),
        ("oldest", 1, 100, 100),
    ):
        path = folder / f"{name}-cache"
        path.write_bytes(bytes(size))
        os.utime(path, (read, written))
    # As in a process of its own, of which nothing is left behind.
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "0")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    cache.keep_compiled_programs()
    assert sorted(path.name for path in folder.iterdir()) == ["new-cache", "read-cache"]
