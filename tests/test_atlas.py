"""Crops cut on the devices are the streamed batches, bit for bit."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from runs import noise_photos

from jsr import atlas, parallel
from jsr.atlas import Atlas
from jsr.pipeline import Pairs, make_batch
from jsr.steps import AXIS

SIZES = [(40, 52), (61, 33), (40, 40), (97, 35), (33, 120), (40, 41), (64, 64)]


def make_pairs(scale: int, channels: str = "rgb") -> Pairs:
    return Pairs(noise_photos(SIZES), scale, 1 << 30, channels)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shards", [1, 3])
def test_each_photo_lies_whole_and_alone_on_its_canvas(scale, shards):
    pairs = make_pairs(scale)
    whole = Atlas(pairs, shards)
    painted = [whole.paint(shard) for shard in range(shards)]
    assert all(c["lr"].shape == whole.shapes["lr"][1:] for c in painted)
    assert all(c["hr"].shape == whole.shapes["hr"][1:] for c in painted)
    assert sum(c.nbytes for c in painted[0].values()) == whole.nbytes
    # The noise has hardly any zeros: a photograph over another would lose many of its values.
    kept = sum(np.count_nonzero(c["hr"]) for c in painted)
    assert kept == sum(np.count_nonzero(pairs[i][1]) for i in range(len(pairs)))


@pytest.mark.parametrize(("scale", "channels"), [(2, "rgb"), (3, "rgb"), (4, "rgb"), (3, "y")])
def test_cut_gives_the_streamed_batch(scale, channels):
    pairs, indices, steps, patch = make_pairs(scale, channels), np.arange(64), np.arange(5, 8), 7
    whole = Atlas(pairs)
    crops = whole.crops(3, steps, indices, patch)
    assert crops.shape == (3, 64, 4)
    assert crops.dtype == np.int32
    assert set(crops[..., 3].flat) == set(range(8))
    cut = jax.jit(atlas.cut, static_argnums=(2, 3))
    for step, places in zip(steps, crops, strict=True):
        batch = cut(whole.paint(0), places, patch, pairs.channels)
        streamed = make_batch(pairs, 3, step, indices, patch)
        for name in ("lr", "hr"):
            assert batch[name].dtype == streamed[name].dtype
            assert np.array_equal(batch[name], streamed[name])


@pytest.mark.parametrize(("devices", "channels"), [(2, "rgb"), (4, "rgb"), (2, "y")])
def test_devices_that_hold_a_share_each_cut_the_same_batch(devices, channels):
    pairs, indices, patch = make_pairs(2, channels), np.arange(16), 9
    mesh = parallel.make_mesh(jax.devices()[:devices])
    whole = Atlas(pairs, devices)
    data = parallel.place_shards(whole.paint, whole.shapes, mesh)
    assert data["hr"].addressable_shards[0].data.nbytes == data["hr"].nbytes // devices
    crops = whole.crops(1, np.arange(1), indices, patch)[0]
    assert len(set(crops[:, 0])) == devices

    def cut(data, crops):
        canvases = {name: canvas[0] for name, canvas in data.items()}
        return atlas.cut_shared(canvases, crops, patch, pairs.channels, AXIS)

    on_mesh = jax.shard_map(
        cut, mesh=mesh, in_specs=(P(AXIS), P()), out_specs=P(AXIS), check_vma=False
    )
    batch = jax.jit(on_mesh)(data, crops)
    streamed = make_batch(pairs, 1, 0, indices, patch)
    assert all(np.array_equal(batch[name], streamed[name]) for name in ("lr", "hr"))


def test_photos_of_one_size_waste_little():
    pairs = Pairs(noise_photos([(48, 64)] * 30), 2, 1 << 30)
    used = sum(lr.nbytes + hr.nbytes for lr, hr in map(pairs.__getitem__, range(30)))
    assert Atlas(pairs).nbytes < 1.25 * used
