"""Small films, made by PyAV."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

from jsr.film_color import BT601, Planes, to_planes
from jsr.resize import downscale

TIME_BASE = Fraction(1, 12800)
SOUND = 16000


def moving(count=6, height=48, width=64, top=255):
    """Frames [h, w, 3] of soft colours that move."""
    y, x = np.mgrid[:height, :width] / 16
    dtype = np.uint8 if top == 255 else np.uint16
    for index in range(count):
        waves = [np.sin(x + index / 3), np.cos(y - index / 5), np.sin(x + y + index / 4)]
        yield np.rint((0.5 + 0.3 * np.stack(waves, axis=2)) * top).astype(dtype)


def write_clip(folder, count=3, height=24, width=32, turn=0, scale=1):
    """Write frames, or LR of theirs, as pictures; each `turn` (0 to 3) makes another film."""
    folder.mkdir(parents=True)
    for i, frame in enumerate(moving(count, height, width)):
        frame = downscale(np.rot90(frame, 2 * (turn // 2))[:, :: 1 - 2 * (turn % 2)], scale)
        Image.fromarray(frame).save(folder / f"frame{i + 8}.png")


def write_film(
    path,
    frames=None,
    times=None,
    codec="ffv1",
    pixel_format="yuv420p",
    planes=None,
    colors=None,
    aspect=None,
    turn=None,
    sound=False,
    subtitles=None,
    chapters=None,
    tags=None,
    options=None,
    time_base=TIME_BASE,
    rate=25,
):
    """Write frames, shown at `times` of `time_base`, and beside them sound and subtitles.

    planes, colors: how the frames become planes, and what is stated of it. Returns the path.
    """
    frames = list(moving() if frames is None else frames)
    step = int(1 / rate / time_base)
    times = [i * step for i in range(len(frames))] if times is None else times
    height, width = frames[0].shape[:2]
    planes = planes or Planes(matrix=BT601)  # as players guess of small film
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as film:
        film.metadata.update(tags or {})
        video = film.add_stream(
            codec, rate=rate, width=width, height=height, pix_fmt=pixel_format, time_base=time_base
        )
        context = video.codec_context
        context.options = options or {}
        for name, value in (colors or {}).items():
            setattr(context, name, value)
        if aspect:
            context.sample_aspect_ratio = aspect
        if turn:
            video.set_display_rotation(turn)
        if sound:
            audio = film.add_stream("aac", rate=SOUND, layout="mono")
            audio.metadata["language"] = "deu"
        if subtitles:
            words = film.add_mux_stream(subtitles, time_base=Fraction(1, 1000))
        if chapters:
            film.set_chapters(chapters)
        for pixels, time in zip(frames, times, strict=True):
            frame = _frame(pixels, pixel_format, planes)
            frame.pts, frame.time_base = time, time_base
            frame.duration = step
            for name, value in (colors or {}).items():
                setattr(frame, name, value)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        seconds = float((times[-1] + step) * time_base)
        if sound:
            _hum(film, audio, seconds)
        if subtitles:
            for second in range(max(int(seconds), 1)):
                text = f"line {second}".encode()
                text = len(text).to_bytes(2, "big") + text if subtitles == "mov_text" else text
                packet = av.Packet(text)
                packet.stream, packet.time_base = words, Fraction(1, 1000)
                packet.pts = packet.dts = 1000 * second + 100
                packet.duration = 500
                film.mux(packet)
    return path


def damaged_film(path, count=24, codec="libx264", **more):
    """A film in whose middle some bytes of a picture are others."""
    write_film(path, moving(count, 96, 128), codec=codec, **more)
    with av.open(str(path)) as film:
        some = [bytes(p) for p in film.demux(film.streams.video[0]) if p.size > 100]
    data = path.read_bytes()
    wrong = max(some[len(some) // 2 :], key=len)
    place = data.index(wrong) + len(wrong) // 3
    path.write_bytes(data[:place] + bytes(range(60, 90)) + data[place + 30 :])
    return path


def _frame(pixels, pixel_format, planes):
    frame = av.VideoFrame(pixels.shape[1], pixels.shape[0], pixel_format)
    for place, values in zip(frame.planes, to_planes(pixels, planes), strict=False):
        lines = np.frombuffer(place, values.dtype).reshape(place.height, -1)
        lines[:, : place.width] = values
    return frame


def _hum(film, audio, seconds):
    for start in range(0, int(seconds * SOUND), 1024):
        wave = np.sin(np.arange(start, start + 1024) * 0.1)[None].astype(np.float32) / 3
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND, start, Fraction(1, SOUND)
        film.mux(audio.encode(frame))
    film.mux(audio.encode(None))


def packets(path, kind):
    """The packets of the first stream of a kind: (pts, dts, duration) in seconds, and the bytes."""
    with av.open(str(path)) as film:
        stream = next(s for s in film.streams if s.type == kind)
        return [
            (*(float(t * p.time_base) for t in (p.pts, p.dts, p.duration)), bytes(p))
            for p in film.demux(stream)
            if p.size
        ]


def shown(path):
    """When each frame is shown, in seconds, in the order in which they come."""
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        return [frame.pts * video.time_base for frame in film.decode(video)]
