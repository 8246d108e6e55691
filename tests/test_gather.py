"""A training folder out of other folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import runs
import skimage.data
from PIL import Image
from scipy.fft import idctn

from jsr import gather
from jsr.datasets import image_folder
from jsr.errors import UserError
from jsr.images import picture_size
from jsr.near_duplicates import Signatures

CAT, ROCKET, COFFEE = (
    np.ascontiguousarray(picture[:300, :400])
    for picture in (skimage.data.chelsea(), skimage.data.rocket(), skimage.data.coffee())
)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def options(**changes):
    given = {"against": [], "tile": 100, "smallest": 60, "valid": 1, "test": 1}
    return SimpleNamespace(**given | changes)


@pytest.fixture
def folders(tmp_path):
    """Six photographs of noise in one folder; a cat and a large rocket in another."""
    rng = np.random.default_rng(0)
    for i in range(6):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8))
        coarse.resize((100, 80), Image.BICUBIC).save(_in(tmp_path / "noise", f"{i}.png"))
    save(tmp_path / "more" / "cat.png", CAT)
    save(tmp_path / "more" / "deep" / "rocket.png", ROCKET)
    return tmp_path


def _in(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def run(folders, *sources, **changes):
    target = folders / "out"
    gather.main([str(target), *(str(folders / s) for s in sources)], options(**changes))
    return target, json.loads((target / "report.json").read_text())


def test_what_is_large_is_cut_and_every_pixel_is_there(folders):
    target, fates = run(folders, "noise", "more")
    counts = [sum(f["fate"] == split for f in fates.values()) for split in ("valid", "test")]
    assert counts == [1, 1]
    name = next(n for n in fates if n.endswith(("cat.png", "rocket.png")) and _trains(fates[n]))
    tiles = sorted((target / "train").rglob(f"{name.rpartition('/')[2][:-4]}_*.png"))
    assert len(tiles) == 12  # 300x400 in tiles of about 100
    pixels = sum(np.asarray(Image.open(t), np.int64).sum() for t in tiles)
    assert pixels == (CAT if "cat" in name else ROCKET).sum(dtype=np.int64)
    assert len(list((target / "valid").rglob("*.png"))) == 1


def _trains(fate):
    return fate["fate"] == "train"


def test_the_folder_is_one_to_train_on(folders):
    target, _ = run(folders, "noise", "more")
    listed = [path.relative_to(target).as_posix() for path in target.rglob("*.png")]
    splits = image_folder.split_pictures(listed)
    assert {split: len(paths) > 0 for split, paths in splits.items()} == {
        "train": True,
        "valid": True,
        "test": True,
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x[:, ::-1],
        lambda x: np.clip(x * 0.8 + 20, 0, 255).astype(np.uint8),
        lambda x: np.asarray(Image.fromarray(x).resize((173, 131))),
    ],
    ids=["same", "mirrored", "paler", "smaller"],
)
def test_a_near_duplicate_of_a_benchmark_picture_is_left_out(folders, change):
    save(folders / "bench" / "x.png", change(CAT))
    target, fates = run(folders, "noise", "more", against=[str(folders / "bench")])
    assert fates["more/cat.png"]["fate"] == "left out: forbidden"
    assert not list(target.rglob("cat*"))
    assert not any(f["fate"].startswith("left") for n, f in fates.items() if "cat" not in n)


def test_of_two_that_are_alike_one_stays(folders):
    save(folders / "noise" / "again.png", np.asarray(Image.open(folders / "noise" / "3.png")))
    _, fates = run(folders, "noise")
    pair = [fates[f"noise/{name}.png"]["fate"] for name in ("3", "again")]
    assert sorted(p.startswith("left out: twin") for p in pair) == [False, True]


def test_of_several_that_are_alike_one_stays(folders):
    for i, name in enumerate("abc"):
        blend = (CAT * (1 - 0.06 * i) + COFFEE * (0.06 * i)).astype(np.uint8)
        save(folders / "alike" / f"{name}.png", blend)
    _, fates = run(folders, "noise", "alike")
    assert fates["alike/a.png"]["fate"] in gather.SPLITS
    for name in ("alike/b.png", "alike/c.png"):
        assert fates[name]["fate"] == "left out: twin"
        assert fates[name]["twin"][0] == "alike/a.png"


def test_photographs_to_train_on_may_have_the_names_of_those_that_must_not(folders, monkeypatch):
    monkeypatch.chdir(folders)
    _, fates = run(folders, "noise", "more", against=["more"])
    for name in ("more/cat.png", "more/deep/rocket.png"):
        assert fates[name]["fate"] == "left out: forbidden"
        assert fates[name]["forbidden"] == [name, 0, 1.0]


def test_photographs_are_shrunk_first_and_small_ones_left_out(folders):
    target, fates = run(folders, "noise", "more:4", "more:8", "more:301", smallest=70)
    assert {n for n, f in fates.items() if f["fate"] == "left out: small"} == {
        f"more-{number}/{name}" for number in (2, 3) for name in ("cat.png", "deep/rocket.png")
    }
    # A small one, though the first by name, does not stand for one that it is like.
    assert fates["more/cat.png"]["fate"] in gather.SPLITS
    assert [picture_size(path) for path in target.rglob("cat*.png")] == [(75, 100)]


@pytest.mark.parametrize(
    ("source", "label"), [(".", "noise"), ("deep/..", "noise"), ("..", "here")]
)
def test_a_folder_that_is_named_by_dots_has_its_own_name(tmp_path, monkeypatch, source, label):
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 256, (8, 10, 3), np.uint8)
        save(tmp_path / "here" / "noise" / f"{i}.png", noise)
    (tmp_path / "here" / "noise" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "here" / "noise")
    gather.main([str(tmp_path / "out"), source], options(smallest=8))
    fates = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {Path(name).parts[0] for name in fates} == {label}
    assert not list((tmp_path / "here").rglob("*_0_0.png"))
    listed = [path.relative_to(tmp_path / "out").parts for path in tmp_path.rglob("*_0_0.png")]
    assert len(listed) == 6 and {parts[:2] for parts in listed} == {
        (split, label) for split in gather.SPLITS
    }


def test_pictures_that_differ_by_their_suffix_alone_all_have_tiles(folders):
    """And what is called alike has its usual names."""
    for name, pixels in (("cat.jpg", COFFEE), ("cat-2.png", ROCKET[:, ::-1] // 2)):
        save(folders / "more" / name, pixels)
    shutil.rmtree(folders / "more" / "deep")
    target, fates = run(folders, "more", "noise", tile=1000)
    assert all(not fate["fate"].startswith("left out") for fate in fates.values())
    found = {path.name: np.asarray(Image.open(path)) for path in target.rglob("cat*.png")}
    assert sorted(found) == ["cat-2_0_0.png", "cat-3_0_0.png", "cat_0_0.png"]
    assert np.array_equal(found["cat-3_0_0.png"], CAT)
    assert np.array_equal(found["cat-2_0_0.png"], ROCKET[:, ::-1] // 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out"], "expected a new folder"),
        (["out", "nowhere"], "nowhere is no folder"),
        (["noise", "more"], "is there already"),
    ],
)
def test_mistakes_are_told(folders, words, message):
    with pytest.raises(UserError, match=message):
        gather.main([str(folders / word) for word in words], options())
    assert not (folders / "out").exists()


@pytest.mark.parametrize("flag", ["--tile=0", "--smallest=0", "--valid=-1", "--test=-1"])
def test_numbers_that_cannot_be_are_told(folders, flag):
    words = [sys.executable, "-m", "jsr.gather", str(folders / "out"), str(folders / "more"), flag]
    run = subprocess.run(words, cwd=runs.ROOT, capture_output=True, text=True)
    assert run.returncode == 2 and not (folders / "out").exists()
    assert run.stderr.startswith(f"error: flag {flag}: ") and run.stderr.count("\n") == 1


def test_too_few_photographs_are_told_and_nothing_is_left(folders):
    with pytest.raises(UserError, match="only 2 photographs are left"):
        run(folders, "more", valid=3, test=3)
    assert not (folders / "out").exists() and not (folders / ".out.partial").exists()


def test_unlike_pictures_are_told_apart():
    one = Signatures([("cat", CAT), ("rocket", ROCKET)])
    found = one.nearest(one)  # but for itself
    assert {name: [like.second for like in likes] for name, likes in found.items()} == {
        "cat": ["rocket"],
        "rocket": ["cat"],
    }
    assert not any(like.near for likes in found.values() for like in likes)
    (like,) = one.nearest(Signatures([("coffee", COFFEE), ("cat", CAT)]))["cat"]
    assert like == ("cat", "cat", 0, pytest.approx(1))
    alone = Signatures([("cat", CAT)])
    assert alone.nearest(alone) == {"cat": []} == alone.nearest(Signatures([]))


def test_what_is_near_by_one_measure_is_told_before_what_is_almost_by_both():
    signs = np.random.default_rng(0).permutation(np.tile([1.0, -1.0], 27))
    weak = np.tile([0.05, -0.05], 5)  # a little is enough to turn these
    low, turned = (np.append(first, signs).reshape(8, 8) for first in (weak, -weak))

    def draw(low, place):
        spectrum = np.zeros((32, 32))
        spectrum[1:9, 1:9] = low
        spectrum[place[:2]] = place[2]
        pixels = np.round(128 + 60 * idctn(spectrum, norm="ortho"))
        return np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=2)

    one = Signatures([("one", draw(low, (0, 0, 0)))])
    same_hash, almost = draw(low, (0, 1, 10.0)), draw(turned, (20, 20, 2.7))
    (like,) = one.nearest(Signatures([("almost", almost)]))["one"]
    assert not like.near and like.correlation - like.bits / 50 > 0.7
    (like,) = one.nearest(Signatures([("almost", almost), ("same", same_hash)]))["one"]
    assert like.second == "same" and like.near and like.correlation < 0.7
