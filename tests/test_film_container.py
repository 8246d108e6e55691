"""Films put together of segments: times, what is copied, what a container cannot hold."""

import dataclasses
import os
from fractions import Fraction

import av
import pytest
from films import moving, packets, shown, write_film
from test_film_segments import ENCODING, finish

from jsr.errors import UserError
from jsr.film_container import assemble, check_encoding, split_streams
from jsr.film_reader import FilmReader
from jsr.film_segments import Segments

# Slow, then fast, then slow: B-frames are decoded late by as many frames, not by as much time.
PARTS = [[0, 900, 1800, 2700, 3600, 4500], [9000, 9001, 9002, 9003, 9004, 9005], [20000, 40000]]


def put_together(tmp_path, name, encoding=ENCODING, parts=PARTS, **source):
    times = [time for part in parts for time in part]
    film = write_film(tmp_path / "source.mkv", moving(len(times)), times, **source)
    target = tmp_path / name
    segments = Segments(target, "made so")
    for part, following in zip(parts, [*parts[1:], [None]], strict=True):
        finish(segments, part, following[0])
    kept, lost = split_streams(film, target)
    facts = FilmReader(film).facts
    end = assemble(film, target, segments, encoding, facts, kept)
    return film, target, kept, lost, end


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_times_are_exact_across_segments(tmp_path, name):
    _, target, _, _, _ = put_together(tmp_path, name)
    times = [Fraction(time, 12800) for part in PARTS for time in part]
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


def test_what_a_container_cannot_hold_is_named(tmp_path):
    film = write_film(tmp_path / "a.mkv", sound=True, subtitles="subrip")
    assert split_streams(film, tmp_path / "b.mp4") == ([1], ["subtitle (srt)"])
    assert split_streams(film, tmp_path / "b.mkv") == ([1, 2], [])
    kept, lost = split_streams(film, tmp_path / "b.webm")
    assert kept == [] and lost == ["audio (aac)", "subtitle (srt)"]


def test_encodings_are_tried_before_work(tmp_path):
    check_encoding(tmp_path / "a.mp4", ENCODING)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"a\.webm: cannot hold libx264: use \.mkv"):
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
