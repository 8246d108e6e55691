"""Frames encoded into a segment: their times, their size, their colours."""

import dataclasses
import os
from pathlib import Path

import av
import numpy as np
import pytest
from films import moving
from test_film_segments import ENCODING

from jsr.film_color import Planes
from jsr.film_reader import FilmReader
from jsr.film_writer import SegmentWriter


def write(path, encoding, rgb, times):
    writer = SegmentWriter(path, encoding)
    for pixels, time in zip(rgb, times, strict=True):
        writer.write(pixels, time, 512)
    return writer.close()


def test_packets_keep_their_times_in_the_order_of_decoding(tmp_path):
    encoding = dataclasses.replace(ENCODING, options=(("preset", "medium"),))
    times = [0, 1, 2, 900, 5000, 5001, 7000, 7001]
    kept = write(tmp_path / "a.mkv", encoding, moving(8), times)
    assert sorted(kept) == times and kept != times  # there are B-frames
    with av.open(str(tmp_path / "a.mkv")) as film:
        sizes = [packet.size for packet in film.demux(video=0) if packet.size]
    assert len(sizes) == 8


@pytest.mark.parametrize(
    "encoder, form, planes, most",
    [
        ("ffv1", "bgr0", Planes(8, 1, 1, rgb=True), 0),
        ("ffv1", "yuv444p16le", Planes(16, 1, 1), 0.02),
        ("ffv1", "yuv444p", Planes(8, 1, 1), 2),
    ],
)
def test_frames_are_what_was_given(tmp_path, encoder, form, planes, most):
    encoding = dataclasses.replace(
        ENCODING, encoder=encoder, options=(), pixel_format=form, planes=planes, width=62
    )
    rgb = list(moving(2, top=planes.top))
    write(tmp_path / "a.mkv", encoding, rgb, [0, 512])
    read = list(FilmReader(tmp_path / "a.mkv").frames())
    assert len(read) == 2
    for frame, expected in zip(read, rgb, strict=True):
        difference = frame.pixels.astype(float) - expected[:, :62]
        assert np.abs(difference).max() / planes.top * 255 <= most


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux schedules so")
def test_no_encoder_makes_threads_real_time_ones(tmp_path):
    """SVT-AV1 does, as root."""
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this PyAV has no SVT-AV1")
    encoding = dataclasses.replace(
        ENCODING, encoder="libsvtav1", options=(("preset", "8"),), width=64, height=48
    )
    writer = SegmentWriter(tmp_path / "a.mkv", encoding)
    for time, pixels in enumerate(moving(3)):
        writer.write(pixels, time, 1)
        tasks = [int(task.name) for task in Path("/proc/self/task").glob("*")]
        assert {os.sched_getscheduler(task) for task in tasks} == {os.SCHED_OTHER}
    writer.close()
