"""Clips: frames that go together, from folders and films to batches and scores."""

import json
import os
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from films import moving, write_film
from PIL import Image

from jsr.atlas import Atlas, cut
from jsr.clips import ByClip, inner_frames, list_clips, list_windows
from jsr.config_rules import check_config
from jsr.datasets import SPLITS, Photos, open_photos
from jsr.datasets.frames import order_frames
from jsr.errors import UserError
from jsr.methods import Method, from_network
from jsr.orientations import orient
from jsr.pipeline import Pairs, batches, draw, make_batch
from jsr.protocols import get_protocol
from jsr.resize import downscale
from jsr.scoring import evaluate
from jsr.train import train
from jsr.weights import load_network

NAMES = ["a/0", "a/1", "a/2", "b/0", "b/1", "c/0", "c/1", "c/2", "c/3"]


def frames(sizes=((24, 28),) * 3 + ((30, 24),) * 2 + ((24, 24),) * 4) -> Photos:
    noise = runs.noise_photos(sizes)
    return Photos(NAMES, noise.sizes, noise.read)


def test_the_pictures_of_a_folder_are_a_clip():
    assert list_clips(NAMES) == [range(0, 3), range(3, 5), range(5, 9)]
    assert list_clips([]) == [] and list_clips(["x", "y"]) == [range(0, 2)]
    assert list_windows(frames(), 2).tolist() == [0, 1, 3, 5, 6, 7]


def test_clips_that_cannot_be_cut_are_named():
    with pytest.raises(UserError, match=r"^b has 2 frames, and examples are of 3: take it out.*$"):
        list_windows(frames(), 3)
    sizes = ((24, 28),) * 3 + ((30, 24),) * 2 + ((24, 24),) * 3 + ((24, 20),)
    with pytest.raises(UserError, match=r"^c: changes from 24x24 to 24x20 pixels at c/3: cut"):
        list_windows(frames(sizes), 2)
    assert inner_frames(NAMES, 0) == list(range(9))
    with pytest.raises(UserError, match=r"^b has 2 frames, and the protocol leaves out 1 at each"):
        inner_frames(NAMES, 1)
    assert inner_frames(NAMES[5:], 1) == [1, 2]


# Batches


def test_a_clip_is_one_crop_of_every_frame_turned_alike():
    photos = frames()
    pairs = Pairs(photos, 2, 10**8, frames=2)
    batch = make_batch(pairs, 3, 5, np.arange(6), 8)
    assert batch["lr"].shape == (6, 2, 8, 8, 3) and batch["hr"].shape == (6, 2, 16, 16, 3)
    starts = list_windows(photos, 2)
    sizes = np.asarray(photos.sizes)[starts] // 2
    for i, (window, top, left, turn) in enumerate(
        zip(*draw(3, 5, np.arange(6), *sizes.T, 8), strict=True)
    ):
        for t in range(2):
            hr = photos[int(starts[window]) + t]
            lr = downscale(hr, 2)[top : top + 8, left : left + 8]
            np.testing.assert_array_equal(batch["lr"][i, t], orient(lr, turn))
            part = hr[2 * top : 2 * top + 16, 2 * left : 2 * left + 16]
            np.testing.assert_array_equal(batch["hr"][i, t], orient(part, turn))
    streamed = next(batches(pairs, 3, 6, 8, 5, 6, threads=0))
    np.testing.assert_array_equal(streamed["hr"], batch["hr"])


@pytest.mark.parametrize("shards", [1, 2])
def test_the_device_cuts_the_same_clips(shards):
    pairs = Pairs(frames(), 2, 10**8, frames=2)
    whole = Atlas(pairs, shards)
    crops = whole.crops(3, np.array([5]), np.arange(6), 8)[0]
    assert crops.shape == (6, 2, 4)
    expected = make_batch(pairs, 3, 5, np.arange(6), 8)
    total = {"lr": 0, "hr": 0}
    for shard in range(shards):
        canvases = jax.tree.map(jnp.asarray, whole.paint(shard))
        part = cut(canvases, crops, 8, 3)
        mine = (crops[..., 0] == shard)[..., None, None, None]
        total = {name: total[name] + jnp.where(mine, part[name], 0) for name in total}
    for name, batch in expected.items():
        np.testing.assert_array_equal(total[name], batch)


def test_lr_of_video():
    pairs = Pairs(frames(), 2, 10**8, lr="bd")
    lr, hr = pairs[0]
    assert lr.shape == (12, 14, 3) and lr.dtype == np.uint8
    assert np.abs(lr.astype(int) - downscale(hr, 2)).max() > 10


# Scores


def test_a_clip_is_enlarged_once_whoever_asks():
    made = []

    def enlarge(lrs):
        made.append(list(lrs))
        for lr in made[-1]:
            yield 10 * lr

    class Item:
        def __init__(self, index):
            self.index, self.lr = index, index

    produce = ByClip(enlarge, NAMES, Item)
    got = {}
    threads = [
        threading.Thread(target=lambda i=i: got.update({i: produce(Item(i))})) for i in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: 10 * i for i in range(5)} and sorted(made) == [[0, 1, 2], [3, 4]]
    assert produce(Item(8)) == 80 and produce(Item(0)) == 0 and len(made) == 4


# Configs


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"frames": 1}, "data.frames is 1, but rrn enlarges films: set it to 2 or more"),
        ({"frames": 0}, "data.frames is 0"),
        ({"lr": "files"}, "data.lr is 'files': expected one of symmetric, bd"),
    ],
)
def test_wrong_configs(changes, line):
    from configs import video

    config = video.get_config()
    config.data.update(changes)
    with pytest.raises(UserError, match=line):
        check_config(config)


def test_frames_are_for_networks_of_film_and_the_pixel_loss():
    from configs import srgan, video

    config = srgan.get_config()
    config.data.frames = 3
    with pytest.raises(UserError, match=r"data.frames is 3, but msrresnet enlarges pictures"):
        check_config(config)
    config = video.get_config()
    config.stages = ("pixel", "gan")
    with pytest.raises(UserError, match="which the pixel loss alone takes"):
        check_config(config)


# Folders and films


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    for split, clip in (("train", "x"), ("train", "y"), ("valid", "v"), ("test", "t")):
        write_clip(tmp_path / "films" / split / clip)
    return tmp_path / "films"


def write_clip(folder, count=3, height=24, width=32):
    folder.mkdir(parents=True)
    for i, frame in enumerate(moving(count, height, width)):
        Image.fromarray(frame).save(folder / f"frame{i + 8}.png")


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


def test_a_network_of_film_is_not_scored_on_pictures_that_are_no_film(tmp_path):
    network = types.SimpleNamespace(takes_clips=True, scale=4)
    method = Method("rrn", None, network=network)
    photos = types.SimpleNamespace(names=["a", "b"], sizes=np.full((2, 2), 8))
    with pytest.raises(UserError, match="rrn enlarges films, and a is in no clip's folder"):
        method.over(photos, None, 4, "symmetric")
    # A folder of frames alone is a clip, where it was opened as one.
    network.enlarge_clip = None
    photos.clip = "film"
    assert callable(method.over(photos, None, 4, "symmetric"))
    photos.sizes[1] = 6
    with pytest.raises(UserError, match=r"^film: changes from 8x8 to 6x6 pixels at b: cut"):
        method.over(photos, None, 4, "symmetric")
