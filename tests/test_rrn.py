import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from families import giga, learnt, names, start
from pictures import texture

from jsr import loops
from jsr.errors import UserError
from jsr.film_network import enlarge_frames
from jsr.models import make_model, takes_clips
from jsr.models.layers import pixel_shuffle, pixel_unshuffle
from jsr.models.rrn import Past, recognise
from jsr.streamed_network import StreamedNetwork
from jsr.upscale import open_model
from jsr.weights import Network

GOLDEN = Path(__file__).parent / "golden"
SMALL = {"features": 8, "blocks": 2}


def moving_clip(frames, height, width):
    """[1, t, h, w, 3] in [0, 1]: the waves of golden/clips.py, which needs PyTorch."""
    y, x = np.mgrid[:height, :width] / 7
    waves = [
        np.stack([np.sin(x + t / 5), np.cos(y - t / 6), np.sin(x + y + t / 9)], -1)
        for t in range(frames)
    ]
    return np.asarray([0.5 + 0.4 * np.stack(waves)], np.float32)


# Exact by its code, the larger one known as 3.4 M.
@pytest.mark.parametrize(("blocks", "parameters"), [(5, 1888560), (10, 3364400)])
def test_published_networks(blocks, parameters):
    assert learnt("rrn", blocks=blocks) == parameters
    found = recognise(names("rrn", blocks=blocks))
    assert found == {"model": "rrn", "hparams": {"scale": 4, "features": 128, "blocks": blocks}}
    assert "neuro.recon_trunk.4.conv2.bias" in names("rrn", blocks=blocks)


def test_multiply_adds_of_a_frame():
    kernels = sum(np.prod(s) for n, s in names("rrn").items() if n.endswith("weight"))
    assert giga("rrn", 180, 320) == pytest.approx(kernels * 180 * 320 / 1e9)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_original(scale):
    clip, module = moving_clip(4, 13, 12), make_model("rrn", scale=scale, **SMALL)
    variables = start(module, clip[:, 0])
    sr = np.asarray(jax.jit(module.apply)(variables, clip))
    with np.load(GOLDEN / "rrn.npz") as golden:
        np.testing.assert_allclose(sr[:, :, -16:, -16:], golden[f"x{scale}"], atol=1e-5)
    # Frame by frame, as a film of any length streams.
    streamed = list(enlarge_frames(module, variables, clip[0]))
    np.testing.assert_allclose(streamed, sr[0].clip(0, 1), atol=1e-6)
    taken = []
    film = enlarge_frames(module, variables, (taken.append(i) or x for i, x in enumerate(clip[0])))
    for i in range(3):
        np.testing.assert_allclose(next(film), sr[0, i].clip(0, 1), atol=1e-6)
        assert taken == list(range(i + 1))
    # A frame knows nothing of those after it; and something of those before.
    shorter = np.asarray(module.apply(variables, clip[:, :2]))
    np.testing.assert_allclose(shorter, sr[:, :2], atol=1e-5)
    assert np.abs(np.asarray(module.apply(variables, clip[:, 1])) - sr[:, 1]).max() > 1e-3


def test_a_picture_is_a_film_of_one_frame():
    clip, module = moving_clip(1, 6, 7), make_model("rrn", scale=2, **SMALL)
    variables = start(module, clip)
    np.testing.assert_array_equal(
        module.apply(variables, clip[:, 0]), module.apply(variables, clip)[:, 0]
    )
    assert takes_clips("rrn") and not takes_clips("edsr")


MOVED = {"motion": "lucas_kanade", "base": "bicubic"}


def test_a_moved_past_streams_as_well():
    clip, module = moving_clip(4, 13, 12), make_model("rrn", scale=2, **MOVED, **SMALL)
    variables = start(module, clip[:, 0])
    sr = np.asarray(jax.jit(module.apply)(variables, clip))
    streamed = list(enlarge_frames(module, variables, clip[0]))
    np.testing.assert_allclose(streamed, sr[0].clip(0, 1), atol=1e-5)
    # It has no more to learn.
    assert learnt("rrn", **MOVED, **SMALL) == learnt("rrn", **SMALL)
    assert names("rrn", **MOVED, **SMALL) == names("rrn", **SMALL)


def test_the_past_is_moved_to_where_the_frame_has_it():
    module = make_model("rrn", scale=2, **MOVED, **SMALL)
    # By a pixel of LR to the right and half of one down.
    hrs = [texture(96, 104, i, 2 * i) for i in (0, 1)]
    lrs = [h.reshape(1, 48, 2, 52, 2, 3).mean((2, 4)) for h in hrs]
    hidden = np.tile(lrs[0].mean(-1, keepdims=True), SMALL["features"])
    past = Past(lrs[0], hidden, pixel_unshuffle(hrs[0], 2))
    told = module.apply({}, lrs[1], hrs[1], past, method="_differences")
    inner = np.s_[:, 6:-6, 6:-6]
    for left, unmoved in [
        (told.lr, lrs[0] - lrs[1]),
        (told.sr, pixel_unshuffle(hrs[0] - hrs[1], 2)),
        (told.hidden - lrs[1].mean(-1, keepdims=True), (lrs[0] - lrs[1]).mean(-1)),
    ]:
        assert np.abs(np.asarray(left)[inner]).mean() < 0.3 * np.abs(unmoved[inner]).mean()
    # Before the first frame there is that frame: nothing differs.
    first = module.apply({}, lrs[0], method="begin")
    large = pixel_shuffle(first.sr, 2)
    for left in module.apply({}, lrs[0], large, first, method="_differences"):
        np.testing.assert_allclose(left, 0, atol=1e-6)


def test_what_a_moved_past_hands_on_does_not_grow():
    module = make_model("rrn", scale=2, **MOVED, **SMALL)
    lr = moving_clip(1, 9, 8)[:, 0]
    variables = jax.tree.map(lambda w: 40 * w, start(module, lr))
    sr, past = module.apply(variables, lr, module.apply({}, lr, method="begin"), method="frame")
    assert sr.max() > 1 and past.sr.min() >= 0 and past.sr.max() <= 1


@pytest.mark.parametrize(
    ("name", "more"), [("rrn", {}), ("rrn", MOVED), ("basicvsr", {})], ids=["rrn", "moved", "vsr"]
)
def test_a_scan_gives_what_the_written_loop_gives(name, more, monkeypatch):
    clip = moving_clip(3, 6, 5)
    module = make_model(name, scale=2, features=4, blocks=1, **more)
    variables = start(module, clip)

    def loss(params):
        sr = module.apply({"params": params}, clip)
        return (sr**2).sum(), sr

    grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, sr), grads = grad(variables["params"])
    jax.clear_caches()
    monkeypatch.setattr(loops, "written_out", lambda: False)
    assert "scan" in str(jax.make_jaxpr(loss)(variables["params"]))
    again = jax.jit(jax.value_and_grad(lambda p: loss(p), has_aux=True))
    (_, scanned), scanned_grads = again(variables["params"])
    np.testing.assert_allclose(scanned, sr, atol=1e-5)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(scanned_grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    fresh = jax.eval_shape(module.init, jax.random.key(0), clip)
    assert jax.tree.map(np.shape, fresh["params"]) == jax.tree.map(np.shape, variables["params"])


def test_shuffling_back():
    x = np.arange(2 * 3 * 4 * 8, dtype=np.float32).reshape(2, 3, 4, 8)
    np.testing.assert_array_equal(pixel_unshuffle(pixel_shuffle(x, 2), 2), x)


def test_others_are_not_recognised():
    assert recognise(names("edsr", features=4, blocks=1)) is None
    shapes = {"neuro.conv_1.weight": (8, 31, 3, 3), "neuro.conv_o.weight": (7, 8, 3, 3)}
    assert recognise(shapes) is None


def test_upscale_does_not_enlarge_pictures_by_what_remembers_films():
    module = make_model("rrn", scale=4, **SMALL)
    network = Network(module, {}, {"scale": 4, "channels": "rgb", "model": "rrn"})
    with pytest.raises(UserError, match=r"^rrn enlarges films, and none is given: use weights for"):
        open_model(network)
    assert isinstance(open_model(network, films=True).ways[4], StreamedNetwork)
    y = dataclasses.replace(network, facts={**network.facts, "channels": "y"})
    for given, wishes, told in [
        (y, {}, "rrn enlarges Y alone"),
        (network, {"tile": 0}, "each frame whole and as it is: leave out --tile, --overlap"),
        (network, {"overlap": 0}, "leave out --tile"),
        (network, {"ensemble": True}, "leave out --tile"),
    ]:
        with pytest.raises(UserError, match=told):
            open_model(given, films=True, **wishes)
