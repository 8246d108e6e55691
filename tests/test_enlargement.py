"""Planes enlarged: every kind of picture, no halo, no shift of colours, any size of result."""

import numpy as np
import pytest
from skimage import data
from tiny_network import make_network

from jsr import resize, tile_memory
from jsr.color import to_linear
from jsr.enlargement import Enlargement, Interpolation
from jsr.errors import UserError
from jsr.target_size import TargetSize
from jsr.tiled_network import TiledNetwork
from jsr.weights import Network

CAT = resize.downscale(data.chelsea(), 4)[:60, :70]


@pytest.fixture(scope="module")
def network():
    return make_network(noise=0.02)


@pytest.fixture(scope="module")
def one_channel():
    return make_network("espcn", "y", noise=0.05)


def way(network, **more):
    tile = more.pop("tile", None)
    return Enlargement({network.scale: TiledNetwork(network, tile)}, **more)


def test_colours_are_what_the_network_gives_at_any_tile(network):
    expected = network(CAT)
    np.testing.assert_array_equal(way(network)(CAT)[0], expected)
    tiled = way(network, tile=16)(CAT)[0]
    assert np.abs(tiled.astype(int) - expected).max() <= 1
    assert (tiled != expected).mean() < 1e-3


def test_one_channel_is_y_with_bicubic_chroma_at_any_tile(one_channel):
    expected = one_channel(CAT).astype(int)
    for tile in (None, 16):
        sr = way(one_channel, tile=tile)(CAT)[0]
        assert np.abs(sr - expected).max() <= 1


def test_gray_stays_gray(network, one_channel):
    gray = CAT[..., :1]
    rgb = network(np.repeat(gray, 3, axis=2)).astype(float)
    sr = way(network)(gray)[0]
    assert sr.shape == (120, 140, 1)
    assert np.abs(sr[..., 0] - rgb.mean(-1)).max() <= 1
    through_y = one_channel(np.repeat(gray, 3, axis=2)).astype(int)
    sr = way(one_channel)(gray)[0]
    assert np.abs(sr - through_y.mean(-1, keepdims=True)).max() <= 1


def test_types_have_one_meaning(network):
    eight = way(network)(CAT)[0]
    sixteen = way(network)(CAT.astype(np.uint16) * 257)[0]
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - eight).max() <= 0.51
    unit = way(network)((CAT / 255).astype(np.float32))[0]
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit * 65535, sixteen, atol=1)
    # More than 256 levels come out of 16 bits.
    ramp = np.linspace(20000, 21000, 400).astype(np.uint16).reshape(1, 400, 1).repeat(8, 0)
    assert len(np.unique(way(network)(ramp)[0])) > 256


# ---- transparency


def disc():
    """A red disc with a hard edge; green where nothing shows."""
    y, x = np.mgrid[-20:20, -25:25]
    alpha = np.where(np.hypot(y, x) < 14, 255, 0).astype(np.uint8)
    return np.where(alpha[..., None] > 0, (255, 0, 0), (0, 255, 0)).astype(np.uint8), alpha


@pytest.mark.parametrize("alpha_by", ["network", "bicubic"])
@pytest.mark.parametrize("target", [TargetSize(), TargetSize(scale=2.5), TargetSize(width=33)])
def test_a_hard_edge_has_no_halo(network, alpha_by, target):
    """On every ground the disc looks as if all of the picture were red below its alpha."""
    pixels, alpha = disc()
    enlarge = way(network, alpha=alpha_by, target=target)
    sr, sr_alpha = enlarge(pixels, alpha)
    red = enlarge(np.broadcast_to(np.uint8([255, 0, 0]), pixels.shape))[0]
    weight = sr_alpha[..., None] / 255
    for ground in ((0, 0, 0), (255, 255, 255), (0, 0, 255)):
        seen = sr * weight + np.array(ground) * (1 - weight)
        ideal = red * weight + np.array(ground) * (1 - weight)
        assert np.abs(seen - ideal).max() <= 2
    assert sr_alpha.shape == sr.shape[:2]
    size = sr_alpha.shape
    assert sr_alpha[size[0] // 2, size[1] // 2] == 255 and sr_alpha[0, 0] == 0


def test_alpha_by_the_network_is_as_sharp_as_colours_and_does_not_ring(network):
    _, alpha = disc()
    mask = np.repeat(alpha[..., None], 3, axis=2)
    sr = way(network)(mask[..., :1], alpha)[1]
    # Only at the edge, and there within what the neighbours are.
    expected = network(mask).astype(float).mean(-1)
    edge = np.abs(np.diff(alpha.astype(int), axis=1)).any(0)
    assert edge.any()
    flat = (sr == 0) | (sr == 255)
    assert flat.mean() > 0.8
    assert np.abs(sr - expected)[~flat].max() <= 12
    bicubic = way(network, alpha="bicubic")(mask[..., :1], alpha)[1]
    expected = resize.to_uint8(resize.imresize(alpha.astype(float), scale=2))
    assert np.abs(bicubic.astype(int) - expected).max() <= 1


def test_an_alpha_that_hides_nothing_costs_nothing_and_stays(network):
    calls = []

    class Counting(TiledNetwork):
        def several(self, lrs, dtype):
            calls.append(len(lrs))
            return super().several(lrs, dtype)

    enlarge = Enlargement({2: Counting(network)})
    sr, alpha = enlarge(CAT, np.full(CAT.shape[:2], 255, np.uint8))
    assert len(calls) == 1 and (alpha == 255).all()
    np.testing.assert_array_equal(sr, network(CAT))


# ---- colours do not shift


def test_the_mean_colour_stays():
    """Of a network that is bicubic: shrunk, it agrees with the picture as bicubic does."""
    for channels in ("rgb", "y"):
        network = make_network(channels=channels, gain=0.1)
        sr = way(network, tile=16)(CAT)[0]
        back = resize.imresize(sr, shape=CAT.shape[:2]).astype(float)
        assert np.abs((back - CAT).mean((0, 1))).max() <= 0.25
        assert np.abs(back - CAT).mean() <= 2


@pytest.mark.parametrize("target", [TargetSize(), TargetSize(scale=2.5)])
@pytest.mark.parametrize("linear", [False, True])
def test_back_projection_makes_the_result_agree(network, target, linear):
    plain, projected = (
        way(network, target=target, back_projection=rounds, linear=linear)(CAT)[0]
        for rounds in (0, 10)
    )
    light = to_linear if linear else lambda values: values
    errors = [
        np.abs(resize.imresize(light(sr / 255), shape=CAT.shape[:2]) - light(CAT / 255)).mean()
        for sr in (plain, projected)
    ]
    assert errors[1] <= 1 / 255 and errors[1] < errors[0] / 2


# ---- sizes


@pytest.mark.parametrize("scale", [1.5, 2.5, 3.0])
def test_other_scales_are_the_networks_resized_by_matlabs_rules(network, scale):
    native = way(network)((CAT / 255).astype(np.float32))[0]
    expected = resize.to_uint8(255 * resize.imresize(native, scale=scale / 2))
    sr = way(network, target=TargetSize(scale=scale))(CAT)[0]
    assert sr.shape == expected.shape
    assert np.abs(sr.astype(int) - expected).max() <= 1


def test_what_is_large_enough_is_only_resized(network):
    sr = way(network, target=TargetSize(width=35))(CAT)[0]
    expected = resize.imresize(CAT.astype(float), shape=(30, 35))
    assert np.abs(sr - expected).max() <= 0.51


@pytest.mark.parametrize("channels", ["rgb", "y"])
def test_frames_together_are_as_each_alone(channels):
    frames = [CAT[:20, :24], CAT[9:29, 3:27], CAT[:20, 7:31]]
    network = make_network(channels=channels, noise=0.02)
    enlarge = Enlargement({2: TiledNetwork(network)}, TargetSize(scale=2.5))
    for frame, sr in zip(frames, enlarge.several(frames), strict=True):
        np.testing.assert_array_equal(sr, enlarge(frame)[0])
    assert enlarge.at_once(20, 24) == 1


def test_the_nearest_scale_of_several_is_used():
    seen = []

    class Named(Interpolation):
        def tiles(self, lr):
            seen.append(self.scale)
            return super().tiles(lr)

    ways = {scale: Named("bicubic", scale) for scale in (2, 3, 4)}
    for scale in (1.5, 2, 2.1, 4, 9):
        sr = Enlargement(ways, TargetSize(scale=scale))(CAT[:8, :8])[0]
        assert sr.shape[0] == np.ceil(8 * scale)
    assert seen == [2, 2, 3, 4, 4]


def test_linear_light_averages_light():
    """A checkerboard of black and white shrinks to half of the light, 188, not to 128."""
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    enlarge = {
        linear: Enlargement({4: Interpolation("nearest", 4)}, TargetSize(width=16), linear=linear)
        for linear in (False, True)
    }
    assert enlarge[False](board)[0].mean() == pytest.approx(127.5, abs=3)
    assert enlarge[True](board)[0].mean() == pytest.approx(188, abs=3)


def test_classical_ways(network):
    sr = Enlargement({2: Interpolation("bicubic", 2)}, TargetSize(scale=2))(CAT)[0]
    assert np.abs(sr.astype(int) - resize.imresize(CAT, scale=2)).max() <= 1


# ---- limits


def test_a_result_that_has_no_room_is_refused_before_work(network, monkeypatch):
    monkeypatch.setattr(tile_memory, "free_memory", lambda: 40_000.0)
    with pytest.raises(UserError, match="enlarged to 140x120 it would take"):
        way(network)(CAT)


def test_progress_adds_up_to_the_whole(network):
    alpha = np.where(np.arange(70) < 35, 255, 0).astype(np.uint8)[None].repeat(60, 0)
    for more in ({}, {"target": TargetSize(scale=2.5)}, {"target": TargetSize(width=20)}):
        for given in (None, alpha):
            parts = []
            way(network, tile=16, **more)(CAT, given, parts.append)
            assert sum(parts) == pytest.approx(1)


def test_nan_is_told(network):
    import jax

    broken = jax.tree.map(lambda a: a * np.nan, network.variables)
    with pytest.raises(FloatingPointError, match="not finite"):
        way(Network(network.module, broken, network.facts))(CAT)
