"""Clips that lie as folders of frames, or as films, and a run on them."""

import json
import os

import numpy as np
import pytest
from films import damaged_film, moving, write_clip, write_film
from PIL import Image

from jsr.clips import list_clips
from jsr.datasets import SPLITS, open_photos
from jsr.datasets.frames import order_frames
from jsr.errors import UserError
from jsr.methods import from_network
from jsr.protocols import get_protocol
from jsr.scoring import evaluate
from jsr.train import train
from jsr.weights import load_network


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    for split, clip in (("train", "x"), ("train", "y"), ("valid", "v"), ("test", "t")):
        write_clip(tmp_path / "films" / split / clip)
    return tmp_path / "films"


def test_folders_of_frames(root):
    photos = open_photos("clips", "train", str(root))
    # By their numbers: frame10 comes after frame9.
    assert photos.names == [f"train/{clip}/{i:06d}" for clip in "xy" for i in range(3)]
    for i, frame in enumerate(moving(3, 24, 32)):
        np.testing.assert_array_equal(photos[i], frame)
    assert photos.sizes.tolist() == [[24, 32]] * 6
    assert open_photos("clips", "test", str(root)).names[0] == "test/t/000000"


def test_clips_of_test_alone_can_be_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    write_clip(tmp_path / "films" / "test" / "t")
    assert len(open_photos("clips", "test", str(tmp_path / "films"))) == 3
    with pytest.raises(UserError, match="test/ but no train/ with clips beside it"):
        open_photos("clips", "train", str(tmp_path / "films"))


def test_a_split_may_be_one_clip(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    for split in SPLITS:
        write_clip(tmp_path / "films" / split)
    for split in SPLITS:
        names = open_photos("clips", split, str(tmp_path / "films")).names
        assert names == [f"{split}/{i:06d}" for i in range(3)]


@pytest.mark.parametrize(
    ("hr", "lr"),
    [
        ("train_sharp/{}", "train_sharp_bicubic/X4/{}"),
        ("GT/{}", "BIx4/{}"),
        ("{}/truth", "{}/lr"),
    ],
)
def test_lr_is_not_taken_for_hr(tmp_path, monkeypatch, hr, lr):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    films = tmp_path / "films"
    for number, clip in enumerate(("000", "001", "002")):
        write_clip(films / hr.format(clip), turn=number)
        # Another film of half the size is a clip like any other.
        write_clip(films / "small" / clip, height=12, width=16, turn=number + 1)
    assert len(open_photos("clips", "train", str(films))) == 3 * 4
    for number, clip in enumerate(("000", "001", "002")):
        write_clip(films / lr.format(clip), turn=number, scale=4)
    with pytest.raises(UserError) as caught:
        open_photos("clips", "train", str(films))
    here, there = lr.format("000"), hr.format("000")
    assert f"films: {here} is {there} made smaller, and LR is made here" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_film_is_cut_where_the_shot_changes(root):
    dark = [frame // 8 for frame in moving(18, 24, 32)]
    film = [*moving(20, 24, 32), *moving(3, 24, 32), *dark]
    film[20:23] = [255 - frame for frame in film[20:23]]
    write_film(root / "train" / "film.mkv", film)
    photos = open_photos("clips", "train", str(root))
    clips = list_clips(photos.names)
    assert [len(clip) for clip in clips] == [20, 18, 3, 3]
    assert photos.names[clips[1].start] == "train/film.mkv/shot-001/000023"
    # Chroma is of half the size in the film.
    assert np.abs(photos[5].astype(int) - film[5]).mean() < 3
    assert np.abs(photos[25].astype(int) - film[28]).mean() < 3


def test_bad_folders(root, tmp_path):
    def complain(match, folder=root):
        with pytest.raises(UserError, match=match) as caught:
            open_photos("clips", "train", folder and str(folder))
        assert "\n" not in str(caught.value)

    os.remove(root / "train" / "x" / "frame9.png")
    complain(r"/x: 1 frame\(s\) missing between frame8.png and frame10.png: put them there")
    os.remove(root / "train" / "x" / "frame10.png")
    complain(r"^train/x \(train\) has one frame: a clip has two or more; take it out$")
    Image.new("RGB", (30, 24)).save(root / "train" / "x" / "frame9.png")
    complain("^train/x: changes from 24x32 to 24x30 pixels at train/x/000001: cut it there")
    Image.new("RGB", (30, 24)).save(root / "train" / "x" / "b9.png")
    complain("b9.png and frame9.png are both frame 9")
    complain("clips needs data_dir", None)
    complain("is no folder", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    complain("has neither folders of frames nor films in it", tmp_path / "empty")
    write_clip(tmp_path / "loose" / "a")
    complain("there are 1 clips for the splits train, valid, test", tmp_path / "loose")
    Image.new("RGB", (30, 24)).save(tmp_path / "loose" / "0.png")
    complain(
        "has frames beside one another: put those of each clip in a folder", tmp_path / "loose"
    )


def test_frames_without_numbers_go_by_their_names(tmp_path):
    for name in ("b", "a"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    paths = list(tmp_path.iterdir())
    assert [path.name for path in order_frames(paths)] == ["a.png", "b.png"]


def test_bad_films(root):
    film = write_film(root / "train" / "one.mkv", list(moving(1, 24, 32)))
    with pytest.raises(UserError, match=r"^train/one.mkv/shot-000 \(train\) has one frame"):
        open_photos("clips", "train", str(root))
    flashes = [np.full((24, 32, 3), 250 * (i // 4 % 2), np.uint8) for i in range(12)]
    write_film(film, flashes)
    with pytest.raises(UserError, match="has 3 shots, none of 16 frames or more: take it out"):
        open_photos("clips", "train", str(root))
    film.write_bytes(b"no film")
    with pytest.raises(UserError, match=r"one.mkv: is not a film that can be read"):
        open_photos("clips", "train", str(root))


def test_interlaced_films_are_refused_and_damaged_ones_told(root, caplog):
    damaged_film(root / "train" / "film.mkv")
    photos = open_photos("clips", "train", str(root))
    assert sum(name.startswith("train/film.mkv/") for name in photos.names) >= 20
    [line] = [record.getMessage() for record in caplog.records]
    assert "film.mkv: " in line and "packets or frames are damaged, and were concealed" in line
    options = {"x264-params": "interlaced=1:tff=1"}
    write_film(root / "train" / "film.mkv", codec="libx264", options=options)
    with pytest.raises(UserError, match=r"film.mkv: is interlaced, .*: deinterlace it first$"):
        open_photos("clips", "train", str(root))


def test_a_run_on_clips(root, tmp_path):
    from configs import video

    config = video.get_config("clips,smoke")
    config.data.dir, config.data.patch, config.data.resident = str(root), 4, 0.5
    table = train(config, tmp_path / "run")
    assert "warping error" in table and "test/t/000002" in table
    rows = json.loads((tmp_path / "run" / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["bicubic", "nearest", "lanczos", "pixel stage"]
    assert all(0 < row["warping_error"] < 0.1 and row["dataset"] == "clips" for row in rows)
    network = load_network(tmp_path / "run")
    assert network.takes_clips
    # The table is of whole clips, with a past.
    photos = open_photos("clips", "test", str(root))
    method = from_network("rrn", tmp_path / "run" / "best.safetensors", network)
    protocol = get_protocol("y")
    produce = method.over(photos, protocol, 4, "symmetric")
    again = evaluate("rrn", produce, photos, "clips", 4, protocol)
    assert again["psnr"] == rows[-1]["psnr"]
    alone = evaluate("rrn", method.produce, photos, "clips", 4, protocol)
    assert alone["psnr"] != again["psnr"]
    with pytest.raises(UserError, match="enlarges films by 4, each frame whole and as it is"):
        method.over(photos, protocol, 2, "symmetric")
