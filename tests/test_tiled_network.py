"""Networks over pictures of any size: tiled as whole, few programs, and less when memory ends."""

import jax
import numpy as np
import pytest
from tiny_network import make_network

from jsr import tile_memory, tiled_network
from jsr.errors import UserError
from jsr.orientations import COUNT, orient, restore
from jsr.tiled_network import TiledNetwork

SMALL = {"features": 4, "blocks": 1}
FAMILIES = {
    "srresnet": SMALL,
    "edsr": SMALL,
    "carn": {"features": 4},
    "srvgg": {"features": 4, "convs": 2},
    "pan": {"features": 4, "blocks": 1, "up_features": 4},
    "ecbsr": SMALL,
    "rrdb": {"features": 4, "blocks": 1, "growth": 2},
    "srcnn": {},
    "vdsr": {"features": 4, "layers": 4},
    "lapsrn": {"features": 4, "depth": 2},
}
ONE_CHANNEL = ("srcnn", "vdsr", "lapsrn")
LATER = ("srvgg", "pan", "ecbsr", "srcnn", "lapsrn")


def picture(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def joined(tiled, lr):
    height, width = (side * tiled.scale for side in lr.shape[:2])
    sr = np.full((height, width, lr.shape[2]), np.nan, np.float32)
    for tile in tiled.tiles(lr):
        sr[tile.rows, tile.columns] = tile.sr
    assert not np.isnan(sr).any()
    return sr


def whole(network, lr):
    return np.clip(jax.jit(network.module.apply)(network.variables, lr[None])[0], 0, 1)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LATER)) for name in FAMILIES],
)
def test_tiles_are_the_whole_picture(name):
    channels = "y" if name in ONE_CHANNEL else "rgb"
    network = make_network(name, channels, noise=0.05, **FAMILIES[name])
    tiled = TiledNetwork(network, tile=16)
    assert tiled.radius <= 64
    side = 20 + 2 * tiled.radius
    lr = picture(side + 3, side + 22, network.channels)
    sr = joined(tiled, lr)
    assert len(tiled._programs) <= 4
    np.testing.assert_allclose(sr, whole(network, lr), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["imdn", pytest.param("swinir", marks=pytest.mark.long)])
def test_networks_that_see_farther_fade_and_can_be_exact(name):
    more = (
        {"heads": 2, "groups": 1, "blocks": 2, "window": 4} if name == "swinir" else {"blocks": 1}
    )
    network = make_network(name, noise=0.02, features=8, **more)
    lr = picture(50, 70, 3)
    expected = whole(network, lr)
    assert tiled_network.OVERLAP // 2 > 0
    tiled = TiledNetwork(network, tile=16, overlap=8)
    if name == "imdn":
        assert tiled.radius is None
    # No seam is worse than what tiles differ by at all.
    sr = joined(tiled, lr)
    assert 0 < np.abs(sr - expected).max() < 0.2
    np.testing.assert_allclose(joined(TiledNetwork(network, tile=0), lr), expected, atol=1e-5)


def test_pictures_of_one_size_share_batches(monkeypatch):
    network = make_network(noise=0.05)
    lrs = [picture(20, 30, 3) * share for share in (1, 0.8, 0.6, 0.4, 0.2)]
    tiled = TiledNetwork(network, tile=16, overlap=8)
    monkeypatch.setattr(TiledNetwork, "_on_cpu", False)
    monkeypatch.setattr(tiled_network, "BATCH", 4)
    monkeypatch.setattr(tiled, "_most", 4)
    sizes = []
    run = tiled._run
    monkeypatch.setattr(tiled, "_run", lambda windows: sizes.append(windows.shape) or run(windows))
    made = [np.empty((40, 60, 3), np.float32) for _ in lrs]
    for index, tile in tiled.several(lrs):
        made[index][tile.rows, tile.columns] = tile.sr
    for lr, sr in zip(lrs, made, strict=True):
        np.testing.assert_allclose(sr, joined(TiledNetwork(network), lr), atol=1e-5)
    assert len(set(sizes)) == 1 and 1 < sizes[0][0] <= 4 and len(sizes) < 5
    assert [tiled.at_once(*size) for size in ((512, 512), (16, 16), (9999, 999))] == [16, 16, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_rounded_on_the_device(dtype):
    network, lr = make_network(noise=0.05), picture(20, 30, 3)
    expected = joined(TiledNetwork(network), lr)
    expected = np.rint(expected * np.float32(np.iinfo(dtype).max)).astype(dtype)
    for tiled in (TiledNetwork(network), TiledNetwork(network, tile=16)):
        made = np.empty((40, 60, 3), dtype)
        for _, tile in tiled.several([lr], dtype):
            assert tile.sr.dtype == dtype
            made[tile.rows, tile.columns] = tile.sr
        assert np.abs(made.astype(int) - expected).max() <= (1 if dtype == np.uint16 else 0)
    broken = TiledNetwork(make_network(gain=float("nan")))
    with pytest.raises(FloatingPointError, match="not finite"):
        list(broken.several([lr], dtype))


def test_the_ensemble_of_tiles_is_that_of_the_picture():
    network = make_network(noise=0.1)
    lr = picture(23, 31, 3)
    turned = [restore(whole(network, orient(lr, o)), o) for o in range(COUNT)]
    sr = joined(TiledNetwork(network, tile=8, ensemble=True), lr)
    np.testing.assert_allclose(sr, np.mean(turned, axis=0), atol=1e-5)


def test_small_pictures_of_all_sizes_take_few_programs_and_come_out_as_alone(monkeypatch):
    monkeypatch.setattr(tiled_network, "ALONE", 1)
    network = make_network(noise=0.1)
    tiled = TiledNetwork(network)
    sizes = [(h, w) for h in (9, 11, 17, 20) for w in (10, 12, 18, 19)] + [(1, 1), (1, 30)]
    made = {size: joined(tiled, picture(*size, 3)) for size in sizes}
    assert len(tiled._programs) <= 1 + 6
    for size in ((9, 10), (17, 12), (20, 19), (1, 1)):
        expected = whole(network, picture(*size, 3))
        np.testing.assert_allclose(made[size], expected, atol=1e-5, rtol=0)


def test_programs_are_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(tiled_network, "PROGRAMS", 3)
    tiled = TiledNetwork(make_network())
    tiled.__dict__["_maskable"] = False
    for width in range(8, 13):
        assert joined(tiled, picture(8, width, 3)).shape == (16, 2 * width, 3)
        assert len(tiled._programs) <= 3


def test_strips_and_large_pictures_are_cut_by_what_memory_allows(monkeypatch):
    network = make_network(noise=0.1)
    tiled = TiledNetwork(network)
    needed, around = tiled._needs.whole, 2 * tiled.radius
    monkeypatch.setattr(tile_memory, "tile_bytes", lambda device: needed * 100**2)
    assert tiled._sides(np.zeros((90, 111, 3))) == (90, 111)
    assert tiled._sides(np.zeros((50, 2000, 3)))[0] == 50
    assert tiled._sides(np.zeros((2000, 80, 3)))[1] == 80
    with monkeypatch.context() as patch:
        patch.setattr(TiledNetwork, "_on_cpu", False)
        assert tiled._sides(np.zeros((50, 2000, 3))) == (50, 200 - around)
        assert tiled._sides(np.zeros((2000, 80, 3))) == (125 - around, 80)
        assert tiled._sides(np.zeros((300, 400, 3))) == (100 - around, 100 - around)
    lr = picture(50, 2000, 3)
    used = []
    run = tiled._run
    monkeypatch.setattr(tiled, "_run", lambda lr: used.append(lr.shape) or run(lr))
    np.testing.assert_allclose(joined(tiled, lr), whole(network, lr), atol=1e-5)
    assert all(b * h * w <= 100**2 * 1.05 for b, h, w, _ in used)


class Failing(TiledNetwork):
    """Out of memory for windows of more than `most` pixels."""

    most = 0

    def _run(self, lr):
        if lr.shape[1] * lr.shape[2] > self.most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")
        return super()._run(lr)


def test_out_of_memory_makes_tiles_smaller_and_goes_on(caplog):
    network = make_network(noise=0.1)
    lr = picture(60, 120, 3)
    tiled = Failing(network)
    tiled.most = 50 * 50
    np.testing.assert_allclose(joined(tiled, lr), whole(network, lr), atol=1e-5)
    assert "out of memory: going on with tiles of 30 pixels" in caplog.text
    with pytest.raises(UserError, match="even in small tiles"):
        joined(Failing(network), lr)
    with pytest.raises(UserError, match="for a whole picture: leave out --exact"):
        joined(Failing(network, tile=0), lr)


def test_other_failures_are_not_hidden():
    network = make_network()
    broken = jax.tree.map(lambda a: a * np.nan, network.variables)
    network = type(network)(network.module, broken, network.facts)
    with pytest.raises(FloatingPointError, match="not finite"):
        joined(TiledNetwork(network), picture(8, 8, 3))


class Accelerated(Failing):
    """As on an accelerator: batches of windows, the next begun before the last is fetched."""

    _on_cpu = False
    most = 10**9
    batches = ()

    def _run(self, lr):
        self.batches = (*self.batches, lr.shape)
        if len(lr) * lr.shape[1] * lr.shape[2] > self.most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")
        return super()._run(lr)


def test_an_accelerator_gets_batches_of_one_shape_and_smaller_ones_when_memory_ends():
    network = make_network(noise=0.1)
    lr = picture(60, 140, 3)
    tiled = Accelerated(network, tile=16)
    np.testing.assert_allclose(joined(tiled, lr), whole(network, lr), atol=1e-5)
    assert len(set(tiled.batches)) == 1 and 1 < tiled.batches[0][0] <= tiled_network.BATCH
    tight = Accelerated(network, tile=16)
    tight.most = 3 * 30 * 30
    np.testing.assert_allclose(joined(tight, lr), whole(network, lr), atol=1e-5)
    count, height, width, _ = tight.batches[-1]
    assert 1 < count < tiled.batches[0][0] and count * height * width <= tight.most
