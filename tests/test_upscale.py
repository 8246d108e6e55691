"""`python -m jsr.upscale` and `jsr.upscale.upscale`: options, refusals before work, arrays."""

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from films import damaged_film, write_film
from PIL import Image
from tiny_network import make_network, write_network

from jsr import images, resize, shipped_weights, upscale
from jsr.errors import PartlyDone, UserError
from jsr.film_reader import FilmReader
from jsr.images import Picture, read_picture, write_picture
from jsr.target_size import TargetSize

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("weights") / "net.safetensors", noise=0.02)


@pytest.fixture(scope="module")
def network():
    return make_network(noise=0.02)


@pytest.fixture
def command(weights_file, monkeypatch):
    """`main` with the words and options given, the others as by default."""
    values = flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags, "FLAGS", values)
        for kind in ("string", "integer", "float", "bool", "enum"):
            define = getattr(flags, f"DEFINE_{kind}")
            patch.setattr(
                flags, f"DEFINE_{kind}", lambda *a, d=define, **k: d(*a, flag_values=values, **k)
            )
        upscale.define_flags()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", images.MAX_PIXELS)

    def run(*words, weights=str(weights_file), **options):
        given = [f"--{name}={value}" for name, value in options.items()]
        values.unparse_flags()
        values(["upscale", *given, *([f"--weights={weights}"] if weights else [])])
        upscale.main([str(word) for word in words], values)

    return run


@pytest.fixture
def no_loading(monkeypatch):
    def fail(*_):
        raise AssertionError("the weights were loaded before the mistake was told")

    monkeypatch.setattr(upscale, "load_network", fail)


def random_picture(height, width, channels=3) -> Picture:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)
    return Picture(pixels, None, None, None, None)


def write(path: Path, *args) -> Path:
    write_picture(path, random_picture(*args))
    return path


def size(path):
    return read_picture(path).pixels.shape[:2]


# ---- the command


def test_a_file_into_a_file(command, network, tmp_path):
    source = write(tmp_path / "a.png", 7, 5)
    command(source, tmp_path / "new" / "big.png")
    expected = network(read_picture(source).pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "new/big.png").pixels, expected)


def test_a_folder_is_mirrored(command, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 6)
    write(tmp_path / "in" / "deep" / "er" / "b.jpg", 5, 3)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    command(tmp_path / "in", tmp_path / "out", format="webp", suffix="_x2")
    sizes = {
        p.relative_to(tmp_path / "out").as_posix(): size(p) for p in tmp_path.glob("out/**/*.*")
    }
    assert sizes == {"a_x2.webp": (8, 12), "deep/er/b_x2.webp": (10, 6)}


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, (14, 18)),
        ({"scale": 2.5}, (18, 23)),
        ({"width": 30}, (23, 30)),
        ({"fit": "100x20"}, (20, 26)),
        ({"tile": 8, "overlap": 4}, (14, 18)),
        ({"tile": 0}, (14, 18)),
        ({"exact": True, "ensemble": True, "linear": True, "back_projection": 2}, (14, 18)),
    ],
)
def test_options(command, tmp_path, options, expected):
    source = write(tmp_path / "a.png", 7, 9)
    command(source, tmp_path / "b.png", **options)
    assert size(tmp_path / "b.png") == expected


def test_classical_ways_by_name(command, tmp_path):
    source = write(tmp_path / "a.png", 7, 9)
    command(source, tmp_path / "b.png", weights="lanczos", scale=3)
    expected = resize.imresize(
        read_picture(source).pixels.astype(float), scale=3, method="lanczos3"
    )
    sr = read_picture(tmp_path / "b.png").pixels
    assert np.abs(sr - resize.to_uint8(expected).astype(int)).max() <= 1
    with pytest.raises(UserError, match="lanczos enlarges by any scale: give --scale"):
        command(source, tmp_path / "b.png", weights="lanczos")


def test_the_list_says_what_there_is(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    command(list=True, weights=None)
    shown = capsys.readouterr().out
    assert "no weights are shipped" in shown
    assert all(f"  {name}\n" in shown for name in ("bicubic", "lanczos", "back-projection"))


def test_larger_pictures_are_refused_by_a_limit_that_can_be_raised(command, tmp_path):
    source = write(tmp_path / "a.png", 7, 9)
    with pytest.raises(UserError, match="claims more than 62 pixels, the limit"):
        command(source, tmp_path / "b.png", max_pixels=62)
    command(source, tmp_path / "b.png", max_pixels=63)


def test_processes_share_out_a_folder_and_a_rerun_does_what_one_has_left(
    command, tmp_path, monkeypatch
):
    for name in "abcde":
        write(tmp_path / "in" / f"{name}.png", 4, 4)

    def run(process):
        monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
        monkeypatch.setenv("JAX_PROCESS_ID", str(process))
        command(tmp_path / "in", tmp_path / "out")
        return {p.stem: p.stat().st_mtime_ns for p in tmp_path.glob("out/*")}

    second = run(1)
    assert second.keys() == {"b", "d"}
    both = run(0)
    assert both.keys() == set("abcde") and second.items() <= both.items()
    # As if process 0 had been killed before its last one.
    (tmp_path / "out/e.png").unlink()
    assert run(1).keys() == set("abcd")
    again = run(0)
    assert {name for name in both if again[name] != both[name]} == {"e"}
    with pytest.raises(UserError, match="JAX_PROCESS_ID is '2': expected a number of processes"):
        run(2)


def test_a_bad_file_is_named_and_the_others_are_done(command, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 4)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    with pytest.raises(PartlyDone, match=r"in/b\.png: is not a picture") as caught:
        command(tmp_path / "in", tmp_path / "out")
    assert str(caught.value).endswith("\n1 of 2 enlarged")


def test_a_page_compares(command, tmp_path):
    source = write(tmp_path / "a.png", 4, 6)
    command(source, tmp_path / "b.png", compare=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<img ") == 2


def test_pages_that_cannot_be_are_told_before_work(command, no_loading, tmp_path):
    source = write(tmp_path / "a.png", 4, 4)
    film = write_film(tmp_path / "a.mkv")
    for words, name, told in [
        ((source, tmp_path / "b.png"), "b.png", "name a page, as in compare.html"),
        ((film, tmp_path / "b.mp4"), "b.html", "shows pictures from files"),
        (("-", "-"), "b.html", "shows pictures from files"),
    ]:
        with pytest.raises(UserError, match=told):
            command(*words, compare=tmp_path / name)


# ---- films


def test_films_of_a_folder_are_enlarged_with_its_pictures(command, tmp_path, capsys):
    write(tmp_path / "in" / "a.png", 4, 6)
    write_film(tmp_path / "in" / "deep" / "b.mkv", sound=True)
    write_film(tmp_path / "in" / "c.avi", codec="mpeg4", time_base=Fraction(1, 25))
    (tmp_path / "in" / "d.mp4").write_text("no film")
    options = {"suffix": "_x2", "format": "webp", "preset": "ultrafast", "crf": 30}
    for again in (False, True):
        with pytest.raises(
            PartlyDone, match=r"in/d\.mp4: is not a film that can be read"
        ) as caught:
            command(tmp_path / "in", tmp_path / "out", **options)
        assert str(caught.value).endswith("\n3 of 4 enlarged")
        told = capsys.readouterr().out
        assert ("1 of 1 are done already" in told and "2 of 3 are done" in told) == again
    made = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.glob("out/**/*.*")}
    assert made == {"a_x2.webp", "deep/b_x2.mkv", "c_x2.mkv"}
    facts = FilmReader(tmp_path / "out/deep/b_x2.mkv").facts
    assert (facts.height, facts.width) == (96, 128)


def test_weights_for_films_enlarge_films_alone(command, tmp_path):
    rrn = str(write_network(tmp_path / "rrn.safetensors", name="rrn"))
    picture = write(tmp_path / "in" / "a.png", 4, 6)
    film = write_film(tmp_path / "in" / "b.mkv")
    with pytest.raises(UserError, match=r"rrn\.safetensors enlarges films, and none is given"):
        command(picture, tmp_path / "b.png", weights=rrn)
    with pytest.raises(UserError, match=r"rrn\.safetensors enlarges films, each frame whole and"):
        command(film, tmp_path / "b.mkv", weights=rrn, exact=True)
    with pytest.raises(PartlyDone, match=r"in/a\.png: the weights enlarge films: use others for"):
        command(tmp_path / "in", tmp_path / "out", weights=rrn, preset="ultrafast")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mkv"]
    facts = FilmReader(tmp_path / "out" / "b.mkv").facts
    assert (facts.height, facts.width) == (96, 128)


def test_a_folder_of_films_alone(command, tmp_path):
    write_film(tmp_path / "in" / "a.mkv")
    command(tmp_path / "in", tmp_path / "out", format="mp4", preset="ultrafast")
    assert (tmp_path / "out/a.mp4").exists()


def test_a_damaged_film_is_made_but_not_all_is_good(command, tmp_path):
    source = damaged_film(tmp_path / "a.mkv")
    with pytest.raises(PartlyDone, match=r"a\.mkv: .* are damaged, .*b\.mp4 is made of the rest"):
        command(source, tmp_path / "b.mp4", preset="ultrafast")
    assert (tmp_path / "b.mp4").exists()


def test_mistakes_with_films_are_told_before_work(command, no_loading, tmp_path):
    film = write_film(tmp_path / "a.mkv")
    picture = write(tmp_path / "a.png", 4, 4)
    for source, name, options, told in [
        (film, "b.png", {}, "b.png: cannot write a film as '.png'; use one of .mp4"),
        (film, "b.avi", {}, "b.avi: cannot write a film as '.avi'"),
        (film, "a.mkv", {}, "is the film itself; name another OUT"),
        (film, "b.mp4", {"codec": "xyz"}, "--codec xyz: PyAV has no such encoder"),
        (film, "b.mp4", {"crf": 99}, "--crf 99: h264 takes"),
        (tmp_path / "absent.mp4", "b.mp4", {}, "absent.mp4: no such file"),
        (picture.with_suffix(".txt"), "b.mp4", {}, "no such file"),
    ]:
        with pytest.raises(UserError, match=re.escape(told)):
            command(source, tmp_path / name, **options)
    assert not list(tmp_path.glob("b.*"))


def test_films_need_pyav_and_say_so(command, no_loading, tmp_path, monkeypatch):
    film = write_film(tmp_path / "a.mkv")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"films need PyAV: pip install 'jsr-superres\[video\]'"):
        command(film, tmp_path / "b.mp4")


def test_what_does_not_fit_the_container_is_told_before_work(command, tmp_path):
    film = write_film(tmp_path / "a.mkv")
    with pytest.raises(UserError, match=r"b\.webm: cannot hold libx264: use \.mkv or \.mov"):
        command(film, tmp_path / "b.webm", codec="h264")
    with pytest.raises(UserError, match=r"b\.mp4: libx264 cannot encode .*preset=quick"):
        command(film, tmp_path / "b.mp4", preset="quick")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


# ---- mistakes


@pytest.mark.parametrize("words", [[], ["in.png"]])
def test_other_words_are_a_mistake(command, no_loading, words):
    with pytest.raises(UserError, match="expected two paths"):
        command(*words)


def test_a_package_without_its_data_files_is_told(command, no_loading, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"no weights are shipped in .*: name some by --weights"):
        command("in.png", "out.png", weights=None)


@pytest.mark.parametrize("name", ["out.xyz", "out"])
def test_an_unknown_output_format_is_told_before_work(command, no_loading, tmp_path, name):
    source = write(tmp_path / "a.png", 4, 4)
    with pytest.raises(UserError, match=r"cannot write .* use one of \.png"):
        command(source, tmp_path / name)


def test_mistakes_in_options_are_told_before_work(command, no_loading, tmp_path):
    source = write(tmp_path / "a.png", 4, 4)
    for options, told in [
        ({"scale": 2, "width": 9}, "give one of --scale"),
        ({"fit": "big"}, "as in --fit 3840x2160"),
        ({"tile": "4"}, "--tile 4: give auto, 0, or"),
        ({"tile": "large"}, "--tile large: give auto"),
        ({"format": "xyz"}, "--format xyz: use one of png, jpg"),
    ]:
        with pytest.raises(UserError, match=told):
            command(source, tmp_path / "b.png", **options)
    assert not (tmp_path / "b.png").exists()


def test_the_source_is_never_overwritten(command, no_loading, tmp_path):
    source = write(tmp_path / "a.png", 4, 4)
    before = source.read_bytes()
    (tmp_path / "link.png").symlink_to(source)
    for target in (source, tmp_path, tmp_path / "link.png", tmp_path / "." / "a.png"):
        with pytest.raises(UserError, match="is the picture itself"):
            command(source, target)
    for target in (tmp_path, tmp_path / "inside"):
        with pytest.raises(UserError, match="the pictures to work on: name another OUT"):
            command(tmp_path, target)
    assert source.read_bytes() == before


def test_a_missing_source_is_told_before_the_weights_are_read(command, no_loading, tmp_path):
    with pytest.raises(UserError, match=r"absent\.png: no such file"):
        command(tmp_path / "absent.png", tmp_path / "out.png")
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="no pictures in it"):
        command(tmp_path / "in", tmp_path / "out")


def test_missing_weights_are_told(command, tmp_path):
    source = write(tmp_path / "a.png", 4, 4)
    with pytest.raises(UserError, match="no weights at"):
        command(source, tmp_path / "out.png", weights=str(tmp_path / "absent"))


def test_the_command_exits_with_1_when_some_failed(weights_file, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 4)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    words = ["-m", "jsr.upscale", "in", "out", "--weights", str(weights_file)]
    run = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1, run.stderr
    assert "in/b.png" in run.stderr and "Traceback" not in run.stderr
    assert (tmp_path / "out/a.png").exists()


# ---- arrays


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 2), (5, 6, 3), (5, 6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_keep_their_shape_and_type(network, shape, dtype):
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    array = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    sr = upscale.upscale(array, network)
    assert isinstance(sr, np.ndarray)
    assert sr.shape == (10, 12, *shape[2:])
    assert sr.dtype == (np.float32 if top == 1 else dtype)
    assert sr.min() >= 0 and sr.max() <= top


def test_arrays_are_what_the_network_gives(network, weights_file):
    lr = random_picture(9, 8).pixels
    expected = network(lr)
    np.testing.assert_array_equal(upscale.upscale(lr, network), expected)
    np.testing.assert_array_equal(upscale.upscale(lr, str(weights_file)), expected)
    model = upscale.open_model(weights_file, TargetSize(width=30), tile=8)
    assert upscale.upscale(lr, model).shape == (34, 30, 3)


def test_jax_arrays_give_jax_arrays(network):
    lr = random_picture(9, 8).pixels
    sr = upscale.upscale(jnp.asarray(lr), network)
    assert isinstance(sr, jax.Array) and sr.dtype == jnp.uint8
    np.testing.assert_array_equal(sr, network(lr))
    half = upscale.upscale(jnp.asarray(lr / 255, jnp.bfloat16), network)
    assert half.dtype == jnp.float32


def test_calling_again_compiles_nothing(network, monkeypatch):
    lr = random_picture(9, 8).pixels
    upscale.upscale(lr, network)
    from jsr.tiled_network import TiledNetwork

    monkeypatch.setattr(TiledNetwork, "_compile", None)
    upscale.upscale(lr, network)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.int32),
        np.zeros((4, 4, 3), bool),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_other_arrays_are_refused(network, array):
    with pytest.raises(ValueError, match=r"array must be \[h, w\] or \[h, w, 1 to 4\]"):
        upscale.upscale(array, network)
