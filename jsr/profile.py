"""`--profile`: a jax.profiler trace of a few steps, for TensorBoard or Perfetto."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

# Dispatches left out first (compiling), and dispatches traced.
SKIP, TRACED = 2, 3


class Profile:
    """Traces some dispatches into W/profile when `wanted`."""

    def __init__(self, workdir: Path, wanted: bool):
        self._folder, self._wanted = workdir / "profile", wanted
        self._seen = 0

    def run(self, step: int, function: Callable, *arguments: Any) -> Any:
        """Call a compiled function as the dispatch whose first step is `step`."""
        if not self._wanted:
            return function(*arguments)
        if self._seen == SKIP:
            jax.profiler.start_trace(str(self._folder))
        with jax.profiler.StepTraceAnnotation("dispatch", step_num=step):
            outputs = function(*arguments)
        self._seen += 1
        if self._seen == SKIP + TRACED:
            # The device may be dispatches behind the host.
            jax.block_until_ready(outputs)
            jax.profiler.stop_trace()
            self._wanted = False
        return outputs
