"""How long it takes until a network runs: initialising, compiling, and from a command to a step.

`python -m jsr.bench compile` prints these rows.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from jsr import parallel, step_speed, timing
from jsr.errors import UserError
from jsr.recipe import Recipe

# Seconds in which a first step must come.
PATIENCE = 1800


def compile_row(config) -> dict:
    """The row of a config's step: the seconds to initialise and to compile it, without a cache."""
    recipe = Recipe(config, parallel.make_mesh())
    stage = recipe.stages[0]
    start = time.perf_counter()
    jax.block_until_ready(recipe.begin(stage, recipe.start()))
    initialised = time.perf_counter()
    step_speed.compile_step(recipe, stage)
    compiled = time.perf_counter()
    parts = {"init_s": initialised - start, "compile_s": compiled - initialised}
    name = f"init and compile: {step_speed.describe(config)}"
    return timing.make_row(name, {"jsr": [compiled - start]}, **parts)


def start_rows(words: list[str]) -> Iterator[dict]:
    """From the command `python -m jsr.main WORDS` to its first step: caches cold, then warm.

    Each start is a run of its own in a folder that is then removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        # All that jsr keeps between runs lies there: prepared photographs, compiled programs.
        environment = {**os.environ, "JSR_CACHE": str(Path(folder) / "cache")}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        for start in ("first", "second"):
            workdir = Path(folder) / start
            seconds = _first_step(words, workdir, environment)
            yield timing.make_row(f"command to first step: {start} start", {"jsr": [seconds]})


def _first_step(words: list[str], workdir: Path, environment: dict) -> float:
    command = [sys.executable, "-m", "jsr.main", *words, "--config.log_every=1"]
    command += ["--config.steps_per_dispatch=1", f"--workdir={workdir}"]
    with (workdir.parent / f"{workdir.name}.log").open("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            while not _has_step(workdir / "metrics.jsonl"):
                if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                    log.seek(0)
                    last = (log.read().strip().splitlines() or ["nothing was said"])[-1]
                    raise UserError(f"{' '.join(words)}: no step was made: {last}")
                time.sleep(0.02)
            return time.perf_counter() - start
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _has_step(records: Path) -> bool:
    try:
        lines = records.read_text().splitlines()
    except OSError:
        return False
    # Scores on valid are recorded before the first step.
    return any("loss" in json.loads(line) for line in lines if line.endswith("}"))
