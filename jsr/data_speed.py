"""How fast the host makes batches, and how long the steps of the real loop wait for them.

`python -m jsr.bench data` prints these rows.
"""

import copy
from collections.abc import Iterator

from jsr import loop_speed, pipeline, timing
from jsr.datasets import open_photos
from jsr.pipeline import Pairs, open_pairs
from jsr.step_speed import describe
from jsr.timing import Work

FOREVER = 10**9


def batch_rows(config, threads: list[int], rounds: int) -> Iterator[dict]:
    """A row a number of threads: a batch streamed of photographs in memory, then of files."""
    photos = open_photos(config.data.name, "train", config.data.dir or None)
    for where, cache_bytes in (("memory", int(config.data.cache_gb * 1e9)), ("files", 0)):
        pairs = open_pairs(config, photos, config.scale, cache_bytes)
        for index in range(len(pairs)) if cache_bytes else ():
            # Decoded now, not by the first batches.
            pairs[index]
        for count in threads:
            yield _batch_row(config, pairs, where, count, rounds)


def _batch_row(config, pairs: Pairs, where: str, threads: int, rounds: int) -> dict:
    size, patch = config.data.batch_size, config.data.patch
    batches = pipeline.batches(
        pairs, config.seed, size, patch, start_step=0, stop_step=FOREVER, threads=threads
    )
    turns = timing.alternate({"jsr": Work(lambda: next(batches))}, rounds)
    data = f"batch {size}, LR {patch}x{patch}, x{config.scale}"
    row = timing.make_row(f"streamed from {where}, {threads} threads: {data}", turns)
    images = size / row["jsr_s"]
    each = images / max(threads, 1)
    return {**row, "images_per_s": images, "images_per_s_per_thread": each}


def waiting_rows(config, rounds: int) -> Iterator[dict]:
    """The real loop as the config has its photographs, and streamed: what share it waits."""
    for resident in dict.fromkeys((config.data.resident, 0.0)):
        changed = copy.deepcopy(config)
        changed.data.resident = resident
        turns = loop_speed.time_loop(changed, rounds)
        yield loop_speed.make_row(f"loop: {describe(config)}", turns)
