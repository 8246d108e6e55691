"""Ways to enlarge: the classical ones by what defines them, networks by their parts."""

import dataclasses
import threading

import jax
import numpy as np
import pytest
import skimage.data

from jsr import methods, protocols, resize, weights
from jsr.color import rgb_to_ycbcr
from jsr.errors import UserError
from jsr.models import make_model
from jsr.orientations import orient, restore
from jsr.scoring import read_item

CAT = skimage.data.chelsea()[60:180, 120:260]
Y = protocols.get_protocol("y")


def psnr(name, scale):
    item = read_item(Photos(CAT), 0, scale, Y, "symmetric")
    sr = methods.classical(name).produce(item)
    assert sr.shape == item.hr.shape and sr.dtype == np.uint8
    return protocols.score(sr, item.hr, scale, Y)["psnr"]


class Photos(list):
    def __init__(self, *photos):
        super().__init__(photos)
        self.names = [f"photo{i}" for i in range(len(photos))]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_each_classical_way_beats_the_simpler_one(scale):
    order = ["nearest", "bilinear", "bicubic", "unsharp", "back-projection"]
    scores = [psnr(name, scale) for name in order]
    assert scores == sorted(scores)
    assert psnr("bicubic", scale) < psnr("lanczos", scale) < psnr("back-projection", scale)


def test_interpolation_is_that_of_its_kernel():
    lr = resize.downscale(CAT, 2)
    for name, kernel in (("bicubic", "bicubic"), ("bilinear", "bilinear"), ("lanczos", "lanczos3")):
        sr = methods.classical(name).enlarge(lr, 2)
        np.testing.assert_array_equal(sr, resize.imresize(lr, scale=2, method=kernel))
    blocks = lr.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(methods.classical("nearest").enlarge(lr, 2), blocks)


def test_floats_are_rounded_at_the_end_only():
    lr = resize.imresize(CAT.astype(float), scale=0.5)
    sr = methods.classical("bicubic").enlarge(lr, 2)
    np.testing.assert_array_equal(sr, resize.to_uint8(resize.imresize(lr, scale=2)))


def test_unsharp_masking_keeps_flat_parts_and_sharpens_edges():
    lr = np.full((12, 12, 1), 80, np.uint8)
    lr[:, 6:] = 160
    sr = methods.unsharp(lr, 2)[12, :, 0]
    plain = resize.imresize(lr.astype(float), scale=2)[12, :, 0]
    np.testing.assert_allclose(sr[[2, 21]], [80, 160], atol=0.1)
    assert np.diff(sr).max() > np.diff(plain).max()


def test_back_projection_shrinks_to_lr():
    lr = resize.downscale(CAT, 3).astype(float)
    errors = [
        np.abs(resize.imresize(methods.back_project(lr, 3, iterations=n), scale=1 / 3) - lr).max()
        for n in (0, 3, 10)
    ]
    assert errors[0] > 5 * errors[1] > 50 * errors[2]


def test_back_projection_starts_where_it_is_told():
    lr = resize.downscale(CAT, 2)
    start = np.zeros((lr.shape[0] * 2, lr.shape[1] * 2, 3))
    np.testing.assert_array_equal(methods.back_project(lr, 2, start, 0), start)
    far = methods.back_project(lr, 2, start, 30)
    np.testing.assert_allclose(resize.imresize(far, scale=0.5), lr, atol=1e-3)
    odd = methods.back_project(lr, 2, start[:-11, :-30], 30)
    assert odd.shape == (start.shape[0] - 11, start.shape[1] - 30, 3)
    np.testing.assert_allclose(resize.imresize(odd, shape=lr.shape[:2]), lr, atol=0.1)


def test_unknown_baselines_are_refused():
    with pytest.raises(UserError, match="baseline 'cubic' is unknown; known: bicubic, nearest"):
        methods.classical("cubic")


def make_network(channels, **hparams):
    hparams = {"scale": 2, "features": 4, "blocks": 1, "tail": "light", **hparams}
    module = make_model("msrresnet", **hparams)
    lr = np.zeros((1, 8, 8, 1 if channels == "y" else 3), np.float32)
    variables = module.init(jax.random.key(1), lr)
    # Larger than at the start, so that the network does more than enlarge.
    variables = jax.tree.map(lambda a: 3 * a, variables)
    facts = {"model": "msrresnet", "hparams": hparams, "scale": 2, "channels": channels}
    return weights.Network(module, variables, {**facts, "protocol": "y"})


@pytest.fixture(scope="module")
def network():
    return make_network("rgb")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"weights")
    return tmp_path / "net.safetensors"


LR = resize.downscale(CAT, 4)


def test_a_network_is_its_call(network, path):
    method = methods.from_network("net", path, network)
    np.testing.assert_array_equal(method.enlarge(LR, 2), network(LR))
    assert method.labels["weights"] == weights.weights_hash(path)
    assert method.labels["parameters"] == sum(a.size for a in jax.tree.leaves(network.variables))


def test_self_ensemble_is_the_mean_over_the_orientations(network, path):
    sr = methods.from_network("net", path, network, ensemble=True).enlarge(LR, 2)
    turned = [restore(network.enlarge(orient(LR, o)), o) for o in range(8)]
    np.testing.assert_array_equal(sr, np.round(np.mean(turned, axis=0)).astype(np.uint8))
    assert (sr != network(LR)).any()
    # What is turned first is turned afterwards.
    again = methods.from_network("net", path, network, ensemble=True).enlarge(orient(LR, 5), 2)
    assert np.abs(again.astype(int) - orient(sr, 5)).max() <= 1


def test_every_device_is_used_and_gives_the_same(network, path):
    used, expected = [], network(LR)
    real = weights.Network.enlarge

    def spy(self, lr, tile=0):
        used.append(next(iter(jax.tree.leaves(self.variables)[0].devices())))
        barrier.wait(timeout=60)
        return real(self, lr, tile)

    devices = jax.local_devices()[:2]
    barrier = threading.Barrier(len(devices))
    method = methods.from_network("net", path, network, devices)
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights.Network, "enlarge", spy)
        threads = [
            threading.Thread(target=lambda: results.append(method.enlarge(LR, 2))) for _ in devices
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(used) == set(devices)
    for sr in results:
        np.testing.assert_array_equal(sr, expected)


def test_a_networks_scale_and_channels_are_checked(network, path):
    method = methods.from_network("net", path, network)
    with pytest.raises(UserError, match=r"net\.safetensors enlarges by 2, not by 4"):
        method.enlarge(LR, 4)
    with pytest.raises(UserError, match="takes RGB, but the protocol is for networks of one"):
        method.enlarge(LR[..., :1], 2)


def test_networks_of_one_channel_enlarge_y_and_bicubic_chroma(path):
    network = make_network("y")
    sr = rgb_to_ycbcr(network(LR))
    ycbcr = rgb_to_ycbcr(LR)
    y = network.enlarge(ycbcr[..., :1])
    chroma = resize.imresize(ycbcr[..., 1:], scale=2)
    inside = ((network(LR) > 0) & (network(LR) < 255)).all(-1)
    np.testing.assert_allclose(sr[inside][:, :1], y[inside], atol=1)
    np.testing.assert_allclose(sr[inside][:, 1:], chroma[inside], atol=1)
    method = methods.from_network("net", path, network)
    plane = protocols.luma(LR)
    np.testing.assert_array_equal(method.enlarge(plane, 2), np.round(network.enlarge(plane)))


@pytest.mark.parametrize("tile", [5, 16])
def test_tiles_give_the_whole_picture(network, path, tile):
    assert network.radius == 4  # four convolutions of 3x3; the enlargement sees no farther
    whole = network.enlarge(LR)
    np.testing.assert_allclose(network.enlarge(LR, tile), whole, atol=1e-3)
    method = methods.from_network("net", path, network, tile=tile)
    assert np.abs(method.enlarge(LR, 2).astype(int) - network(LR)).max() <= 1


def test_tiles_need_a_bounded_radius(network):
    wide = dataclasses.replace(network)
    wide.__dict__["radius"] = None
    with pytest.raises(UserError, match="msrresnet sees farther than 64 pixels: leave out --tile"):
        wide.enlarge(LR, 8)
