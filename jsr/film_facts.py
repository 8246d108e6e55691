"""What a film file states of itself: size, times, colours, rotation."""

import dataclasses
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from jsr.errors import UserError
from jsr.film_color import BT709, MATRICES, Planes, guess_matrix

# FFmpeg's AVCOL_RANGE_JPEG.
FULL_RANGE = 2
# Where chroma lies amid its pixels, as JPEG has it.
CENTRED = ("mjpeg", "mpeg1video")


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


def facts_of(container, stream, first: av.VideoFrame) -> FilmFacts:
    """What the container, its main stream and its first frame state."""
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
