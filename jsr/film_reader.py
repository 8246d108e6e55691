"""Films read frame by frame: RGB arrays with their times, and what else a film states of itself."""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path

import av
import numpy as np

from jsr.errors import UserError
from jsr.film_color import BT709, MATRICES, Planes, guess_matrix, to_rgb

# FFmpeg's AVCOL_RANGE_JPEG.
FULL_RANGE = 2
# Where chroma lies amid its pixels, as JPEG has it.
CENTRED = ("mjpeg", "mpeg1video")
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


@dataclasses.dataclass(frozen=True)
class FilmFacts:
    """What a film states. `colors`: H.273's numbers of range, matrix, primaries and curve.

    count: of frames, None where unknown, and an estimate where the container does not tell. end:
    when the last frame ends, and whole_end: when all that is in the file ends, in seconds; None
    where the container does not tell.
    turn: the display matrix, None for films that are upright.
    """

    height: int
    width: int
    time_base: Fraction
    start: int
    rate: Fraction
    count: int | None
    end: float | None
    whole_end: float | None
    pixel_format: str
    planes: Planes
    colors: dict[str, int]
    aspect: Fraction | None
    turn: tuple[int, ...] | None
    sideways: bool
    interlaced: bool
    alpha: bool
    mastered: bool


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
            self.facts = _facts(container, stream, first)
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


@contextmanager
def open_film(path: Path):
    """The container of a film file. Raises UserError for what is none."""
    if not path.exists():
        raise UserError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; expected a film")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty (zero bytes); copy or download it again")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except OSError as error:
        if isinstance(error, av.FFmpegError) and not isinstance(error, PermissionError):
            raise UserError(f"{path}: {_UNREADABLE}") from error
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"{path}: {_UNREADABLE}") from error
    with container:
        yield container


_UNREADABLE = "is not a film that can be read, or is cut short or damaged; copy it again"


def main_stream(container, path: Path):
    """The first video that is no cover. Raises UserError where there is none."""
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    raise UserError(f"{path}: has no video in it")


def _facts(container, stream, first: av.VideoFrame) -> FilmFacts:
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    turn = first.side_data.get("DISPLAYMATRIX")
    matrix = None if turn is None else tuple(int(v) for v in np.frombuffer(turn, np.int32))
    codec = stream.codec_context.name
    pixel_format, planes = _layout(first, codec)
    return FilmFacts(
        height=first.height,
        width=first.width,
        time_base=stream.time_base,
        start=stream.start_time or 0,
        rate=rate,
        count=stream.frames or _estimate(container, stream, rate),
        end=_end(stream),
        whole_end=_whole_end(container),
        pixel_format=pixel_format,
        planes=planes,
        colors=_colors(first, planes),
        aspect=stream.sample_aspect_ratio or None,
        turn=matrix,
        sideways=matrix is not None and abs(first.rotation) % 180 == 90,
        interlaced=first.interlaced_frame,
        alpha=any(component.is_alpha for component in first.format.components),
        mastered="MASTERING_DISPLAY_METADATA" in first.side_data,
    )


def _estimate(container, stream, rate: Fraction) -> int | None:
    seconds = stream.duration * stream.time_base if stream.duration else None
    if seconds is None and container.duration:
        seconds = Fraction(container.duration, av.time_base)
    return None if seconds is None else max(round(seconds * rate), 1)


def _end(stream) -> float | None:
    if not stream.duration:
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)


def _whole_end(container) -> float | None:
    if not container.duration:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def _layout(frame: av.VideoFrame, codec: str) -> tuple[str, Planes]:
    """The planar pixel format to which frames are brought without loss, and its planes."""
    form, parts = frame.format, frame.format.components
    bits = max(parts[0].bits, 8)
    depth = "" if bits == 8 else f"{bits}le"
    if form.is_rgb or form.has_palette or form.is_bayer:
        if bits > 8 and not form.name.startswith("gbrp"):
            bits, depth = 16, "16le"
        return f"gbrp{depth}", Planes(bits, 1, 1, rgb=True)
    matrix = frame.colorspace
    if matrix not in MATRICES:
        matrix = guess_matrix(frame.height, frame.width)
    full = frame.color_range == FULL_RANGE or form.name.startswith("yuvj")
    if len([part for part in parts if not part.is_alpha]) == 1:
        return f"gray{depth}", Planes(bits, 1, 1, matrix, full)
    across, down = (64 // form.chroma_width(64), 64 // form.chroma_height(64))
    planes = Planes(bits, across, down, matrix, full, centred=codec in CENTRED)
    if form.name.startswith("yuv") and form.is_planar and not form.is_big_endian:
        return form.name, planes
    sampling = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
    return f"yuv{sampling.get((across, down), '420')}p{depth}", planes


def _colors(frame: av.VideoFrame, planes: Planes) -> dict[str, int]:
    """What the enlarged film is to state: the same, and the matrix where it was left to guessing.

    Players guess by the size, which changes.
    """
    colors = {
        "color_range": FULL_RANGE if planes.full else frame.color_range,
        "colorspace": frame.colorspace,
        "color_primaries": frame.color_primaries,
        "color_trc": frame.color_trc,
    }
    if planes.rgb or frame.colorspace not in MATRICES:
        colors["colorspace"] = BT709 if planes.rgb else planes.matrix
        colors["color_range"] = 1 if planes.rgb else colors["color_range"]
    return colors


def _read_planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """The samples [h, w] of each plane, views; R, G, B in that order."""
    wide = frame.format.components[0].bits > 8
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    planes = []
    for plane in frame.planes[:3]:
        lines = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        planes.append(lines[:, : plane.width])
    return [planes[2], planes[0], planes[1]] if frame.format.is_rgb else planes
