"""Picture files through an enlargement: all that they hold, batches that go on, pipes."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from pictures import SRGB, encoded, oriented
from PIL import Image
from tiny_network import make_network, write_network

from jsr import images
from jsr.enlarged_files import EnlargedFiles
from jsr.enlargement import Enlargement
from jsr.errors import PartlyDone, UserError
from jsr.images import Picture, read_animation, read_picture, write_picture
from jsr.picture_jobs import Job, plan_jobs
from jsr.tiled_network import TiledNetwork

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def network():
    return make_network(noise=0.02)


@pytest.fixture(scope="module")
def model(network):
    return Enlargement({2: TiledNetwork(network)})


@pytest.fixture
def files(model):
    return EnlargedFiles(model)


def random_picture(height, width, channels=3, dtype=np.uint8, **more) -> Picture:
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(height).integers(0, top, (height, width, channels), dtype)
    return Picture(pixels, **{"alpha": None, "icc": None, "dpi": None, "exif": None, **more})


def write(path, *args, **more):
    write_picture(path, random_picture(*args, **more))
    return path


def enlarged(files, source, target):
    files.run([Job(source, target)])
    return read_picture(target, max_bits=16)


def test_a_file_is_enlarged_with_its_metadata(files, network, tmp_path):
    exif = oriented(1).tobytes()
    source = write(tmp_path / "a.png", 7, 9, icc=SRGB, dpi=(300.0, 150.0), exif=exif)
    for suffix in (".png", ".tif", ".jpg"):
        sr = enlarged(files, source, tmp_path / f"new/b{suffix}")
        assert sr.pixels.shape == (14, 18, 3)
        assert sr.icc == SRGB
        assert sr.dpi == pytest.approx((300, 150), abs=0.1)
        read = Image.Exif()
        read.load(sr.exif)
        assert read[0x0110] == "Camera" and read.get(0x0112, 1) == 1
    sr = read_picture(tmp_path / "new/b.png")
    np.testing.assert_array_equal(sr.pixels, network(read_picture(source).pixels))


def test_the_orientation_is_applied_once(files, tmp_path):
    exif = oriented(6).tobytes()
    pixels = random_picture(8, 12).pixels
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(pixels), "PNG", exif=exif))
    sr = enlarged(files, tmp_path / "a.png", tmp_path / "b.png")
    assert sr.pixels.shape == (24, 16, 3)
    with Image.open(tmp_path / "b.png") as image:
        assert image.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (1, np.uint16), (3, np.uint16)])
def test_gray_and_depth_stay(files, tmp_path, channels, dtype):
    source = write(tmp_path / "a.png", 6, 5, channels, dtype)
    sr = enlarged(files, source, tmp_path / "b.png").pixels
    assert sr.shape == (12, 10, channels) and sr.dtype == dtype


def test_palettes_become_colours_and_transparency_alpha(files, tmp_path):
    image = Image.fromarray((np.arange(64).reshape(8, 8) % 4).astype(np.uint8))
    image.putpalette(bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]))
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG", transparency=3))
    sr = enlarged(files, tmp_path / "a.png", tmp_path / "b.png")
    assert sr.pixels.shape == (16, 16, 3) and sr.alpha.shape == (16, 16)
    assert sr.alpha.min() == 0 and sr.alpha.max() == 255


def test_the_suffix_lies_and_the_content_counts(files, tmp_path):
    data = images.encode(random_picture(5, 4), "WEBP", "a")
    (tmp_path / "a.png").write_bytes(data)
    assert enlarged(files, tmp_path / "a.png", tmp_path / "b.png").pixels.shape == (10, 8, 3)


def test_quality_makes_files_smaller(model, tmp_path):
    source = write(tmp_path / "a.png", 30, 30)
    for name, quality in (("low", 20), ("high", 98)):
        EnlargedFiles(model, quality).run([Job(source, tmp_path / f"{name}.jpg")])
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "high.jpg").stat().st_size / 2


def animation_file(path):
    frames = [Image.fromarray(random_picture(n, 8).pixels[:6]) for n in (6, 7, 8)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 80, 60], loop=0)
    return path


def test_animations_give_the_first_frame_or_all(model, tmp_path, caplog):
    source = animation_file(tmp_path / "a.gif")
    sr = enlarged(EnlargedFiles(model), source, tmp_path / "b.png")
    assert sr.pixels.shape == (12, 16, 3)
    assert f"{source}: has several frames or pages; the first is taken" in caplog.text
    every = EnlargedFiles(model, all_frames=True)
    every.run([Job(source, tmp_path / "c.webp"), Job(source, tmp_path / "d.gif")])
    for name in ("c.webp", "d.gif"):
        film = read_animation(tmp_path / name)
        assert [frame.pixels.shape[:2] for frame in film.frames] == [(12, 16)] * 3
        assert film.milliseconds == [40, 80, 60] and film.loop == 0
    with pytest.raises(UserError, match="JPEG holds one frame"):
        every.run([Job(source, tmp_path / "e.jpg")])
    assert not (tmp_path / "e.jpg").exists()


# ---- batches


def test_failures_are_named_the_others_done_and_nothing_half_written(files, tmp_path):
    for name in ("a", "c", "f"):
        write(tmp_path / f"in/{name}.png", 4, 4)
    (tmp_path / "in/b.png").write_bytes(b"no picture")
    (tmp_path / "in/d.png").touch()
    whole = (tmp_path / "in/a.png").read_bytes()
    (tmp_path / "in/e.png").write_bytes(whole[: len(whole) - 20])
    (tmp_path / "out/f.png").mkdir(parents=True)
    with pytest.raises(PartlyDone) as caught:
        files.run(plan_jobs([str(tmp_path / "in"), str(tmp_path / "out")]))
    lines = str(caught.value).splitlines()
    assert lines[-1] == "2 of 6 enlarged" and len(lines) == 5
    for name, words in (("b", "is not a picture"), ("d", "is empty"), ("e", "is cut short")):
        assert any(f"in/{name}.png: {words}" in line for line in lines)
    assert any("out/f.png: is there already, but no picture" in line for line in lines)
    left = sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert left == ["a.png", "c.png"]


def test_a_full_disk_is_told_for_each_file(files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("a", "b"):
        write(tmp_path / f"in/{name}.png", 4, 4)
    monkeypatch.setattr(images.os, "replace", full)
    with pytest.raises(UserError, match="none of the 2 pictures") as caught:
        files.run(plan_jobs([str(tmp_path / "in"), str(tmp_path / "out")]))
    assert str(caught.value).count("no space left for it") == 2
    assert not list((tmp_path / "out").iterdir())


def test_what_is_done_is_skipped_and_made_again_on_demand(files, tmp_path, capsys):
    for name in ("a", "b"):
        write(tmp_path / f"in/{name}.png", 4, 4)
    jobs = plan_jobs([str(tmp_path / "in"), str(tmp_path / "out")])
    files.run(jobs)
    assert capsys.readouterr().out == ""
    (tmp_path / "out/b.png").unlink()
    before = (tmp_path / "out/a.png").stat().st_mtime_ns
    files.run(jobs)
    assert "1 of 2 are done already; --overwrite makes them again" in capsys.readouterr().out
    assert (tmp_path / "out/a.png").stat().st_mtime_ns == before
    files.run(jobs, overwrite=True)
    assert (tmp_path / "out/a.png").stat().st_mtime_ns > before
    assert capsys.readouterr().out == ""
    # A file that is named is made whatever lies there.
    write(tmp_path / "one.png", 3, 3)
    files.run(plan_jobs([str(tmp_path / "in/a.png"), str(tmp_path / "one.png")]))
    assert read_picture(tmp_path / "one.png").pixels.shape == (8, 8, 3)


# ---- pipes


class Stream:
    def __init__(self, data=b""):
        self.buffer = io.BytesIO(data)

    def isatty(self):
        return False


def pipe(files, monkeypatch, words, form, data=b""):
    streams = {"stdin": Stream(data), "stdout": Stream()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    files.pipe([str(word) for word in words], form)
    return streams["stdout"].buffer.getvalue()


def test_pipes(files, network, monkeypatch, tmp_path):
    picture = random_picture(5, 7)
    data = images.encode(picture, "PNG", "a")
    out = pipe(files, monkeypatch, ["-", "-"], "png", data)
    np.testing.assert_array_equal(read_picture(out).pixels, network(picture.pixels))
    (tmp_path / "a.png").write_bytes(data)
    assert pipe(files, monkeypatch, [tmp_path / "a.png", "-"], None) == out
    assert pipe(files, monkeypatch, ["-", tmp_path / "b.png"], None, data) == b""
    assert (tmp_path / "b.png").read_bytes() == out


def test_mistakes_with_pipes_are_told(files, monkeypatch, tmp_path):
    for words, data, told in [
        (["-", "-"], b"", "--format is missing"),
        (["-", "a.png", "-"], b"", "a pipe takes one picture"),
        (["-", tmp_path / "a.xyz"], b"", "cannot write '.xyz'"),
        (["-", tmp_path / "a.png"], b"", "standard input: is empty"),
        (["-", tmp_path / "a.png"], b"text", "standard input: is not a picture"),
    ]:
        with pytest.raises(UserError, match=told):
            pipe(files, monkeypatch, words, None, data)
    assert not list(tmp_path.iterdir())


# ---- many files


@pytest.mark.long
def test_memory_does_not_grow_with_the_files(network, tmp_path):
    draw = np.random.default_rng(0)
    jobs = []
    for index in range(1000):
        height, width = draw.integers(8, 65, 2)
        source = write(tmp_path / f"in/{index}.png", int(height), int(width))
        jobs.append(Job(source, tmp_path / f"out/{index}.png"))
    files = EnlargedFiles(Enlargement({2: TiledNetwork(network)}))
    files.run(jobs[:50])
    before = psutil.Process().memory_info().rss
    files.run(jobs[50:])
    assert psutil.Process().memory_info().rss - before < 50e6
    assert len(list((tmp_path / "out").iterdir())) == 1000


@pytest.mark.long
def test_after_kill_9_a_rerun_gives_every_output(tmp_path):
    weights = write_network(tmp_path / "net.safetensors")
    for index in range(60):
        write(tmp_path / f"in/{index}.png", 40 + index % 7, 50)
    words = [sys.executable, "-m", "jsr.upscale", "in", "out", "--weights", str(weights)]
    settings = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    for killed_at in (1, 20):
        run = subprocess.Popen(words, **settings)
        while run.poll() is None and len(list(tmp_path.glob("out/*.png"))) < killed_at:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
    before = len(list(tmp_path.glob("out/*.png")))
    assert 20 <= before < 60
    done = subprocess.run(words, **settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{before} of 60 are done already" in done.stdout
    for index in range(60):
        sr = read_picture(tmp_path / f"out/{index}.png")
        assert sr.pixels.shape == (2 * (40 + index % 7), 100, 3)
