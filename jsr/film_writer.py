"""Frames encoded into one segment of a film: a file of packets that is played nowhere by itself."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from jsr.film_color import Planes, to_planes

# A segment's packets are counted here; their times are those that `close` returns.
COUNT_BASE = Fraction(1, 1000)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How frames are encoded. `colors`: as in `jsr.film_facts.FilmFacts`."""

    encoder: str
    options: tuple[tuple[str, str], ...]
    pixel_format: str
    planes: Planes
    height: int
    width: int
    time_base: Fraction
    rate: Fraction
    colors: tuple[tuple[str, int], ...]
    aspect: Fraction | None

    def open(self, container):
        """The stream of a container that encodes so."""
        stream = container.add_stream(
            self.encoder,
            rate=self.rate,
            width=self.width,
            height=self.height,
            pix_fmt=self.pixel_format,
            time_base=self.time_base,
            options=dict(self.options),
        )
        self.describe(stream)
        with ordinary_threads():
            stream.codec_context.open()
        return stream

    def describe(self, stream) -> None:
        """Let a stream state colours and the shape of pixels."""
        for name, value in self.colors:
            setattr(stream.codec_context, name, value)
        if self.aspect:
            stream.codec_context.sample_aspect_ratio = self.aspect


class SegmentWriter:
    """Encodes frames of increasing times into a Matroska file.

    x264 looks ahead: it alone holds some 50 frames, twice as many bytes as they have (284 MB at
    1708x960, 8 bits). A film takes that much more memory until so many have come.
    """

    def __init__(self, path: Path, encoding: Encoding):
        self.encoding = encoding
        self._container = av.open(str(path), "w", format="matroska")
        self._stream = encoding.open(self._container)
        self._times: list[int] = []

    def write(self, pixels: np.ndarray, pts: int, duration: int) -> None:
        """Encode RGB [h, w, 3], uint8 or uint16; what is beyond the encoding's size is left out."""
        how = self.encoding
        frame = av.VideoFrame(how.width, how.height, "gbrp" if how.planes.rgb else how.pixel_format)
        planes = to_planes(pixels[: how.height, : how.width], how.planes)
        if how.planes.rgb:
            planes = [planes[1], planes[2], planes[0]]
        for place, values in zip(frame.planes, planes, strict=True):
            lines = np.frombuffer(place, values.dtype).reshape(place.height, -1)
            lines[:, : place.width] = values
        if frame.format.name != how.pixel_format:
            frame = frame.reformat(format=how.pixel_format)
        for name, value in how.colors:
            setattr(frame, name, value)
        frame.pts, frame.duration, frame.time_base = pts, duration, how.time_base
        self._keep(self._stream.encode(frame))

    def close(self) -> list[int]:
        """End the file; the time of each packet, in the order in which they lie in it."""
        self._keep(self._stream.encode(None))
        self._container.close()
        return self._times

    def abandon(self) -> None:
        """Close the file without its end."""
        self._container.close()

    def _keep(self, packets: list) -> None:
        for packet in packets:
            self._times.append(int(packet.pts * packet.time_base / self.encoding.time_base))
            packet.pts = packet.dts = len(self._times) - 1
            packet.time_base, packet.duration = COUNT_BASE, 1
            self._container.mux(packet)


@contextlib.contextmanager
def ordinary_threads() -> Iterator[None]:
    """Threads are scheduled afterwards as this one was before.

    As root, SVT-AV1 makes its own threads and the one that opens it real-time ones, before which
    nothing else of the machine gets a core; processes that it starts later would inherit that.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in Path("/proc/self/task").glob("*"):
            # A thread may end meanwhile.
            with contextlib.suppress(OSError):
                if os.sched_getscheduler(int(task.name)) != policy:
                    os.sched_setscheduler(int(task.name), policy, priority)
