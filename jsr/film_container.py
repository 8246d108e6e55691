"""The enlarged film put together: segments' packets, and the source's sound and all else.

Times stay as they are: MP4 and MOV hold any, Matroska and WebM milliseconds.
"""

import os
from collections.abc import Iterator
from heapq import merge
from io import BytesIO
from pathlib import Path

import av
from absl import logging
from av.stream import Discard, Disposition

from jsr.errors import UserError
from jsr.film_facts import FilmFacts, main_stream, open_film
from jsr.film_formats import WRITERS
from jsr.film_segments import Segments
from jsr.film_writer import Encoding

# What the source says of its own file, which is not true of another.
OWN_TAGS = ("encoder", "major_brand", "minor_version", "compatible_brands")
OWN_STREAM_TAGS = ("encoder", "bps", "duration", "number_of_", "_statistics")
FAST_START = {"movflags": "+faststart"}


def check_encoding(target: Path, encoding: Encoding) -> None:
    """Raise UserError where the container cannot hold it, or the encoder refuses its options."""
    form = _form(target)
    try:
        with av.open(BytesIO(), "w", format=form) as trial:
            encoding.open(trial)
            trial.start_encoding()
    except (ValueError, av.FFmpegError, OSError) as error:
        if "does not support" in str(error):
            raise UserError(
                f"{target}: cannot hold {encoding.encoder}: use .mkv or .mov"
            ) from error
        told = " ".join(f"{key}={value}" for key, value in encoding.options)
        raise UserError(
            f"{target}: {encoding.encoder} cannot encode {encoding.width}x{encoding.height} in"
            f" {encoding.pixel_format} ({told}): choose another size, codec or preset"
        ) from error


def split_streams(source: Path, target: Path, encoding: Encoding) -> tuple[list[int], list[str]]:
    """The source's other streams that the target can hold, by index, and in words the others."""
    form, kept, lost = _form(target), [], []
    with open_film(source) as container:
        main = main_stream(container, source)
        for stream in container.streams:
            if stream.index == main.index or _is_written_anew(container, stream, form):
                continue
            if _can_hold(form, [stream]):
                kept.append(stream)
            else:
                lost.append(stream)
        if not _can_hold(form, kept, encoding):
            # Each alone would do, but not together.
            alone, kept = kept, []
            for stream in alone:
                held = _can_hold(form, [*kept, stream], encoding)
                (kept if held else lost).append(stream)
        words = [f"{stream.type} ({_codec_name(stream)})" for stream in lost]
        return [stream.index for stream in kept], words


def assemble(
    source: Path,
    target: Path,
    segments: Segments,
    encoding: Encoding,
    facts: FilmFacts,
    kept: list[int],
) -> float:
    """Write the film under a temporary name and rename it; when the source's last packet ends.

    Raises UserError where it cannot be written.
    """
    whole = segments.folder / f"whole{target.suffix}"
    form = _form(target)
    options = FAST_START if form in ("mp4", "mov") else {}
    with (
        open_film(source) as container,
        av.open(str(segments.files()[0])) as first,
        av.open(str(whole), "w", format=form, container_options=options) as output,
    ):
        template = first.streams.video[0]
        video, streams = _add_streams(output, container, template, encoding, facts, kept)
        tags = {k: v for k, v in container.metadata.items() if k.lower() not in OWN_TAGS}
        output.metadata.update(tags)
        output.set_chapters(container.chapters())
        main_stream(container, source).discard = Discard.all
        copied = _Copied(container, streams, source)
        ours = _video_packets(segments, video, encoding)
        for _, _, packet in merge(ours, copied, key=lambda item: item[:2]):
            _mux(output, packet, copied, packet.stream is video)
    copied.tell()
    os.replace(whole, target)
    return copied.end


def _add_streams(output, container, template, encoding, facts, kept) -> tuple:
    """The streams of the new film in the source's order: the film's, and by index the copies."""
    form = output.format.name
    main, video, copies = main_stream(container, Path(container.name)), None, {}
    for stream in container.streams:
        if stream.index == main.index:
            video = _add_video(output, template, encoding, facts, form)
            _describe(stream, video)
        elif stream.index in kept:
            copy = _copy_stream(output, stream, form)
            if copy is not None:
                copies[stream.index] = copy
                _describe(stream, copy)
    return video, copies


class _Copied:
    """The packets of the other streams, in the source's order, with the times that sort them."""

    def __init__(self, container, streams: dict, source: Path):
        self.container, self.streams, self.source = container, streams, source
        self.end = 0.0
        self.left_out = 0

    def __iter__(self) -> Iterator[tuple]:
        packets = self.container.demux(*(self.container.streams[i] for i in self.streams))
        latest = float("-inf")
        while self.streams:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.left_out += 1
                return
            if packet is None:
                return
            if not packet.size:
                continue  # what ends a stream
            time = packet.dts if packet.dts is not None else packet.pts
            if time is not None:
                latest = max(latest, float(time * packet.time_base))
                end = (packet.pts if packet.pts is not None else time) + (packet.duration or 0)
                self.end = max(self.end, float(end * packet.time_base))
            packet.stream = self.streams[packet.stream_index]
            yield latest, 1, packet

    def tell(self) -> None:
        """Warn of what could not be copied."""
        if self.left_out:
            logging.warning(
                "%s: %d damaged packets of sound or subtitles were left out",
                self.source,
                self.left_out,
            )


def _mux(output, packet, copied: _Copied, ours: bool) -> None:
    try:
        output.mux(packet)
    except (ValueError, av.FFmpegError) as error:
        if ours or isinstance(error, OSError):
            raise
        copied.left_out += 1  # its time goes back


def _video_packets(segments: Segments, video, encoding: Encoding) -> Iterator[tuple]:
    """The segments' packets with their times: shown when the source's frames are.

    They are decoded at the times of the sorted frames, as late as the order of the packets allows.
    """
    times = [time for note in segments.notes for time in note["times"]]
    shown = sorted(times)
    rank = {time: index for index, time in enumerate(shown)}
    delay = max(index - rank[time] for index, time in enumerate(times))
    lead = shown[delay] - shown[0]
    last = segments.notes[-1]["last"]
    index = 0
    for path in segments.files():
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size:
                    continue
                pts = times[index]
                place = rank[pts]
                packet.pts = pts
                packet.dts = shown[index - delay] if index >= delay else shown[index] - lead
                packet.duration = (shown[place + 1] - pts) if place + 1 < len(shown) else last
                packet.time_base = encoding.time_base
                packet.stream = video
                yield float(packet.dts * encoding.time_base), 0, packet
                index += 1
    if index != len(times):
        raise UserError(f"{segments.folder}: a finished segment is damaged: delete it and rerun")


def _add_video(output, template, encoding: Encoding, facts: FilmFacts, form: str):
    video = output.add_stream_from_template(template, opaque=True)
    video.codec_context.framerate = encoding.rate
    video.time_base = encoding.time_base
    encoding.describe(video)
    if facts.turn is not None:
        video.set_display_matrix(facts.turn)
    if form in ("mp4", "mov") and template.codec_context.name == "hevc":
        video.codec_context.codec_tag = "hvc1"  # Apple's players know no other
    return video


def _describe(stream, copy) -> None:
    """Let a stream state the source's language, title and the like."""
    tags = {k: v for k, v in stream.metadata.items() if not k.lower().startswith(OWN_STREAM_TAGS)}
    copy.metadata.update(tags)
    copy.disposition = int(stream.disposition)


def _can_hold(form: str, streams: list, encoding: Encoding | None = None) -> bool:
    """Whether a file that begins with these streams, after the film itself, can be written."""
    if form == "webm" and any(map(_is_cover, streams)):
        return False
    try:
        with av.open(BytesIO(), "w", format=form) as trial:
            if encoding is not None:
                encoding.open(trial)
            for stream in streams:
                _copy_stream(trial, stream, form)
            trial.start_encoding()
    except (ValueError, av.FFmpegError, OSError):
        return False
    return True


def _copy_stream(output, stream, form: str):
    """A stream for the packets of a source's; None for a cover, which Matroska attaches."""
    if form != "matroska" or not _is_cover(stream):
        return output.add_stream_from_template(stream, opaque=True)
    kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
    with av.open(stream.container.name) as container:
        packets = container.demux(container.streams[stream.index])
        data = next(bytes(packet) for packet in packets if packet.size)
    output.add_attachment(f"cover.{kind}", f"image/{kind}", data)
    return None


def _is_cover(stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _is_written_anew(container, stream, form: str) -> bool:
    """Whether a stream of data follows from what is stated otherwise: titles of chapters, times."""
    if stream.type != "data":
        return False
    titles = _codec_name(stream) == "bin_data" and bool(container.chapters())
    return titles or (form in ("mp4", "mov") and "timecode" in stream.metadata)


def _codec_name(stream) -> str:
    context = stream.codec_context
    return context.name if context is not None else stream.name or "unknown"


def _form(target: Path) -> str:
    return WRITERS[target.suffix.lower()][0]
