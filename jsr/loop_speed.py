"""How fast the real training loop is, from images on the disk to steps, and how long it waits.

`python -m jsr.bench train` and `data` print these rows.
"""

import contextlib
import copy
import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from jsr import parallel, timing
from jsr.datasets import SPLITS, open_photos
from jsr.errors import UserError
from jsr.peers import load_peer
from jsr.pipeline import Pairs
from jsr.recipe import Recipe
from jsr.step_speed import describe
from jsr.torch_names import to_torch
from jsr.train import Run

# Dispatches to warm up, to see how long one takes, and of a turn at least: what the host made
# ahead before a turn should weigh little. A turn takes at least SECONDS.
WARM_UP, PROBE, LEAST, SECONDS = 2, 3, 10, 2.0
# Training photographs that a comparison writes to the disk.
PHOTOS = 32
FOREVER = 10**9


class Turns(NamedTuple):
    """Seconds of a step in each turn, the share of them in which no step ran, and the feed."""

    seconds: list[float]
    waiting: list[float]
    feed: str


class StepClock:
    """Times a run from inside, in the place of its profiler and of its stop signal.

    The device is never waited for but at the end of a turn, after which `between(dispatches)` is
    called, as B of A B A B.
    """

    def __init__(self, turns: int, between: Callable[[int], object] = lambda _dispatches: None):
        self.seconds: list[float] = []
        self.waiting: list[float] = []
        self._turns, self._between = turns, between
        self._length, self._untimed = WARM_UP, 2
        self._watcher = ThreadPoolExecutor(1)
        self._begin()

    @property
    def requested(self) -> bool:
        """Whether the run should stop: all turns are done."""
        return len(self.seconds) >= self._turns

    def run(self, _step: int, function: Callable, *arguments):
        """Call a compiled function, as `Profile.run` does."""
        self._called.append(time.perf_counter())
        outputs = function(*arguments)
        # Of the outputs, the metrics are not donated to the next dispatch.
        self._ready.append(self._watcher.submit(_when_ready, outputs[1]))
        if len(self._called) == self._length:
            self._end()
        return outputs

    def _begin(self) -> None:
        self._called: list[float] = []
        self._ready: list[Future] = []
        self._start = time.perf_counter()

    def _end(self) -> None:
        ready = [future.result() for future in self._ready]
        passed, length = ready[-1] - self._start, self._length
        if self._untimed:
            self._untimed -= 1
            enough = max(LEAST, math.ceil(SECONDS * length / passed))
            self._length = PROBE if self._untimed else enough
        else:
            before = [self._start, *ready[:-1]]
            idle = sum(max(c - r, 0.0) for c, r in zip(self._called, before, strict=True))
            self.seconds.append(passed / length)
            self.waiting.append(idle / passed)
        if not self._untimed:
            self._between(length)
        self._begin()


def time_loop(config, turns: int, between: Callable = lambda _dispatches: None) -> Turns:
    """Train as `jsr.main` does, in a folder that is then removed, for so many timed turns."""
    config = copy.deepcopy(config)
    forever = FOREVER // config.steps_per_dispatch * config.steps_per_dispatch
    config[config.stages[0]].steps = config.eval_every = config.save_every = forever
    clock = StepClock(turns, between)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        run = Run(config, Path(folder) / "run", False)
        run.profile = clock
        try:
            run.run_stage(clock)
        finally:
            run.checkpoints.close()
            run.writer.close()
    seconds = [s / config.steps_per_dispatch for s in clock.seconds]
    return Turns(seconds, clock.waiting, run.feeds[config.scale].note)


def loop_row(config, rounds: int, against: bool) -> dict:
    """The row of the real loop; `against` a loop like BasicSR's on the same photographs."""
    name = f"images to steps: {describe(config)}"
    if not against:
        return make_row(name, time_loop(config, rounds))
    peer = load_peer("peers.basicsr_like")
    refused = load_peer("peers.torch_loop").refusal(config)
    if refused:
        raise UserError(f"--against torch: {refused}")
    with tempfile.TemporaryDirectory() as folder:
        config = write_photos(config, Path(folder) / "photos")
        state = _first_weights(config)
        peer.write_sub_images(_pairs(config), Path(folder) / "sub")
        theirs, loop = [], peer.Loop(config, state, Path(folder) / "sub")

        def between(dispatches):
            steps = dispatches * config.steps_per_dispatch
            theirs.append(timing.Work(lambda: loop.run(steps)).seconds() / steps)

        try:
            turns = time_loop(config, rounds, between)
        finally:
            loop.close()
    # The first one warmed up.
    who = f"as BasicSR, torch {peer.torch.__version__}, {loop.workers} workers"
    return make_row(name, turns, {who: theirs[1:]})


def write_photos(config, folder: Path):
    """Write some of the config's photographs as PNG files; gives the config that reads them."""
    data = config.data
    for split in SPLITS:
        photos = open_photos(data.name, split, data.dir or None)
        (folder / split).mkdir(parents=True)
        for i in range(min(len(photos), PHOTOS if split == "train" else 1)):
            Image.fromarray(photos[i]).save(folder / split / f"{i:04d}.png")
    changed = copy.deepcopy(config)
    changed.data.name, changed.data.dir = "image_folder", str(folder)
    return changed


def _pairs(config) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    photos = open_photos(config.data.name, "train", config.data.dir)
    pairs = Pairs(photos, config.scale, 0)
    return (pairs[i] for i in range(len(pairs)))


def _first_weights(config) -> dict[str, np.ndarray]:
    ema = parallel.to_host(Recipe(config, parallel.make_mesh()).start().ema)
    return {name: np.array(value) for name, value in to_torch(ema).items()}


def make_row(name: str, turns: Turns, peers: dict[str, list[float]] | None = None) -> dict:
    """The row of a loop's turns, with those of its peers."""
    waiting = statistics.median(turns.waiting)
    return timing.make_row(
        name, {"jsr": turns.seconds, **(peers or {})}, waiting=waiting, photos=turns.feed
    )


def _when_ready(outputs) -> float:
    jax.block_until_ready(outputs)
    return time.perf_counter()
