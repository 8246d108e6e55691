"""Films put together of segments: times, what is copied, what a container cannot hold."""

import dataclasses
import os
from fractions import Fraction
from io import BytesIO

import av
import pytest
from films import moving, packets, shown, write_film
from PIL import Image
from test_film_segments import ENCODING, finish

from jsr.errors import UserError
from jsr.film_container import assemble, check_encoding, split_streams
from jsr.film_reader import FilmReader
from jsr.film_segments import Segments

# Slow, then fast, then slow: B-frames are decoded late by as many frames, not by as much time.
PARTS = [[0, 900, 1800, 2700, 3600, 4500], [9000, 9001, 9002, 9003, 9004, 9005], [20000, 40000]]


VP9 = dataclasses.replace(ENCODING, encoder="libvpx-vp9", options=())


def put_together(tmp_path, name, encoding=ENCODING, parts=PARTS, **source):
    times = [time for part in parts for time in part]
    film = write_film(tmp_path / "source.mkv", moving(len(times)), times, **source)
    target = tmp_path / name
    segments = Segments(target, "made so")
    for part, following in zip(parts, [*parts[1:], [None]], strict=True):
        finish(segments, part, following[0])
    kept, lost = split_streams(film, target, encoding)
    facts = FilmReader(film).facts
    end = assemble(film, target, segments, encoding, facts, kept)
    return film, target, kept, lost, end


@pytest.mark.parametrize("first", [0, 6400])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_times_are_exact_across_segments(tmp_path, name, first):
    parts = [[time + first for time in part] for part in PARTS]
    _, target, _, _, _ = put_together(tmp_path, name, parts=parts, sound=True)
    times = [Fraction(time, 12800) for part in parts for time in part]
    if name.endswith("mkv"):
        assert [abs(a - b) <= Fraction(1, 2000) for a, b in zip(shown(target), times, strict=True)]
    else:
        assert shown(target) == times
    found = packets(target, "video")
    decoded = [dts for _, dts, _, _ in found]
    assert decoded == sorted(set(decoded)) or name.endswith("mkv")
    assert all(pts >= dts for pts, dts, _, _ in found)
    with av.open(str(target)) as film:
        assert [frame.key_frame for frame in film.decode(video=0)].count(True) >= len(PARTS)


def test_other_streams_are_copied_packet_by_packet(tmp_path):
    chapters = [
        {
            "id": 1,
            "start": 0,
            "end": 500,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": "A"},
        }
    ]
    film, target, kept, lost, end = put_together(
        tmp_path, "a.mkv", sound=True, subtitles="subrip", chapters=chapters, tags={"title": "Film"}
    )
    assert len(kept) == 2 and not lost and end > 3
    for kind in ("audio", "subtitle"):
        before, after = packets(film, kind), packets(target, kind)
        assert [p[3] for p in before] == [p[3] for p in after]
        assert [p[:2] for p in before] == [p[:2] for p in after]
    with av.open(str(target)) as made:
        assert made.metadata["title"] == "Film"
        assert [chapter["metadata"] for chapter in made.chapters()] == [{"title": "A"}]
        assert made.streams.audio[0].language == "deu"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_covers_and_timecodes_stay(tmp_path, name):
    jpeg = BytesIO()
    Image.new("RGB", (20, 20), "red").save(jpeg, "JPEG")
    film, source = write_film(tmp_path / "plain.mp4", codec="libx264"), tmp_path / "source.mov"
    with av.open(str(film)) as plain, av.open(str(source), "w", format="mp4") as output:
        video = output.add_stream_from_template(plain.streams.video[0], opaque=True)
        video.metadata["timecode"] = "01:00:00:00"
        video.codec_context.framerate = 25
        cover = output.add_mux_stream("mjpeg", width=20, height=20)
        cover.disposition = int(av.stream.Disposition.attached_pic)
        packet = av.Packet(jpeg.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 25)
        output.mux(packet)
        for packet in plain.demux(plain.streams.video[0]):
            if packet.size:
                packet.stream = video
                output.mux(packet)
    target = tmp_path / name
    segments = Segments(target, "made so")
    finish(segments, [0, 512], None)
    kept, lost = split_streams(source, target, ENCODING)
    assert kept == [2] and len(lost) == (0 if name == "a.mp4" else 1)
    assemble(source, target, segments, ENCODING, FilmReader(source).facts, kept)
    with av.open(str(target)) as made:
        covers = [s for s in made.streams if s.disposition & av.stream.Disposition.attached_pic]
        assert [bytes(p) for p in made.demux(covers[0]) if p.size] == [jpeg.getvalue()]
        if name == "a.mp4":
            assert made.streams.video[0].metadata["timecode"] == "01:00:00:00"


def test_what_a_container_cannot_hold_is_named(tmp_path):
    film = write_film(tmp_path / "a.mkv", sound=True, subtitles="subrip")
    assert split_streams(film, tmp_path / "b.mp4", ENCODING) == ([1], ["subtitle (srt)"])
    assert split_streams(film, tmp_path / "b.mkv", ENCODING) == ([1, 2], [])
    kept, lost = split_streams(film, tmp_path / "b.webm", VP9)
    assert kept == [] and lost == ["audio (aac)", "subtitle (srt)"]


def test_encodings_are_tried_before_work(tmp_path):
    check_encoding(tmp_path / "a.mp4", ENCODING)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"a\.webm: cannot hold libx264: use \.mkv or \.mov"):
        check_encoding(tmp_path / "a.webm", ENCODING)
    for change in ({"options": (("preset", "quick"),)}, {"width": 63}):
        with pytest.raises(UserError, match=r"libx264 cannot encode 6.x48 in yuv420p"):
            check_encoding(tmp_path / "a.mp4", dataclasses.replace(ENCODING, **change))


def test_the_whole_film_appears_at_once(tmp_path, monkeypatch):
    rename = os.replace

    def full(source, target):
        if str(target).endswith(".mp4"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("jsr.film_container.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        put_together(tmp_path, "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
