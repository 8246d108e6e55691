from pathlib import Path

import jax
import numpy as np
import pytest
from families import learnt, names, start
from test_rrn import moving_clip

from jsr.film_network import enlarge_frames
from jsr.model_cost import multiply_adds
from jsr.models import make_model
from jsr.models.basicvsr import recognise
from jsr.models.spynet import SPyNet
from jsr.models.warping import resample, warp

GOLDEN = Path(__file__).parent / "golden" / "basicvsr.npz"


# 6.3 M in print; BasicSR's network with 30 blocks has as many.
def test_the_published_network():
    with np.load(GOLDEN) as golden:
        assert learnt("basicvsr") == golden["parameters"] == 6291311
    shapes = names("basicvsr")
    assert sum(np.prod(s) for n, s in shapes.items() if n.startswith("spynet.")) == 1440300
    expected = {"model": "basicvsr", "hparams": {"scale": 4, "features": 64, "blocks": 30}}
    assert recognise(shapes) == expected
    assert recognise({**shapes, "spynet.mean": (1, 3, 1, 1)}) == expected
    assert recognise({**shapes, "edvr.conv_first.weight": (64, 3, 3, 3)}) is None
    assert recognise(names("edsr", features=4, blocks=1)) is None


def test_multiply_adds():
    # Every convolution of a frame, by hand: at LR size, but for those of the end and the pyramid.
    frames, h, w = 3, 64, 96
    kernels = {
        n: np.prod(s) for n, s in names("basicvsr", blocks=2).items() if n.endswith("weight")
    }
    times = {"upconv2": 4, "conv_hr": 16, "conv_last": 16}
    ours = sum(k * times.get(n.split(".")[0], 1) for n, k in kernels.items() if "spynet" not in n)
    level = sum(k for n, k in kernels.items() if n.startswith("spynet.basic_module.0."))
    flows = 2 * (frames - 1) * level * sum(4.0**-i for i in range(6))
    module = make_model("basicvsr", blocks=2)
    expected = (frames * ours + flows) * h * w
    assert multiply_adds(module, (1, frames, h, w, 3)) == pytest.approx(expected)


def test_the_original():
    clip, module = moving_clip(3, 37, 70), make_model("basicvsr", features=8, blocks=2)
    variables = start(module, clip)
    flows = jax.jit(SPyNet().apply)
    with np.load(GOLDEN) as golden:
        flow = flows({"params": variables["params"]["spynet"]}, clip[:, 0], clip[:, 1])
        assert np.abs(golden["flow"]).max() > 0.5
        np.testing.assert_allclose(flow, golden["flow"], atol=1e-4)
        sr = np.asarray(jax.jit(module.apply)(variables, clip))
        np.testing.assert_allclose(sr[:, :, -40:, -48:], golden["sr"], atol=1e-4)


def test_frame_by_frame_it_is_the_same():
    clip, module = moving_clip(3, 9, 8), make_model("basicvsr", scale=2, features=4, blocks=1)
    variables = start(module, clip[:, 0])
    sr = np.asarray(jax.jit(module.apply)(variables, clip))
    assert sr.shape == (1, 3, 18, 16, 3)
    streamed = list(enlarge_frames(module, variables, clip[0]))
    np.testing.assert_allclose(streamed, sr[0].clip(0, 1), atol=1e-5)
    # It looks ahead, where the flow stays within the picture.
    still = jax.tree.map(np.zeros_like, variables["params"]["spynet"])
    variables = {"params": {**variables["params"], "spynet": still}}
    first, other = list(enlarge_frames(module, variables, clip[0])), clip[0].copy()
    other[2] = 0
    assert np.abs(first[0] - next(enlarge_frames(module, variables, other))).max() > 1e-4
    with pytest.raises(FloatingPointError, match="not finite"):
        list(enlarge_frames(module, variables, clip[0] * np.nan))


def test_a_warp_takes_what_lies_along_the_flow():
    x = np.random.default_rng(0).random((1, 5, 6, 2), np.float32)
    flow = np.zeros((1, 5, 6, 2), np.float32)
    np.testing.assert_array_equal(warp(x, flow), x)
    flow[...] = (1.0, 2.0)
    np.testing.assert_array_equal(warp(x, flow)[:, :3, :5], x[:, 2:, 1:])
    assert not np.asarray(warp(x, flow))[:, 3:].any()
    np.testing.assert_array_equal(warp(x, flow, border=True)[:, 3:, :5], x[:, [4, 4], 1:])
    flow[...] = (0.25, 0)
    np.testing.assert_allclose(
        warp(x, flow)[:, :, :5], 0.75 * x[:, :, :5] + 0.25 * x[:, :, 1:], atol=1e-6
    )


def test_resampling_keeps_lines_straight():
    line = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)
    corners = resample(line, 11, 1, corners=True)[0, :, 0, 0]
    np.testing.assert_allclose(corners, np.linspace(0, 5, 11), atol=1e-6)
    centres = resample(line, 12, 1)[0, :, 0, 0]
    np.testing.assert_allclose(centres, np.clip(np.arange(12) / 2 - 0.25, 0, 5), atol=1e-6)
    assert resample(line, 6, 1) is line
