"""Films read frame by frame: RGB arrays with their times."""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, dropwhile
from pathlib import Path

import av
import numpy as np

from jsr.errors import UserError
from jsr.film_color import to_rgb
from jsr.film_facts import facts_of, main_stream, open_film

# Decoding goes on this much before the place asked for: what follows a first key frame may lean on
# frames before it.
RUN_UP = 10


@dataclasses.dataclass(frozen=True)
class Frame:
    """pixels: RGB [h, w, 3], uint8, of more than 8 bits uint16; times in the film's time base.

    damaged: how many packets and frames before it, and it, could not be decoded, or only in part.
    """

    pixels: np.ndarray
    pts: int
    duration: int
    damaged: int


class FilmReader:
    """The frames of a film file, in order.

    facts: what it states. While it is read, `damaged` counts the packets and frames that could not
    be decoded, or only in part, and `misplaced` the times that were no later than the one before.
    Raises UserError for a file that is missing, empty, no film, or without a picture in it.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.damaged = self.misplaced = 0
        with self._opened() as (container, stream):
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise UserError(f"{path}: no frame of it can be decoded; copy or export it again")
            self.facts = facts_of(container, stream, first)
        self.damaged = 0

    def frames(self, start: int | None = None) -> Iterator[Frame]:
        """All frames, or those from the one shown at `start` on.

        Raises UserError where the size changes, or when no frame is shown at `start`.
        """
        known = self.damaged
        for decoded, pts in self._timed(start):
            damaged, known = self.damaged - known, self.damaged
            yield Frame(self._pixels(decoded, pts), pts, decoded.duration or 0, damaged)

    def _timed(self, start: int | None) -> Iterator[tuple[av.VideoFrame, int]]:
        """Decoded frames and their times, from the one that is shown at `start` on."""
        early = None if start is None else start - int(RUN_UP / self.facts.time_base)
        if early is not None and early > self.facts.start:
            with self._opened() as (container, stream):
                with suppress(av.FFmpegError):
                    container.seek(early, stream=stream)
                frames = self._decoded(container, stream, start)
                first = next(frames, None)
                whole = first is not None and first.key_frame
                while first is not None and (first.pts is None or first.pts < start):
                    first = next(frames, None)
                if whole and first is not None and first.pts == start:
                    yield from self._ordered(chain([first], frames))
                    return
        # Where seeking does not find it, all frames before are decoded.
        with self._opened() as (container, stream):
            timed = self._ordered(self._decoded(container, stream, start))
            if start is not None:
                timed = dropwhile(lambda pair: pair[1] < start, timed)
                first = next(timed, None)
                if first is None or first[1] != start:
                    raise UserError(f"{self.path}: has no frame at {self._seconds(start)} s")
                timed = chain([first], timed)
            yield from timed

    def _ordered(self, frames: Iterable) -> Iterator[tuple[av.VideoFrame, int]]:
        """Frames and their times; a time that goes back becomes one tick later than the last."""
        last = None
        for decoded in frames:
            pts = self._time(decoded, last)
            if last is not None and pts <= last:
                self.misplaced += 1
                pts = last + 1
            last = pts
            yield decoded, pts

    @contextmanager
    def _opened(self):
        with open_film(self.path) as container:
            stream = main_stream(container, self.path)
            stream.thread_type = "AUTO"
            yield container, stream

    def _decoded(self, container, stream, start: int | None = None) -> Iterator[av.VideoFrame]:
        """Frames, counting from `start` on what cannot be decoded."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                counts = start is None or packet.pts is None or packet.pts >= start
                self.damaged += counts and packet.is_corrupt
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.FFmpegError as error:
                self.damaged += 1
                if isinstance(error, OSError):
                    return
                continue
            for frame in frames:
                counts = start is None or frame.pts is None or frame.pts >= start
                self.damaged += counts and frame.is_corrupt
                yield frame

    def _time(self, decoded: av.VideoFrame, last: int | None) -> int:
        if decoded.pts is not None:
            return decoded.pts
        if decoded.dts is not None and (last is None or decoded.dts > last):
            return decoded.dts
        return 0 if last is None else last + self.step

    @property
    def step(self) -> int:
        """How long a frame is shown where nothing says so."""
        return max(round(1 / (self.facts.rate * self.facts.time_base)), 1)

    def _seconds(self, pts: int) -> str:
        return f"{float(pts * self.facts.time_base):.2f}"

    def _pixels(self, decoded: av.VideoFrame, pts: int) -> np.ndarray:
        facts = self.facts
        if (decoded.width, decoded.height) != (facts.width, facts.height):
            raise UserError(
                f"{self.path}: changes from {facts.width}x{facts.height} to"
                f" {decoded.width}x{decoded.height} at {self._seconds(pts)} s: cut it there first"
            )
        if decoded.format.name != facts.pixel_format:
            decoded = decoded.reformat(format=facts.pixel_format)
        return to_rgb(_read_planes(decoded), facts.planes)


def _read_planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """The samples [h, w] of each plane, views; R, G, B in that order."""
    wide = frame.format.components[0].bits > 8
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    planes = []
    for plane in frame.planes[:3]:
        lines = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        planes.append(lines[:, : plane.width])
    return [planes[2], planes[0], planes[1]] if frame.format.is_rgb else planes
