"""Clips: frames that go together, in batches, scores and configs."""

import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from jsr.atlas import Atlas, cut
from jsr.clips import ByClip, inner_frames, list_clips, list_windows
from jsr.config_rules import check_config
from jsr.datasets import Photos
from jsr.errors import UserError
from jsr.methods import Method
from jsr.orientations import orient
from jsr.pipeline import Pairs, batches, draw, make_batch
from jsr.resize import downscale

NAMES = ["a/0", "a/1", "a/2", "b/0", "b/1", "c/0", "c/1", "c/2", "c/3"]


def frames(sizes=((24, 28),) * 3 + ((30, 24),) * 2 + ((24, 24),) * 4) -> Photos:
    noise = runs.noise_photos(sizes)
    return Photos(NAMES, noise.sizes, noise.read)


def test_the_pictures_of_a_folder_are_a_clip():
    assert list_clips(NAMES) == [range(0, 3), range(3, 5), range(5, 9)]
    assert list_clips([]) == [] and list_clips(["x", "y"]) == [range(0, 2)]
    assert list_windows(frames(), 2).tolist() == [0, 1, 3, 5, 6, 7]


def test_clips_shorter_than_a_window_are_left_out(caplog):
    assert list_windows(frames(), 3).tolist() == [0, 5, 6]
    [record] = caplog.records
    assert record.getMessage() == "1 of 3 clips are left out: under 3 frames"
    with pytest.raises(
        UserError, match=r"^c, the longest clip, has 4 frames, and examples are of 5"
    ):
        list_windows(frames(), 5)


def test_clips_that_cannot_be_cut_are_named():
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
