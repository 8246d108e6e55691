import subprocess
import sys
import textwrap
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from runs import noise_photos

from jsr import pipeline
from jsr.datasets import Photos
from jsr.errors import UserError
from jsr.orientations import orient, restore
from jsr.pipeline import Pairs, batches, draw, make_batch, random_words, scale_of_step
from jsr.protocols import get_protocol
from jsr.resize import downscale
from jsr.scoring import read_item

HEIGHTS = np.array([24, 40, 31, 100, 24], np.int32)
WIDTHS = np.array([24, 25, 60, 77, 300], np.int32)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def chi_square(values: np.ndarray, cells: int) -> float:
    """Standard deviations above the mean of chi-square for a uniform choice among the cells."""
    counts = np.bincount(values, minlength=cells)
    expected = len(values) / cells
    statistic = ((counts - expected) ** 2 / expected).sum()
    return (statistic - (cells - 1)) / np.sqrt(2 * (cells - 1))


# --- draw ---


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_numpy_and_jax_draw_the_same(seed):
    index = np.arange(3000)
    jitted = jax.jit(draw, static_argnums=5)
    for step in (0, 7, 2**32 - 1):
        host = draw(seed, step, index, HEIGHTS, WIDTHS, 24)
        device = draw(seed, step, jnp.asarray(index), jnp.asarray(HEIGHTS), jnp.asarray(WIDTHS), 24)
        traced = jitted(jnp.uint32(seed), jnp.uint32(step), index, HEIGHTS, WIDTHS, 24)
        for ours, theirs, also in zip(host, device, traced, strict=True):
            assert isinstance(ours, np.ndarray)
            assert isinstance(theirs, jax.Array)
            assert ours.dtype == theirs.dtype == also.dtype == np.int32
            assert np.array_equal(ours, theirs)
            assert np.array_equal(ours, also)


def test_a_draw_does_not_depend_on_the_draws_beside_it():
    many = draw(3, 5, np.arange(100), HEIGHTS, WIDTHS, 24)
    for i in (0, 17, 99):
        assert draw(3, 5, i, HEIGHTS, WIDTHS, 24) == tuple(word[i] for word in many)


def test_random_words_are_threefry():
    index = np.arange(50, dtype=np.uint32)
    x, y, z, w = random_words(7, 2**32 - 1, index, 3)
    key = jnp.array([7, 2**32 - 1], jnp.uint32)
    for stream, ours in ((6, (x, y)), (7, (z, w))):
        counters = np.concatenate([index, np.full_like(index, stream)])
        assert np.array_equal(np.concatenate(ours), threefry_2x32(key, jnp.asarray(counters)))


def test_draws_stay_what_they_were():
    """A run that is resumed with another version of the code must see the same crops."""
    crops = np.stack(draw(0, 1000, np.arange(3), HEIGHTS, WIDTHS, 24), axis=1)
    assert crops.tolist() == [[2, 3, 24, 1], [3, 3, 52, 3], [2, 1, 9, 7]]


def test_draws_stay_in_range_and_reach_every_border():
    image, top, left, orientation = draw(0, 0, np.arange(100_000), HEIGHTS, WIDTHS, 24)
    assert set(image) == set(range(5))
    assert set(orientation) == set(range(8))
    for i in range(5):
        assert set(top[image == i]) == set(range(HEIGHTS[i] - 24 + 1))
        assert set(left[image == i]) == set(range(WIDTHS[i] - 24 + 1))


@pytest.mark.parametrize("vary", ["seed", "step", "index"])
def test_draws_are_uniform_and_independent_along_every_counter(vary):
    counters = dict.fromkeys(("seed", "step", "index"), 11) | {vary: np.arange(80_000)}
    sizes = np.full(7, 33, np.int32)
    image, top, left, orientation = draw(
        counters["seed"], counters["step"], counters["index"], sizes, sizes, 24
    )
    for values, cells in (
        (image, 7),
        (top, 10),
        (left, 10),
        (orientation, 8),
        (image * 8 + orientation, 56),
        (top * 10 + left, 100),
        (image[1:] * 7 + image[:-1], 49),
        (top[1:] * 10 + top[:-1], 100),
    ):
        assert chi_square(values, cells) < 5


def test_seeds_and_steps_and_streams_differ():
    index = np.arange(1000)
    base = random_words(1, 1, index, 0)
    for other in ((2, 1, 0), (1, 2, 0), (1, 1, 1)):
        seed, step, stream = other
        words = random_words(seed, step, index, stream)
        assert not any((a == b).mean() > 0.01 for a, b in zip(base, words, strict=True))


# --- orientations ---


def test_the_eight_orientations_are_the_eight_symmetries_of_the_square():
    image = np.arange(12).reshape(2, 2, 3)
    square = np.arange(9).reshape(3, 3, 1)
    turned = {orient(square, o).tobytes() for o in range(8)}
    known = {
        np.rot90(flipped, k).tobytes() for k in range(4) for flipped in (square, square[:, ::-1])
    }
    assert turned == known
    assert len(turned) == 8
    assert np.array_equal(orient(image, 0), image)


def test_orientations_are_undone():
    image = np.arange(30).reshape(2, 5, 3)
    for o in range(8):
        assert np.array_equal(restore(orient(image, o), o), image)


def test_lr_and_hr_show_the_same_place_in_every_orientation():
    """On a slope, which a bicubic down-scale keeps, each LR pixel is the mean of its HR block."""
    y, x = np.mgrid[:200, :220]
    slope = np.stack([y, x, 220 - x], axis=-1).astype(np.uint8)
    photos = Photos(["slope"], np.array([[200, 220]], np.int32), lambda i: slope)
    scale, patch, count = 4, 10, 64
    batch = make_batch(Pairs(photos, scale, 1 << 30), 0, 0, np.arange(count), patch)
    _, top, left, orientation = draw(0, 0, np.arange(count), [50], [55], patch)
    inside = (np.minimum(top, left) >= 2) & (top <= 50 - patch - 2) & (left <= 55 - patch - 2)
    assert set(orientation[inside]) == set(range(8))
    blocks = batch["hr"].reshape(count, patch, scale, patch, scale, 3).mean(axis=(2, 4))
    assert np.abs(blocks - batch["lr"])[inside].max() < 1.01


# --- pairs and batches ---


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_crop_is_the_crop_of_the_whole_photo_and_of_its_lr_borders_included(scale):
    photos = noise_photos([(10 * scale + 1, 9 * scale), (8 * scale, 12 * scale + scale - 1)])
    pairs = Pairs(photos, scale, 1 << 30)
    assert pairs.heights.tolist() == [10, 8]
    assert pairs.widths.tolist() == [9, 12]
    index, patch = np.arange(300), 7
    batch = make_batch(pairs, 5, 9, index, patch)
    assert batch["lr"].shape == (300, patch, patch, 3)
    assert batch["hr"].shape == (300, patch * scale, patch * scale, 3)
    assert batch["lr"].dtype == batch["hr"].dtype == np.uint8
    touches = np.zeros(4, bool)
    for i, (image, top, left, o) in enumerate(
        zip(*draw(5, 9, index, pairs.heights, pairs.widths, patch), strict=True)
    ):
        hr = photos[image]
        lr = downscale(hr, scale)
        bottom, right = top + patch, left + patch
        touches |= [top == 0, left == 0, bottom == lr.shape[0], right == lr.shape[1]]
        lr = lr[top:bottom, left:right]
        hr = hr[top * scale : bottom * scale, left * scale : right * scale]
        for got, whole in ((batch["lr"][i], lr), (batch["hr"][i], hr)):
            assert np.array_equal(got, orient(whole, o))
    assert touches.all()


def test_pairs_of_luma_are_those_that_the_protocol_classic_scores():
    photos, scale, patch = noise_photos([(41, 36), (32, 52)]), 4, 7
    pairs = Pairs(photos, scale, 1 << 30, "y")
    for i in range(2):
        lr, hr = pairs[i]
        item = read_item(photos, i, scale, get_protocol("classic"), "symmetric")
        assert np.array_equal(hr, item.hr) and hr.dtype == np.uint8
        assert np.array_equal(lr, (item.lr / 255).astype(np.float32)) and lr.dtype == np.float32
    batch = make_batch(pairs, 5, 9, np.arange(4), patch)
    assert batch["lr"].shape == (4, patch, patch, 1)
    assert batch["hr"].shape == (4, patch * scale, patch * scale, 1)
    image, top, left, o = (
        word[0] for word in draw(5, 9, np.arange(4), pairs.heights, pairs.widths, patch)
    )
    lr = pairs[int(image)][0][top : top + patch, left : left + patch]
    assert np.array_equal(batch["lr"][0], orient(lr, o))


def test_the_lr_of_a_crop_is_not_made_from_the_crop_alone():
    photos = noise_photos([(48, 48)])
    batch = make_batch(Pairs(photos, 4, 1 << 30), 0, 0, np.arange(20), 6)
    again = np.stack([downscale(hr, 4) for hr in batch["hr"]])
    assert not np.array_equal(batch["lr"], again)


def test_pairs_decode_and_down_scale_once_while_the_cache_has_room(monkeypatch):
    read, scaled = [], []
    photos = noise_photos([(40, 40)] * 6)
    watched = Photos(
        photos.names, photos.sizes, lambda i, read=read: read.append(i) or photos.read(i)
    )
    monkeypatch.setattr(
        pipeline, "downscale", lambda hr, scale: scaled.append(hr) or downscale(hr, scale)
    )
    for cache_bytes, reads, scalings in (
        (1 << 30, 6, 6),
        (6 * 10 * 10 * 3, 18, 6),  # room for every LR, for no HR
        (0, 18, 18),
    ):
        read.clear()
        scaled.clear()
        pairs = Pairs(watched, 4, cache_bytes)
        for _ in range(3):
            for i in range(6):
                lr, hr = pairs[i]
                assert np.array_equal(hr, photos[i])
                assert np.array_equal(lr, downscale(photos[i], 4))
        assert (len(read), len(scaled)) == (reads, scalings)


def test_the_photo_used_last_stays_in_the_cache():
    read = []
    photos = noise_photos([(40, 40)] * 3)
    watched = Photos(
        photos.names, photos.sizes, lambda i, read=read: read.append(i) or photos.read(i)
    )
    pairs = Pairs(watched, 4, 3 * 10 * 10 * 3 + 2 * 40 * 40 * 3)
    for i in (0, 1, 0, 2, 0, 1):
        pairs[i]
    assert read == [0, 1, 2, 1]


def test_the_cache_keeps_to_its_bound():
    bound = 300_000
    sizes = np.array([[200, 200]] * 20, np.int32)
    photos = Photos(
        ["flat"] * 20, sizes, lambda i: np.full((200, 200, 3), i, np.uint8)
    )  # 120 kB each
    pairs = Pairs(photos, 4, bound)
    pairs[0]
    tracemalloc.start()
    for i in range(20):
        pairs[i]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < bound + 20_000


def test_many_threads_get_the_right_pairs_out_of_a_small_cache():
    photos = noise_photos([(16 + 4 * i, 20) for i in range(8)])
    pairs = Pairs(photos, 4, 3000)
    asked = np.random.default_rng(0).integers(0, 8, 2000)
    with ThreadPoolExecutor(8) as pool:
        for i, (lr, hr) in zip(asked, pool.map(pairs.__getitem__, asked), strict=True):
            assert hr.shape == (16 + 4 * i, 20, 3)
            assert np.array_equal(hr, photos[i])
            assert lr.shape == (4 + i, 5, 3)


def test_batches_are_the_same_from_wherever_they_start():
    pairs = Pairs(noise_photos([(40, 48), (64, 44)]), 4, 1 << 30)
    whole = list(batches(pairs, 3, 4, 8, 0, 12))
    assert len(whole) == 12
    for start, threads in ((0, 0), (5, 1), (11, 4), (12, 2)):
        part = list(batches(pairs, 3, 4, 8, start, 12, threads=threads))
        assert len(part) == 12 - start
        assert all(map(same, part, whole[start:]))
    assert not same(whole[0], whole[1])
    assert not same(whole[0], next(batches(pairs, 4, 4, 8, 0, 1)))


def test_each_step_of_several_scales_is_of_one_of_them():
    photos, scales = noise_photos([(40, 48), (64, 44)]), (2, 3, 4)
    drawn = scale_of_step(3, np.arange(60), scales)
    assert min(np.bincount(drawn)[2:]) > 10
    assert [int(scale_of_step(3, step, scales)) for step in range(60)] == drawn.tolist()
    assert drawn.tolist() != scale_of_step(4, np.arange(60), scales).tolist()
    for scale in scales:
        pairs, mine = Pairs(photos, scale, 1 << 30), np.flatnonzero(drawn == scale)
        made = batches(pairs, 3, 2, 8, 7, 60, scales=scales)
        for step in mine[mine >= 7]:
            assert same(next(made), make_batch(pairs, 3, step, np.arange(2), 8))
        assert next(made, None) is None


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_the_parts_of_several_processes_make_up_the_batch_of_one(processes):
    pairs = Pairs(noise_photos([(40, 48), (64, 44)]), 4, 1 << 30)
    whole = batches(pairs, 3, 6, 8, 0, 4)
    parts = [
        batches(pairs, 3, 6, 8, 0, 4, process=process, processes=processes)
        for process in range(processes)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert all(len(share["lr"]) == 6 // processes for share in shares)
        joined = {key: np.concatenate([share[key] for share in shares]) for key in batch}
        assert same(joined, batch)


def test_a_process_reads_the_photographs_of_its_examples_alone():
    photos = noise_photos([(40, 40)] * 12)
    drawn = draw(3, np.arange(4)[:, None], np.arange(6), *[np.full(12, 10)] * 2, 8)[0]
    for process in (0, 1):
        read: list[int] = []
        counting = Photos(
            photos.names, photos.sizes, lambda i, read=read: read.append(i) or photos.read(i)
        )
        pairs = Pairs(counting, 4, 0)
        [*batches(pairs, 3, 6, 8, 0, 4, process=process, processes=2, threads=0)]
        assert read == drawn[:, 3 * process : 3 * process + 3].ravel().tolist()


def test_mistakes_are_found_before_the_first_batch():
    pairs = Pairs(noise_photos([(40, 48), (64, 31), (36, 36)]), 4, 1 << 30)
    with pytest.raises(UserError, match="batch_size 5 does not divide by 2"):
        batches(pairs, 0, 5, 7, 0, 10, processes=2)
    with pytest.raises(UserError, match=r"photo1 is 64x31 .* 8x8 at x4 need 32x32 .*1 of the 3"):
        batches(pairs, 0, 4, 8, 0, 10)


def test_a_photo_that_cannot_be_read_stops_the_batches_with_its_own_error():
    def read(i):
        raise UserError("photo7.png is broken")

    pairs = Pairs(Photos(["photo7.png"], np.array([[40, 40]], np.int32), read), 4, 1 << 30)
    with pytest.raises(UserError, match=r"photo7\.png is broken"):
        next(batches(pairs, 0, 4, 8, 0, 10))


def test_iterators_that_are_dropped_leave_no_thread_behind():
    before = set(threading.enumerate())
    pairs = Pairs(noise_photos([(40, 48)]), 4, 1 << 30)
    iterator = batches(pairs, 0, 4, 8, 0, 10**9, threads=2)
    next(iterator)
    assert len(set(threading.enumerate()) - before) <= 3
    del iterator
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in left)


def test_a_program_may_end_in_the_middle_of_the_batches_without_a_word():
    script = """
        import numpy as np
        from jsr.datasets import Photos
        from jsr.pipeline import Pairs, batches

        flat = np.zeros((40, 40, 3), np.uint8)
        photos = Photos(["flat"], np.array([[40, 40]], np.int32), lambda i: flat)
        iterator = batches(Pairs(photos, 4, 1 << 20), 0, 4, 8, 0, 10**9)
        print(next(iterator)["lr"].shape)
    """
    end = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (end.returncode, end.stdout, end.stderr) == (0, "(4, 8, 8, 3)\n", "")
