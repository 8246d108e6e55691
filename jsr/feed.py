"""What feeds the training steps: crops cut on the devices, or batches made ahead by the host."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jsr import atlas, parallel, pipeline
from jsr.atlas import Atlas
from jsr.pipeline import Pairs
from jsr.steps import AXIS


class Feed(NamedTuple):
    """A source of batches, the same ones bit for bit whichever it is.

    `batches(start, stop)` iterates over host arrays of `steps_per_dispatch` steps each, from step
    `start` on (those of its own scale, where there are several); `cut(data, batch)` makes a
    device's batch of one step of them, with `data` on the devices. Specs say how both lie on the
    mesh; `note` says which source it is, and why.
    """

    batches: Callable[[int, int], Iterator[dict]]
    cut: Callable[[Any, Any], dict]
    data: Any
    batch_spec: Any
    data_spec: Any
    note: str


def open_feed(config, pairs: Pairs, mesh: Mesh) -> Feed:
    """Crops of photographs in device memory where they fit `data.resident` of it, else streamed.

    They lie on every device, or where that is too much, shared out among them. Several scales, a
    feed for each, have equal parts of the memory. Raises UserError for photographs too small for
    the crop, or that cannot be read.
    """
    pairs.require(config.data.patch)
    room = config.data.resident * parallel.device_bytes(mesh) if config.data.resident else 0
    room /= max(1, len(config.scales))
    options = [Atlas(pairs, shards) for shards in sorted({1, mesh.size}) if room]
    for whole in options:
        if whole.nbytes <= room:
            return _resident(config, pairs, mesh, whole)
    note = "streamed from the host"
    if options:
        need, room = (f"{size / 1e9:.3g} GB" for size in (options[-1].nbytes, room))
        note += f": they take {need} a device, and data.resident leaves {room}"
    return Feed(
        functools.partial(_stream, config, pairs),
        cut=lambda _data, batch: batch,
        data={},
        batch_spec=parallel.EXAMPLES,
        data_spec=parallel.WHOLE,
        note=note,
    )


def _resident(config, pairs: Pairs, mesh: Mesh, whole: Atlas) -> Feed:
    paint = functools.partial(whole.paint, threads=config.data.threads)
    data = parallel.place_shards(paint, whole.shapes, mesh)
    pairs.forget()
    shared = whole.shards > 1
    cut = functools.partial(atlas.cut_shared, axis=AXIS) if shared else atlas.cut
    where = "shared out among the devices" if shared else "on the device"
    return Feed(
        functools.partial(_draw_ahead, config, whole, pairs.scale, shared),
        cut=lambda data, crops: cut(
            {name: canvas[0] for name, canvas in data.items()},
            crops,
            patch=config.data.patch,
            channels=pairs.channels,
        ),
        data=data,
        batch_spec=parallel.WHOLE if shared else parallel.EXAMPLES,
        data_spec=parallel.SHARDS if shared else parallel.WHOLE,
        note=f"{where}, {whole.nbytes / 1e9:.3g} GB each",
    )


def _draw_ahead(
    config, whole: Atlas, scale: int, shared: bool, start: int, stop: int
) -> Iterator[np.ndarray]:
    """Only these few integers travel to the devices."""
    count, indices = config.steps_per_dispatch, np.arange(config.data.batch_size)
    if not shared:
        share = len(indices) // parallel.process_count()
        indices = indices[parallel.process_index() * share :][:share]
    steps = pipeline.steps_of(scale, config.scales, config.seed, start, stop)
    for i in range(0, len(steps), count):
        group = np.asarray(steps[i : i + count])
        yield whole.crops(config.seed, group, indices, config.data.patch)


def _stream(config, pairs: Pairs, start: int, stop: int) -> Iterator[dict]:
    feed = pipeline.batches(
        pairs,
        seed=config.seed,
        batch_size=config.data.batch_size,
        patch=config.data.patch,
        start_step=start,
        stop_step=stop,
        process=parallel.process_index(),
        processes=parallel.process_count(),
        threads=config.data.threads,
        scales=config.scales,
    )
    for first in feed:
        group = [first] + [next(feed) for _ in range(config.steps_per_dispatch - 1)]
        yield {name: np.stack([batch[name] for batch in group]) for name in first}
