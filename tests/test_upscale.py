"""`python -m jsr.upscale`: pictures of every kind and size, folders, and refusals before work."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jsr import resize, upscale
from jsr.errors import PartlyDone, UserError
from jsr.images import Picture, read_picture, write_picture
from jsr.models import make_model
from jsr.weights import load_network, save_network

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """An untrained x2 network: near the enlargement that it corrects."""
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    hparams = {"scale": 2, "features": 4, "blocks": 1, "tail": "light", "base": "bicubic"}
    module = make_model("msrresnet", **hparams)
    variables = module.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    facts = {"model": "msrresnet", "hparams": hparams, "scale": 2, "channels": "rgb"}
    save_network(path, variables, {**facts, "protocol": "y", "licence": "", "data": "none"})
    return path


@pytest.fixture(scope="module")
def network(weights_file):
    return load_network(weights_file)


@pytest.fixture
def command(weights_file):
    def run(*words, weights=str(weights_file)):
        upscale.main([str(word) for word in words], SimpleNamespace(weights=weights))

    return run


@pytest.fixture
def no_loading(monkeypatch):
    def fail(_):
        raise AssertionError("the weights were loaded before the mistake was told")

    monkeypatch.setattr(upscale, "load_network", fail)


def random_picture(height, width, channels=3, **more) -> Picture:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)
    return Picture(pixels, **{"alpha": None, "icc": None, "dpi": None, "exif": None, **more})


def write(path: Path, *args, **more) -> Path:
    write_picture(path, random_picture(*args, **more))
    return path


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 9)])
def test_any_size_grows_by_the_scale(network, size):
    picture = random_picture(*size)
    sr = upscale.upscale(picture, network)
    assert sr.pixels.shape == (2 * size[0], 2 * size[1], 3)
    np.testing.assert_array_equal(sr.pixels, network(picture.pixels))
    assert sr.alpha is None


def test_gray_goes_through_the_network_and_comes_back_gray(network):
    picture = random_picture(6, 8, channels=1)
    sr = upscale.upscale(picture, network).pixels
    assert sr.shape == (12, 16, 1)
    rgb = network(np.repeat(picture.pixels, 3, axis=-1)).astype(np.float64)
    assert np.abs(sr[..., 0] - rgb.mean(-1)).max() <= 0.5


def test_alpha_is_enlarged_bicubically_and_metadata_stay(network):
    alpha = np.random.default_rng(3).integers(0, 256, (6, 8), np.uint8)
    picture = random_picture(6, 8, alpha=alpha, dpi=(300.0, 300.0), icc=b"profile", exif=b"exif")
    sr = upscale.upscale(picture, network)
    np.testing.assert_array_equal(sr.alpha, resize.imresize(alpha, scale=2))
    assert (sr.dpi, sr.icc, sr.exif) == (picture.dpi, picture.icc, picture.exif)


def test_weights_that_give_nan_are_told(network):
    broken = jax.tree.map(lambda a: a * np.nan, network.variables)
    network = type(network)(network.module, broken, network.facts)
    with pytest.raises(UserError, match="not finite: use other weights"):
        upscale.upscale(random_picture(4, 4), network)


def test_a_file_into_a_file(command, network, tmp_path):
    source = write(tmp_path / "a.png", 7, 5)
    command(source, tmp_path / "new" / "big.png")
    expected = network(read_picture(source).pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "new/big.png").pixels, expected)


def test_a_file_into_a_folder(command, tmp_path):
    source = write(tmp_path / "a.png", 7, 5)
    (tmp_path / "there").mkdir()
    command(source, tmp_path / "there")
    command(source, f"{tmp_path}/new/")
    for folder in ("there", "new"):
        assert read_picture(tmp_path / folder / "a.png").pixels.shape == (14, 10, 3)


def test_a_folder_is_mirrored(command, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 6)
    write(tmp_path / "in" / "deep" / "er" / "b.jpg", 5, 3)
    write(tmp_path / "in" / "c.webp", 3, 3)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    command(tmp_path / "in", tmp_path / "out")
    sizes = {
        path.relative_to(tmp_path / "out").as_posix(): read_picture(path).pixels.shape[:2]
        for path in (tmp_path / "out").rglob("*.*")
    }
    assert sizes == {"a.png": (8, 12), "deep/er/b.jpg": (10, 6), "c.webp": (6, 6)}


def test_a_bad_file_is_named_and_the_others_are_done(command, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 4)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    write(tmp_path / "in" / "c.png", 4, 4)
    with pytest.raises(PartlyDone) as caught:
        command(tmp_path / "in", tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {tmp_path}/in/b.png: is not a picture")
    assert lines[1] == "2 of 3 enlarged"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_nothing_but_bad_files_is_a_mistake(command, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    with pytest.raises(UserError, match="none of the 2 pictures could be enlarged") as caught:
        command(tmp_path / "in", tmp_path / "out")
    assert "a.png" in str(caught.value) and "b.png" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["in.png"], ["in.png", "out.png", "more.png"]])
def test_other_words_are_a_mistake(command, no_loading, words):
    with pytest.raises(UserError, match="expected two paths"):
        command(*words)


def test_weights_must_be_named(command, no_loading):
    with pytest.raises(UserError, match="--weights is missing"):
        command("in.png", "out.png", weights=None)


@pytest.mark.parametrize("name", ["out.xyz", "out", "out.gif"])
def test_an_unknown_output_format_is_told_before_work(command, no_loading, tmp_path, name):
    source = write(tmp_path / "a.png", 4, 4)
    with pytest.raises(UserError, match=r"cannot write .* use one of \.png"):
        command(source, tmp_path / name)


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


def test_a_folder_into_a_file_is_a_mistake(command, no_loading, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 4)
    target = write(tmp_path / "out.png", 4, 4)
    with pytest.raises(UserError, match="is a folder, but"):
        command(tmp_path / "in", target)


def test_a_missing_source_and_missing_weights_are_told(command, tmp_path):
    with pytest.raises(UserError, match=r"absent\.png: no such file"):
        command(tmp_path / "absent.png", tmp_path / "out.png")
    source = write(tmp_path / "a.png", 4, 4)
    with pytest.raises(UserError, match="no weights at"):
        command(source, tmp_path / "out.png", weights=str(tmp_path / "absent"))


def test_an_empty_folder_is_told(command, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="no pictures in it"):
        command(tmp_path / "in", tmp_path / "out")


def test_the_command_exits_with_1_when_some_failed(weights_file, tmp_path):
    write(tmp_path / "in" / "a.png", 4, 4)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    words = ["-m", "jsr.upscale", "in", "out", "--weights", str(weights_file)]
    run = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1, run.stderr
    assert "in/b.png" in run.stderr and "Traceback" not in run.stderr
    assert (tmp_path / "out/a.png").exists()
