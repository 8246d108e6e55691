import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import check_sizes, giga, golden_case, learnt, names, start, variables
from flax import linen as nn

from jsr.models import make_model
from jsr.models.dropout import stochastic_depth
from jsr.models.swinir import pad, recognise
from jsr.models.window_attention import WindowAttention

CLASSICAL = {
    "scale": 4,
    "features": 180,
    "groups": 6,
    "blocks": 6,
    "heads": 6,
    "window": 8,
    "mlp_ratio": 2.0,
    "upsampler": "pixelshuffle",
    "resi_connection": "1conv",
    "img_range": 1.0,
}
LIGHT = {**CLASSICAL, "features": 60, "groups": 4, "upsampler": "pixelshuffledirect"}
REAL = {**CLASSICAL, "upsampler": "nearest+conv"}
LARGE = {**REAL, "features": 240, "groups": 9, "heads": 8, "resi_connection": "3conv"}
DENOISING = {**CLASSICAL, "scale": 1}
# From the authors' code. Their README prints 11.9 M, and for the light ones 878, 886 and 897 K:
# without the 24 tables of 225 x 6 biases, which are 32,400 parameters.
PUBLISHED = [
    (CLASSICAL, 11_900_199),
    ({**CLASSICAL, "scale": 2}, 11_752_487),
    ({**CLASSICAL, "scale": 3}, 11_937_127),
    ({**CLASSICAL, "scale": 8}, 12_047_911),
    ({**LIGHT, "scale": 2}, 910_152),
    ({**LIGHT, "scale": 3}, 918_267),
    (LIGHT, 929_628),
    (REAL, 11_715_559),
    (LARGE, 28_013_059),
    (DENOISING, 11_504_163),
    # Against JPEG artifacts.
    ({**DENOISING, "window": 7, "img_range": 255.0}, 11_492_067),
]
NARROW = {"features": 8, "groups": 1, "blocks": 2, "heads": 2, "window": 4}


@pytest.mark.parametrize(("hparams", "parameters"), PUBLISHED)
def test_published_networks(hparams, parameters):
    # Any group has as many as any other, and any block: the whole network is not needed.
    one, block, group = (
        learnt("swinir", **{**hparams, "groups": g, "blocks": b})
        for g, b in ((1, 1), (1, 2), (2, 1))
    )
    blocks, groups = hparams["blocks"], hparams["groups"]
    more = (groups * blocks - 1) * (block - one)
    conv = (group - one) - (block - one)
    assert one + more + (groups - 1) * conv == parameters
    short = {**hparams, "groups": 2, "blocks": 1}
    assert recognise(names("swinir", **short)) == {"model": "swinir", "hparams": short}


def test_the_classical_network_as_a_whole():
    assert learnt("swinir") == 11_900_199
    assert recognise(names("swinir")) == {"model": "swinir", "hparams": CLASSICAL}


def whole(groups, height, width, **hparams):
    """Multiply-adds, in 10**9, of a network of so many groups: all cost the same."""
    one, two = (giga("swinir", height, width, groups=g, **hparams) for g in (1, 2))
    return one + (groups - 1) * (two - one)


def test_multiply_adds():
    # HAT's README has 53.6 G for a 64 x 64 input, which training does not pad.
    assert whole(6, 64, 64, padding="needed") == pytest.approx(53.6, abs=0.05)
    # SwinIR's README has 49.6 G for the light network: about what its convolutions and dense
    # layers alone take, 50.7 G. The products of the attention are 2 * 64 * 60 a pixel and block.
    light = {"features": 60, "upsampler": "pixelshuffledirect", "padding": "needed"}
    light = whole(4, 184, 320, **light)
    assert light == pytest.approx(62.71, abs=0.005)
    products = 24 * 2 * 64 * 60 * 184 * 320 / 1e9
    assert (light - products) * 180 / 184 == pytest.approx(50.73, abs=0.005)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    upsampler = {2: "pixelshuffledirect", 3: "nearest+conv"}.get(scale, "pixelshuffle")
    narrow = {**NARROW, "blocks": 1, "upsampler": upsampler}
    check_sizes("swinir", scale, channels=(1, 3) if scale == 2 else (3,), **narrow)


@pytest.mark.parametrize(
    "hparams",
    [
        {"scale": 1, "window": 7, "img_range": 255.0},
        {"scale": 2, "upsampler": "pixelshuffledirect"},
        {"scale": 3},
        {"scale": 4, "upsampler": "nearest+conv", "resi_connection": "3conv"},
        {"scale": 8, "padding": "needed"},
    ],
)
def test_the_original(hparams):
    golden_case("swinir", f"x{hparams['scale']}", (12, 10), **{**NARROW, **hparams})


def test_training_pads_what_it_must():
    lr = jnp.zeros((1, 8, 6, 3))
    narrow = {**NARROW, "blocks": 1}
    values = variables("swinir", **narrow)

    def program(train=False, **hparams):
        module = make_model("swinir", **narrow, **hparams)
        return str(jax.make_jaxpr(lambda v: module.apply(v, lr, train))(values))

    assert program(padding="needed") == program(train=True) != program()


def test_stochastic_depth_leaves_whole_examples_out_in_training():
    class Branch(nn.Module):
        @nn.compact
        def __call__(self, x):
            return stochastic_depth(x, 0.25, True)

    x = jnp.ones((200, 2, 2, 3))
    y = np.asarray(Branch().apply({}, x, rngs={"dropout": jax.random.key(0)}))
    assert (y == y[:, :1, :1, :1]).all()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert 0.15 < (y[:, 0, 0, 0] == 0).mean() < 0.35


@pytest.mark.parametrize(("name", "more"), [("swinir", {}), ("hat", {"compress": 2, "squeeze": 2})])
def test_the_rate_of_stochastic_depth_rises_in_training(name, more, monkeypatch):
    family, seen = importlib.import_module(f"jsr.models.{name}"), []

    def watched(x, rate, train):
        seen.append((rate, train))
        return x

    monkeypatch.setattr(family, "stochastic_depth", watched)
    module = make_model(name, **{**NARROW, **more, "groups": 2}, drop_path=0.3)
    lr = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")
    values = jax.eval_shape(module.init, jax.random.key(0), lr)
    for train in (False, True):
        seen.clear()
        jax.eval_shape(functools.partial(module.apply, train=train), values, lr)
        assert seen == [(pytest.approx(0.1 * i), train) for i in range(4) for _ in (0, 1)]


def test_padding_goes_on_to_the_next_multiple():
    x = jnp.arange(1, 7).reshape(1, 2, 3, 1)
    assert pad(x, 3, always=True)[0, 0, :, 0].tolist() == [1, 2, 3, 3, 2, 1]
    assert pad(x, 3, always=True)[0, :, 0, 0].tolist() == [1, 4, 4]
    assert pad(x, 3, always=False)[0, :, :, 0].tolist() == [[1, 2, 3], [4, 5, 6], [1, 2, 3]]


def test_parts_that_met_by_rolling_do_not_see_each_other():
    attention = WindowAttention(heads=1, window=4, shift=2)
    x = np.random.default_rng(0).random((8, 8, 2), dtype=np.float32)
    # The other's bottom and right differ, which meet the top and left when rolled.
    other = x.copy()
    other[6:] += 1
    other[:, 6:] += 1
    both = np.stack([x, other])
    y = np.asarray(jax.jit(attention.apply)(start(attention, both), both))
    apart = np.abs(y[0] - y[1]).max(-1) > 1e-6
    assert not apart[:2, :2].any() and not apart[2:6, 2:6].any() and apart[6:].all()


def test_others_are_not_recognised():
    shapes = names("swinir", groups=2, blocks=2)
    assert recognise({**shapes, "layers.0.residual_group.overlap_attn.qkv.bias": (540,)}) is None
    extra = {k.replace("blocks.0", "blocks.2"): v for k, v in shapes.items() if "layers.1" in k}
    assert recognise({**shapes, **extra}) is None
    assert recognise(names("rrdb", blocks=1)) is None
    buffers = {
        "layers.0.residual_group.blocks.0.attn.relative_position_index": (64, 64),
        "layers.0.residual_group.blocks.1.attn_mask": (64, 64, 64),
    }
    assert recognise({**shapes, **buffers})["hparams"]["features"] == 180
