"""What is finished of a film stays, is found again, and is forgotten when anything is different."""

import dataclasses
import json
import os
from fractions import Fraction

import numpy as np
import pytest
from films import moving, write_film
from tiny_network import make_film_network, make_network

from jsr.enlargement import Enlargement, Interpolation
from jsr.errors import UserError
from jsr.film_color import Planes
from jsr.film_segments import Segments, identify
from jsr.film_writer import Encoding
from jsr.streamed_network import StreamedNetwork
from jsr.target_size import TargetSize
from jsr.tiled_network import TiledNetwork

ENCODING = Encoding(
    encoder="libx264",
    options=(("preset", "ultrafast"),),
    pixel_format="yuv420p",
    planes=Planes(),
    height=48,
    width=64,
    time_base=Fraction(1, 12800),
    rate=Fraction(25),
    colors=(("colorspace", 1),),
    aspect=None,
)


def finish(segments, times, following, memory=None):
    writer = segments.open(ENCODING)
    for pixels, time in zip(moving(len(times)), times, strict=True):
        writer.write(pixels, time, 512)
    note = {"frames": len(times), "next": following, "damaged": 0, "last": 512}
    segments.finish(writer, note | {"end": times[-1] + 512}, memory)


def test_finished_segments_are_found_again(tmp_path):
    segments = Segments(tmp_path / "a.mp4", "made so")
    assert segments.next is None and not segments.complete and not segments.begun_otherwise
    finish(segments, [0, 512, 1024, 3000], 4000)
    unfinished = segments.open(ENCODING)
    unfinished.write(next(moving()), 4000, 512)
    again = Segments(tmp_path / "a.mp4", "made so")
    assert again.next == 4000 and again.frames == 4 and not again.complete
    assert sorted(again.notes[0]["times"]) == [0, 512, 1024, 3000]
    unfinished.abandon()
    finish(again, [4000, 4512], None)
    again = Segments(tmp_path / "a.mp4", "made so")
    assert again.complete and again.frames == 6
    assert [path.exists() for path in again.files()] == [True, True]
    again.remove()
    assert not list(tmp_path.iterdir())


def test_what_was_begun_otherwise_is_forgotten(tmp_path):
    finish(Segments(tmp_path / "a.mp4", "made so"), [0, 512], 1024)
    other = Segments(tmp_path / "a.mp4", "made otherwise")
    assert other.begun_otherwise and other.frames == 0 and not other.folder.exists()


def test_a_note_that_was_cut_short_does_not_count(tmp_path):
    segments = Segments(tmp_path / "a.mp4", "made so")
    finish(segments, [0, 512], 1024)
    finish(segments, [1024, 2000], None)
    note = segments.folder / "000001.json"
    note.write_text(note.read_text()[:-9])
    again = Segments(tmp_path / "a.mp4", "made so")
    assert again.frames == 2 and again.next == 1024
    assert json.loads((segments.folder / "film.json").read_text())["made_of"] == "made so"


def test_what_is_remembered_at_the_end_of_the_last_segment_is_found_again(tmp_path):
    segments = Segments(tmp_path / "a.mp4", "made so")
    assert segments.memory() == {}
    for value in (1, 2):
        finish(segments, [1024 * value], 1024 * value + 512, {"past": np.full((2, 3), value)})
        assert len(list(segments.folder.glob("*.npz"))) == 1
    again = Segments(tmp_path / "a.mp4", "made so")
    memory = again.memory()
    assert list(memory) == ["past"] and (memory["past"] == 2).all()
    (file,) = again.folder.glob("*.npz")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UserError, match=r"000002\.npz: cannot be read: run it again"):
        again.memory()
    finish(again, [4096], None, {})
    assert again.complete and again.memory() == {} and not list(again.folder.glob("*.npz"))


@pytest.fixture(scope="module")
def network():
    return make_network()


def test_all_that_decides_the_film_is_in_its_name(tmp_path, network):
    path = write_film(tmp_path / "a.mkv", moving(1))
    other = make_network(noise=0.01)

    def name(way=None, encoding=ENCODING, **more):
        return identify(path, Enlargement({2: way or TiledNetwork(network)}, **more), encoding)

    names = [
        name(),
        name(TiledNetwork(other)),
        name(TiledNetwork(network, ensemble=True)),
        name(StreamedNetwork(make_film_network("rrn"))),
        name(StreamedNetwork(make_film_network("rrn", gain=0.7))),
        name(Interpolation("bicubic", 2)),
        name(Interpolation("lanczos", 2)),
        name(target=TargetSize(width=90)),
        name(linear=True),
        name(encoding=dataclasses.replace(ENCODING, options=(("crf", "9"),))),
    ]
    os.utime(path, (1, 1))
    names.append(name())
    assert len(set(names)) == len(names)
    assert name() == names[-1]
