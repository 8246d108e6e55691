"""Films through an enlargement: colours and times stay, a killed run goes on, mistakes are told."""

import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from film_memory import enlarge
from films import TIME_BASE, damaged_film, moving, packets, shown, write_film
from tiny_network import make_film_network, make_network, write_network

from jsr import film_segments, streamed_network, tiled_network
from jsr.enlarged_films import EnlargedFilms
from jsr.enlargement import Enlargement, Interpolation
from jsr.errors import UserError
from jsr.film_color import BT601, Planes
from jsr.film_formats import FilmOptions
from jsr.film_reader import FilmReader
from jsr.film_writer import SegmentWriter
from jsr.picture_jobs import Job
from jsr.streamed_network import StreamedNetwork
from jsr.target_size import TargetSize
from jsr.tiled_network import TiledNetwork

ROOT = Path(__file__).parent.parent
FAST = FilmOptions(preset="ultrafast")
LOSSLESS = FilmOptions("ffv1")


def bicubic(scale=2, **target) -> Enlargement:
    return Enlargement({2: Interpolation("bicubic", 2)}, TargetSize(scale, **target))


def make(source, target, model=None, options=FAST) -> str | None:
    return EnlargedFilms(model or bicubic(), options).run(Job(source, target))


def frames(path) -> list[np.ndarray]:
    return [frame.pixels for frame in FilmReader(path).frames()]


def test_a_film_is_enlarged_frame_by_frame(tmp_path):
    network = make_network(noise=0.02)
    times = [0, 512, 1024, 1100, 3000, 3600]
    source = write_film(
        tmp_path / "a.mkv",
        moving(),
        times,
        time_base=Fraction(1, 1000),
        pixel_format="yuv444p",
        planes=Planes(8, 1, 1, BT601),
    )
    model = Enlargement({2: TiledNetwork(network)})
    assert make(source, tmp_path / "new" / "b.mkv", model, LOSSLESS) is None
    assert shown(tmp_path / "new/b.mkv") == [Fraction(time, 1000) for time in times]
    for lr, sr in zip(frames(source), frames(tmp_path / "new/b.mkv"), strict=True):
        assert sr.shape == (96, 128, 3)
        assert np.abs(sr.astype(int) - network(lr)).max() <= 2
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["b.mkv"]


def test_frames_share_batches_on_accelerators(tmp_path, monkeypatch):
    source = write_film(tmp_path / "a.mkv", moving(13))
    model = Enlargement({2: TiledNetwork(make_network(noise=0.02))})
    make(source, tmp_path / "b.mkv", model, LOSSLESS)
    monkeypatch.setattr(film_segments, "LENGTH", 5)
    monkeypatch.setattr(tiled_network, "BATCH", 2)
    monkeypatch.setattr(TiledNetwork, "_on_cpu", False)
    assert model.at_once(48, 64) == 8
    make(source, tmp_path / "c.mkv", model, LOSSLESS)
    assert shown(tmp_path / "b.mkv") == shown(tmp_path / "c.mkv")
    for one, other in zip(frames(tmp_path / "b.mkv"), frames(tmp_path / "c.mkv"), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize(
    "bits, full, matrix, sampling",
    [
        (8, False, BT601, (2, 2)),
        (8, True, 1, (2, 2)),
        (10, False, 9, (2, 2)),
        (8, False, 1, (1, 1)),
        (10, False, 1, (2, 1)),
    ],
)
@pytest.mark.parametrize("codec", ["ffv1", "h264"])
def test_colours_stay(tmp_path, codec, bits, full, matrix, sampling):
    """At scale 1 nothing is done but decoding and encoding: what differs is a shift of colour."""
    planes = Planes(bits, *sampling, matrix, full)
    names = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}
    form = f"yuv{names[sampling]}p" + ("10le" if bits == 10 else "")
    colors = {"color_range": 2 if full else 1, "colorspace": matrix}
    colors |= {"color_primaries": 1, "color_trc": 1}
    top = 65535 if bits == 10 else 255
    rgb = list(moving(4, top=top))
    source = write_film(
        tmp_path / "a.mkv", rgb, codec="ffv1", pixel_format=form, planes=planes, colors=colors
    )
    options = LOSSLESS if codec == "ffv1" else FilmOptions(crf=4, preset="ultrafast")
    assert make(source, tmp_path / "b.mkv", bicubic(1), options) is None
    facts = FilmReader(tmp_path / "b.mkv").facts
    assert facts.colors == colors and facts.planes == planes
    assert facts.pixel_format.replace("yuvj", "yuv") == form
    for before, after in zip(frames(source), frames(tmp_path / "b.mkv"), strict=True):
        difference = (after.astype(float) - before) / top * 255
        assert np.abs(difference.mean((0, 1))).max() < 0.15
        assert np.abs(difference).mean() < 1.5


def test_colours_stay_when_players_would_guess_otherwise(tmp_path):
    """Of small film they guess BT.601, of large film BT.709: what was guessed is stated."""
    source = write_film(tmp_path / "a.mkv", moving(1))
    model = Enlargement({16: Interpolation("nearest", 16)})
    make(source, tmp_path / "b.mkv", model, LOSSLESS)
    facts = FilmReader(tmp_path / "b.mkv").facts
    assert facts.height == 768 and facts.colors["colorspace"] == BT601
    before, after = frames(source)[0], frames(tmp_path / "b.mkv")[0]
    assert np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() < 0.15


def test_rotation_and_the_shape_of_pixels_stay(tmp_path):
    source = write_film(tmp_path / "a.mp4", codec="libx264", turn=90, aspect=Fraction(8, 9))
    before = FilmReader(source).facts
    for name in ("b.mp4", "b.mkv"):
        make(source, tmp_path / name)
        after = FilmReader(tmp_path / name).facts
        assert after.turn == before.turn and after.sideways
        assert after.aspect == Fraction(8, 9)
    # 48 x 64 are shown: twice 48 makes 96 of the stored height.
    make(source, tmp_path / "c.mp4", bicubic(None, width=96))
    after = FilmReader(tmp_path / "c.mp4").facts
    assert (after.height, after.width) == (96, 128)
    make(source, tmp_path / "d.mp4", bicubic(None, fit=(24, 1000)))
    assert FilmReader(tmp_path / "d.mp4").facts.height == 24


def test_odd_sizes_become_even_and_it_is_said(tmp_path, caplog):
    source = write_film(tmp_path / "a.mkv", moving(2, 46, 62))
    make(source, tmp_path / "b.mp4", bicubic(1.5))
    facts = FilmReader(tmp_path / "b.mp4").facts
    assert (facts.height, facts.width) == (68, 92)
    assert (
        "93x69 is odd: yuv420p needs even sides, the last line is left out (92x68)" in caplog.text
    )
    # Nothing else is resampled: the last line is what is left out.
    enlarged = frames(write_film(tmp_path / "c.mkv", moving(2, 46, 62)))[0]
    whole = bicubic(1.5)(enlarged)[0][:68, :92].astype(float)
    assert np.abs(frames(tmp_path / "b.mp4")[0].mean((0, 1)) - whole.mean((0, 1))).max() < 1


@pytest.mark.parametrize(
    "options, name, codec, tag",
    [
        (FilmOptions(crf=12), "b.mp4", "h264", "avc1"),
        (FilmOptions("hevc", crf=12, preset="fast"), "b.mp4", "hevc", "hvc1"),
        (FilmOptions("av1", crf=12, preset="12"), "b.mp4", "av1", "av01"),
        (FilmOptions(quality=80), "b.webm", "vp9", ""),
        (FilmOptions("prores"), "b.mov", "prores", "apch"),
        (FilmOptions("ffv1"), "b.mkv", "ffv1", "FFV1"),
    ],
)
def test_segments_of_all_codecs_make_one_film(
    tmp_path, capfd, monkeypatch, options, name, codec, tag
):
    monkeypatch.setattr(film_segments, "LENGTH", 7)
    rgb = list(moving(24))
    times = [0, 512, *range(1100, 12100, 500)]
    source = write_film(tmp_path / "a.mkv", rgb, times, time_base=Fraction(1, 1000))
    assert make(source, tmp_path / name, options=options) is None
    assert shown(tmp_path / name) == [Fraction(time, 1000) for time in times]
    for before, after in zip(frames(source), frames(tmp_path / name), strict=True):
        difference = after.astype(float) * 255 / np.iinfo(after.dtype).max - bicubic()(before)[0]
        assert np.abs(difference).mean() < 4
    with av.open(str(tmp_path / name)) as film:
        context = film.streams.video[0].codec_context
        assert context.codec.canonical_name == codec
        assert context.codec_tag.strip("\0") == tag or codec in ("vp9", "ffv1")
    assert capfd.readouterr() == ("", "")


def test_one_frame_is_a_film(tmp_path):
    source = write_film(tmp_path / "a.mkv", moving(1))
    make(source, tmp_path / "b.mp4")
    assert len(frames(tmp_path / "b.mp4")) == 1


def test_what_is_lost_is_said_before(tmp_path, caplog):
    interlaced = {"x264-params": "interlaced=1:tff=1"}
    source = write_film(
        tmp_path / "a.mkv", codec="libx264", options=interlaced, sound=True, subtitles="subrip"
    )
    make(source, tmp_path / "b.mp4")
    assert "a.mkv: .mp4 cannot hold its subtitle (srt): .mkv may" in caplog.text
    assert "is interlaced" in caplog.text
    deep = write_film(
        tmp_path / "c.mkv",
        moving(2, top=65535),
        pixel_format="yuv420p10le",
        planes=Planes(10, matrix=BT601),
    )
    make(deep, tmp_path / "d.webm", options=FilmOptions())
    assert "libvpx-vp9 holds 8 of its 10 bits" in caplog.text


# ---- going on


class Stopping(Interpolation):
    """Fails at the frame of a number, and counts them."""

    def __init__(self, stop=None):
        super().__init__("bicubic", 2)
        self.stop, self.count = stop, 0

    def tiles(self, lr):
        self.count += 1
        if self.count == self.stop:
            raise KeyboardInterrupt
        return super().tiles(lr)


def test_a_run_that_was_ended_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film_segments, "LENGTH", 4)
    times = [i * 512 + i % 3 for i in range(14)]
    source = write_film(tmp_path / "a.mp4", moving(14), times, codec="libx264", sound=True)
    ways = [Stopping(11), Stopping(), Stopping()]
    with pytest.raises(KeyboardInterrupt):
        make(source, tmp_path / "b.mp4", Enlargement({2: ways[0]}))
    assert not (tmp_path / "b.mp4").exists()
    make(source, tmp_path / "b.mp4", Enlargement({2: ways[1]}))
    assert "8 frames are done already" in capsys.readouterr().out
    assert ways[1].count == 6
    make(source, tmp_path / "c.mp4", Enlargement({2: ways[2]}))
    assert shown(tmp_path / "b.mp4") == [time * TIME_BASE for time in times]
    for kind in ("video", "audio"):
        assert packets(tmp_path / "b.mp4", kind) == packets(tmp_path / "c.mp4", kind)
    assert not list(tmp_path.glob(".*"))


def test_a_run_of_other_options_begins_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film_segments, "LENGTH", 2)
    source = write_film(tmp_path / "a.mkv")
    with pytest.raises(KeyboardInterrupt):
        make(source, tmp_path / "b.mp4", Enlargement({2: Stopping(6)}))
    way = Stopping()
    make(source, tmp_path / "b.mp4", Enlargement({2: way}), FilmOptions(crf=40))
    assert way.count == 6
    assert "begins anew" in capsys.readouterr().out


@pytest.fixture(scope="module", params=["rrn", "basicvsr"])
def remembering(request):
    return make_film_network(request.param)


def test_a_film_by_what_is_remembered_goes_on_as_if_it_had_not_ended(
    remembering, tmp_path, monkeypatch, capsys
):
    """Two shots of 7 and 9 frames; the run ends at the twelfth."""
    monkeypatch.setattr(film_segments, "LENGTH", 3)
    monkeypatch.setattr(streamed_network, "LONGEST", 2)
    rgb = [*moving(7, 10, 8), *(frame // 6 for frame in moving(9, 10, 8))]
    times = [i * 40 + i % 3 for i in range(16)]
    source = write_film(tmp_path / "a.mkv", rgb, times, time_base=Fraction(1, 1000))
    model = Enlargement({2: StreamedNetwork(remembering)})
    write, left = SegmentWriter.write, [11]

    def stop(*given):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWriter, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            make(source, tmp_path / "b.mkv", model, LOSSLESS)
    assert len(list((tmp_path / ".b.mkv.parts").glob("*.npz"))) == 1
    make(source, tmp_path / "b.mkv", model, LOSSLESS)
    assert "frames are done already" in capsys.readouterr().out
    make(source, tmp_path / "c.mkv", model, LOSSLESS)
    assert shown(tmp_path / "b.mkv") == shown(tmp_path / "c.mkv") == shown(source)
    whole = frames(tmp_path / "c.mkv")
    np.testing.assert_array_equal(frames(tmp_path / "b.mkv"), whole)
    assert not list(tmp_path.glob(".*"))


def test_what_remembers_enlarges_to_other_sizes_and_deep_films(tmp_path):
    network = make_film_network("rrn")
    ways = {2: StreamedNetwork(network)}
    source = write_film(
        tmp_path / "a.mkv",
        moving(4, 16, 24, top=65535),
        pixel_format="yuv444p10le",
        planes=Planes(10, 1, 1, matrix=BT601),
    )
    make(source, tmp_path / "b.mkv", Enlargement(ways), LOSSLESS)
    sr = np.stack(frames(tmp_path / "b.mkv"))
    assert sr.dtype == np.uint16
    lr = [frame / np.float32(65535 / 255) for frame in frames(source)]
    expected = np.stack(list(network.enlarge_clip(lr)))
    assert np.abs(sr / 257 - expected).max() < 2
    make(source, tmp_path / "c.mkv", Enlargement(ways, TargetSize(2.5)), LOSSLESS)
    larger = np.stack(frames(tmp_path / "c.mkv"))
    assert larger.shape == (4, 40, 60, 3)
    assert np.abs(larger.mean((1, 2)) - sr.mean((1, 2))).max() < 0.02 * 65535
    # Where nothing is to be enlarged there is nothing for a network to do.
    make(source, tmp_path / "d.mkv", Enlargement(ways, TargetSize(0.5)), LOSSLESS)
    assert frames(tmp_path / "d.mkv")[0].shape == (8, 12, 3)


def test_done_is_there_of_its_size_and_no_older(tmp_path):
    source = write_film(tmp_path / "a.mkv")
    films, job = EnlargedFilms(bicubic(), FAST), Job(source, tmp_path / "b.mp4")
    assert not films.is_done(job)
    films.run(job)
    assert films.is_done(job)
    os.utime(job.target, (1, 1))
    assert not films.is_done(job)
    with pytest.raises(UserError, match="there already, but of 128x96 pixels, not 192x144: --over"):
        EnlargedFilms(bicubic(3)).is_done(job)
    job.target.write_text("something else")
    with pytest.raises(UserError, match="there already, but no film"):
        films.is_done(job)


# ---- damage


def test_a_damaged_film_is_made_and_told(tmp_path):
    source = damaged_film(tmp_path / "a.mkv")
    problem = make(source, tmp_path / "b.mp4")
    assert "packets or frames are damaged, and were concealed or left out" in problem
    assert len(frames(tmp_path / "b.mp4")) >= 20


def test_a_film_that_is_cut_short_is_made_and_told(tmp_path):
    whole = write_film(tmp_path / "a.mkv", moving(50), codec="libx264", sound=True).read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    problem = make(tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert re.search(r"it is cut short: it states 2\.\d s, but ends at 1\.\d s: ", problem)
    assert 5 < len(frames(tmp_path / "b.mp4")) < 45


def test_a_size_that_changes_leaves_nothing(tmp_path):
    parts = [
        write_film(tmp_path / f"{width}.ts", moving(8, 48, width), codec="libx264").read_bytes()
        for width in (64, 96)
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with pytest.raises(UserError, match="changes from 64x48 to 96x48"):
        make(tmp_path / "both.ts", tmp_path / "out" / "b.mp4")
    assert not list((tmp_path / "out").iterdir())


def test_a_network_that_gives_nan_is_told(tmp_path):
    source = write_film(tmp_path / "a.mkv")
    model = Enlargement({2: TiledNetwork(make_network(gain=float("nan")))})
    film = make_film_network("rrn", gain=float("nan"))
    for one in (model, Enlargement({2: StreamedNetwork(film)})):
        with pytest.raises(UserError, match=r"a\.mkv: the network's output is not finite: use ot"):
            make(source, tmp_path / "b.mp4", one)
        assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_a_result_without_room_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("jsr.tile_memory.free_memory", lambda: 1000.0)
    source = write_film(tmp_path / "a.mkv")
    with pytest.raises(UserError, match=r"a\.mkv: enlarged to 128x96 it would take"):
        make(source, tmp_path / "b.mp4")
    way = StreamedNetwork(make_film_network("basicvsr"))
    with pytest.raises(UserError, match=r"a\.mkv: frames of 64x48 take .* or use weights for pic"):
        make(source, tmp_path / "b.mp4", Enlargement({2: way}))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jsr.film_container.os.replace", full)
    with pytest.raises(UserError, match=r"no space left for it|No space left on device"):
        make(write_film(tmp_path / "a.mkv"), tmp_path / "b.mp4")


# ---- long films


@pytest.mark.long
def test_a_clip_with_sound_and_subtitles_keeps_all(tmp_path, capsys):
    """10 seconds of 480p, of a variable frame rate."""
    draw = np.random.default_rng(0)
    steps = draw.choice([300, 400, 512, 1024], 400)
    times = [0, *np.cumsum(steps).tolist()]
    times = [time for time in times if time < 10 / TIME_BASE]
    source = write_film(
        tmp_path / "a.mp4",
        moving(len(times), 480, 854),
        times,
        codec="libx264",
        sound=True,
        subtitles="mov_text",
    )
    weights = write_network(tmp_path / "net.safetensors")
    begun = time.time()
    run = command(tmp_path, "a.mp4", "b.mp4", "--weights", weights, "--preset", "veryfast")
    assert run.returncode == 0, run.stderr
    seconds = time.time() - begun
    assert shown(tmp_path / "b.mp4") == shown(source) == [t * TIME_BASE for t in times]
    sound = [packets(path, "audio") for path in (source, tmp_path / "b.mp4")]
    assert sound[0] == sound[1]
    texts = [
        [p[:2] + p[3:] for p in packets(path, "subtitle") if len(p[3]) > 2]
        for path in (source, tmp_path / "b.mp4")
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 10
    lengths = [FilmReader(path).facts.end for path in (source, tmp_path / "b.mp4")]
    assert abs(lengths[0] - lengths[1]) <= 1 / 25
    with capsys.disabled():
        print(f"\n{len(times)} frames in {seconds:.0f} s; ends {lengths}; {len(sound[0])} packets")


def command(folder, *words, **more):
    return subprocess.run(
        [sys.executable, "-m", "jsr.upscale", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        **more,
    )


@pytest.mark.long
def test_after_kill_9_a_rerun_gives_the_whole_film(tmp_path):
    source = write_film(tmp_path / "a.mp4", moving(600), codec="libx264", sound=True)
    words = [sys.executable, "-m", "jsr.upscale", "a.mp4", "b.mp4", "--weights", "bicubic"]
    words += ["--scale", "4"]
    settings = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    }
    for finished in (1, 3):
        run = subprocess.Popen(words, **settings)
        while run.poll() is None and len(list(tmp_path.glob(".b.mp4.parts/0*.json"))) < finished:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not (tmp_path / "b.mp4").exists()
    done = command(tmp_path, "a.mp4", "b.mp4", "--weights", "bicubic", "--scale", 4)
    assert done.returncode == 0, done.stderr
    assert "frames are done already" in done.stdout
    assert shown(tmp_path / "b.mp4") == shown(source)
    assert [p[3] for p in packets(tmp_path / "b.mp4", "audio")] == [
        p[3] for p in packets(source, "audio")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.long
def test_after_kill_9_what_a_network_remembers_is_there_again(tmp_path):
    source = write_film(tmp_path / "a.mkv", moving(300, 16, 24))
    net = write_network(tmp_path / "n.safetensors", name="rrn")
    words = ["--weights", net, "--codec", "ffv1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "jsr.upscale", "a.mkv", "b.mkv", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    while run.poll() is None and not list(tmp_path.glob(".b.mkv.parts/0*.json")):
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "b.mkv").exists()
    done = command(tmp_path, "a.mkv", "b.mkv", *words)
    assert done.returncode == 0 and "frames are done already" in done.stdout, done.stderr
    command(tmp_path, source, "c.mkv", *words)
    np.testing.assert_array_equal(frames(tmp_path / "b.mkv"), frames(tmp_path / "c.mkv"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.long
def test_memory_does_not_grow_with_the_film(tmp_path, capsys):
    """A film of ten times the frames takes as much."""
    peaks = []
    for count in (60, 150, 1500):
        source = write_film(tmp_path / f"{count}.mp4", moving(count, 96, 128), codec="libx264")
        words = ["--weights", "bicubic", "--scale", "4", "--preset", "ultrafast"]
        peaks.append(enlarge(source, tmp_path / f"big{count}.mp4", *words) / 1e6)
    with capsys.disabled():
        print(f"\npeak memory of 60, 150 and 1500 frames: {peaks} MB")
    assert peaks[2] - peaks[1] < 60
