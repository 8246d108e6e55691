"""A network of film over a film of any length: frames whole, shot by shot, in bounded memory."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jsr import film_network, shots, tile_memory, tiling
from jsr.errors import UserError
from jsr.shots import Before
from jsr.weights import Network

# Chunks of networks that look ahead: as many frames, or as few as fit into this.
LONGEST, BYTES = 30, 8e9
# Frames whose SR is begun before one is fetched.
BEGUN = 1
# What fits without measuring the network.
SMALL = 96**2
# What a later run needs to go on from a frame on, by name.
Memory = dict[str, np.ndarray]


class Marked(NamedTuple):
    """A frame, whether another shot begins with it, and what is known of those before it.

    frame: a `jsr.film_reader.Frame` (PyAV is optional), or what else has `pixels` as those have.
    """

    frame: Any
    cut: bool
    before: Before


class StreamedNetwork:
    """A network of film, for `jsr.enlargement.Enlargement` as `TiledNetwork` is one of pictures.

    It begins anew at every change of shot. One that looks ahead too takes chunks (see
    `jsr.film_network.enlarge_film`) of LONGEST frames, or as many as BYTES, and a part of what
    memory is free, have room for.
    """

    ensemble = False
    wished = (film_network.AHEAD,)

    def __init__(self, network: Network):
        self.network = network

    @property
    def scale(self) -> int:
        return self.network.scale

    def at_once(self, height: int, width: int) -> int:
        """How many frames of a film that need not be enlarged are resized together."""
        return 1

    def several(self, lrs: list[np.ndarray], dtype=np.float32):
        """Raise UserError: pictures are no film."""
        raise UserError("the weights enlarge films: use others for pictures")

    def longest(self, height: int, width: int) -> int:
        """The most frames of a chunk, of which a network that looks back alone knows nothing.

        Raises UserError where frames of that size have no room in memory.
        """
        pixels, free = height * width, tile_memory.free_memory()
        needed = pixels * self._measured if self._on_cpu and pixels > SMALL else 0.0
        longest = LONGEST
        if not hasattr(self.network.module, "frame"):
            # LR as it was read and as float32, and with it what is seen of the frames ahead.
            lr = pixels * 3 * (2 + 4)
            each, around = lr + pixels * 4 * self.network.module.features, film_network.AHEAD * lr
            longest = int((min(tile_memory.SHARE * free, BYTES) - around) / each)
            if longest < 1:
                needed = max(needed, (each + around) / tile_memory.SHARE)
        if needed > free or longest < 1:
            raise UserError(
                f"frames of {width}x{height} take {needed / 1e9:.1f} GB of memory, as a network of"
                f" film takes them whole, and {free / 1e9:.1f} GB are free: make the film smaller,"
                " or use weights for pictures"
            )
        return min(longest, LONGEST)

    def mark(self, frames: Iterable, memory: Memory) -> Iterator[Marked]:
        """Frames, from the first one of the film on, or the one that `memory` is of."""
        changes = tuple(memory.get("changes", np.zeros(0)).tolist())
        before = Before(changes, memory.get("thumbnail"))
        return (Marked(*marked) for marked in shots.mark_cuts(frames, _small, before))

    def stream(
        self, film: Iterable[Marked], dtype, memory: Memory, longest: int
    ) -> Iterator[tuple[Any, np.ndarray, Callable[[], Memory] | None]]:
        """Each frame of a film and its SR [h*scale, w*scale, 3], in order, in bounded memory.

        dtype: float32 for SR in [0, 1], or that of the frames for levels. The third gives the
        memory with which a later run goes on with that frame, and gives the very same; it is None
        where none can. Raises FloatingPointError for NaN.
        """
        # As the first run chose it, by what memory was free then.
        longest = int(memory.get("longest", longest))
        waiting: deque[Marked] = deque()

        def given(marked: Marked) -> tuple[np.ndarray, bool]:
            waiting.append(marked)
            pixels = marked.frame.pixels
            lr = np.asarray(pixels, np.float32) / np.float32(np.iinfo(pixels.dtype).max)
            return lr, marked.cut

        past = [memory[name] for name in sorted(memory) if name.startswith("past")]
        module, variables = self.network.module, self.network.variables
        frames = map(given, film)
        for sr, fetch in film_network.enlarge_film(
            module, variables, frames, past, longest, dtype, BEGUN
        ):
            frame, _, before = waiting.popleft()
            memorise = functools.partial(_memorise, before, fetch, longest)
            yield frame, sr, None if fetch is None else memorise

    @functools.cached_property
    def _measured(self) -> float:
        """The bytes for each pixel of LR."""
        network = self.network
        return tiling.measure(network.module, network.variables, network.channels).whole

    @property
    def _on_cpu(self) -> bool:
        (device,) = jax.tree.leaves(self.network.variables)[0].devices()
        return device.platform == "cpu"


def _small(frame) -> np.ndarray:
    pixels = frame.pixels
    return shots.thumbnail(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))


def _memorise(before: Before, past: film_network.Past, longest: int) -> Memory:
    memory = {f"past{index:02d}": array for index, array in enumerate(past())}
    memory["changes"] = np.asarray(before.changes, np.float64)
    if before.thumbnail is not None:
        memory["thumbnail"] = before.thumbnail
    return memory | {"longest": np.asarray(longest)}
