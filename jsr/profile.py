"""`--profile`: a jax.profiler trace of a few steps, for TensorBoard or Perfetto."""

import contextlib
from pathlib import Path

import jax

# Dispatches left out first (compiling), and dispatches traced.
SKIP, TRACED = 2, 3


class Profile:
    """Traces some dispatches into W/profile when `wanted`."""

    def __init__(self, workdir: Path, wanted: bool, steps_per_dispatch: int):
        self._folder, self._wanted, self._count = workdir / "profile", wanted, steps_per_dispatch
        self._seen = 0

    @contextlib.contextmanager
    def step(self, number: int):
        """Around one dispatch; `number` is its first step."""
        if not self._wanted:
            yield
            return
        if self._seen == SKIP:
            jax.profiler.start_trace(str(self._folder))
        with jax.profiler.StepTraceAnnotation("dispatch", step_num=number):
            yield
        self._seen += 1
        if self._seen == SKIP + TRACED:
            jax.effects_barrier()
            jax.profiler.stop_trace()
            self._wanted = False
