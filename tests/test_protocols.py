"""Protocols: which pixels and colours count, and the figures that papers print."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jsr import hounsfield
from jsr.errors import UserError
from jsr.protocols import PROTOCOLS, get_protocol, score
from jsr.resize import crop_to_multiple, imresize, to_uint8

SHARED = Path(__file__).parent.parent / os.environ.get("JSR_SHARED", "../shared")
HR = SHARED / "bench/Set5/HR"
GOLDEN = SHARED / "golden/Set5_SR"
Y, RGB = get_protocol("y"), get_protocol("rgb")
PHOTOGRAPHS = {name: protocol for name, protocol in PROTOCOLS.items() if protocol.source != "ct"}


def picture(*shape, seed=0, low=40, high=200):
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def test_y_weighs_the_colours():
    hr = picture(32, 32, 3)
    for channel, weight in enumerate((65.481, 128.553, 24.966)):
        sr = hr.copy()
        sr[..., channel] += 10
        expected = 20 * math.log10(255 / (10 * weight / 255))
        assert score(sr, hr, 2, Y)["psnr"] == pytest.approx(expected, abs=1e-9)


def test_rgb_counts_the_channels_alike():
    hr = picture(32, 32, 3)
    for channel in range(3):
        sr = hr.copy()
        sr[..., channel] += 10
        expected = 20 * math.log10(255 / 10) + 10 * math.log10(3)
        assert score(sr, hr, 2, RGB)["psnr"] == pytest.approx(expected, abs=1e-9)


SHAVES = {"edsr-div2k": lambda scale: scale + 6, "vid4-duf": lambda scale: 8}
SHAVES |= dict.fromkeys(("reds", "vid4", "full"), lambda scale: 0)


@pytest.mark.parametrize("protocol", PHOTOGRAPHS.values(), ids=PHOTOGRAPHS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_so_many_pixels_are_shaved_and_no_more(protocol, scale):
    hr = picture(36, 36, 3)
    shave = SHAVES.get(protocol.name, lambda scale: scale)(scale)
    assert protocol.shave(scale) == shave
    if shave:
        sr = hr.copy()
        sr[:shave], sr[-shave:], sr[:, :shave], sr[:, -shave:] = 0, 0, 0, 0
        scores = score(sr, hr, scale, protocol)
        assert scores["psnr"] == math.inf
        assert scores["ssim"] == pytest.approx(1, abs=1e-12)
    for y, x in ((shave, 18), (-shave - 1, 18), (18, shave), (18, -shave - 1)):
        touched = hr.copy()
        touched[y, x] = 0
        assert score(touched, hr, scale, protocol)["psnr"] < math.inf


@pytest.mark.parametrize("protocol", PHOTOGRAPHS.values(), ids=PHOTOGRAPHS)
def test_gray_counts_as_three_equal_channels_unless_it_is_y(protocol):
    sr, hr = picture(32, 32, 1, seed=1), picture(32, 32, 1, seed=2)
    rgb = sr.repeat(3, axis=-1), hr.repeat(3, axis=-1)
    assert score(sr[..., 0], hr[..., 0], 2, protocol) == score(*rgb, 2, protocol)
    if protocol.source == "y":
        shave = protocol.shave(2)
        mse = np.mean((sr.astype(float) - hr)[shave:-shave, shave:-shave] ** 2)
        expected = 10 * math.log10(255**2 / mse)
        assert score(sr, hr, 2, protocol)["psnr"] == pytest.approx(expected)
    else:
        assert score(sr, hr, 2, protocol) == score(*rgb, 2, protocol)


def test_ct_is_compared_in_hounsfield_units_over_their_whole_range():
    ct = PROTOCOLS["ct"]
    hu = np.random.default_rng(3).integers(-1000, 3000, (32, 32, 1))
    hr = hounsfield.to_levels(hu)
    sr = hounsfield.to_levels(hu + 5)
    sr[:2], sr[:, -2:] = 0, 0  # a border of the scale is left out
    assert score(sr, hr, 2, ct)["psnr"] == pytest.approx(20 * math.log10(4095 / 5))
    assert score(hr, hr, 2, ct)["ssim"] == pytest.approx(1, abs=1e-12)
    lr = ct.shrink(hr, 2, "symmetric")
    assert lr.dtype == np.float32 and np.array_equal(hounsfield.round_levels(lr), lr)
    assert not np.array_equal(ct.shrink(hr, 2, "unrounded"), lr)


def test_ct_and_photographs_are_not_scored_by_each_others_protocols():
    slices, photo = np.zeros((8, 8, 1), np.float32), picture(8, 8, 3)
    for name in PHOTOGRAPHS:
        with pytest.raises(UserError, match=f"protocol {name} is not for CT slices"):
            PROTOCOLS[name].pictures(slices)
    with pytest.raises(UserError, match="protocol ct is not for pictures of 8 bits"):
        PROTOCOLS["ct"].pictures(photo)


def test_protocols_of_rgb_or_y_compare_that():
    sr, hr = picture(32, 32, 3, seed=1), picture(32, 32, 3, seed=2)
    planes = {name: p.compared(hr, 2) for name, p in PROTOCOLS.items()}
    for name in ("rgb", "edsr-div2k", "reds"):
        assert planes[name].shape[-1] == 3
    for name in ("y", "vid4", "full"):
        assert planes[name].ndim == 2 and (planes[name] % 1 != 0).any()
    for name in ("classic", "classic-bicubic"):
        assert planes[name].ndim == 2 and (planes[name] % 1 == 0).all()
    # What the protocol hands on is what it compares.
    classic = PROTOCOLS["classic"]
    handed = classic.pictures(sr), classic.pictures(hr)
    assert score(*handed, 2, classic) == score(sr, hr, 2, classic)


def test_ms_ssim_is_taken_where_it_is_wanted():
    hr = picture(184, 190, 3)
    assert score(hr, hr, 2, Y, ("ms_ssim",)) == {"ms_ssim": pytest.approx(1)}
    with pytest.raises(ValueError, match="MS-SSIM needs sides of 176"):
        score(hr[:178], hr[:178], 2, Y, ("ms_ssim",))


@pytest.mark.parametrize(
    ("sr", "hr", "scale", "message"),
    [
        (picture(32, 32, 3), picture(32, 36, 3), 2, r"SR is \[32, 32, 3\], but HR is \[32, 36, 3"),
        (picture(32, 32, 1), picture(32, 32, 3), 2, r"SR is \[32, 32, 1\], but HR is \[32, 32, 3"),
        (picture(32, 32, 4), picture(32, 32, 4), 2, r"not \[32, 32, 4\]"),
        (picture(1, 32, 32, 3), picture(1, 32, 32, 3), 1, r"not \[1, 32, 32, 3\]"),
        (picture(32, 32, 3) / 255, picture(32, 32, 3), 2, "SR is float64"),
        (picture(32, 33, 3), picture(32, 33, 3), 2, r"HR \[32, 33\] is not cropped to a multiple"),
        (picture(16, 32, 3), picture(16, 32, 3), 4, "11 pixels"),
        (picture(8, 8, 3), picture(8, 8, 3), 4, "nothing to compare"),
    ],
)
def test_what_cannot_be_scored_is_refused(sr, hr, scale, message):
    with pytest.raises(ValueError, match=message):
        score(sr, hr, scale, Y)


def test_protocols_are_frozen_and_known_by_name():
    assert [get_protocol(name).name for name in PROTOCOLS] == list(PROTOCOLS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Y.border = 0
    with pytest.raises(UserError, match="'luma' is unknown; known: y, rgb, classic"):
        get_protocol("luma")


GOLDEN_SCORES = {
    "y": "31.432089 0.91288906",
    "rgb": "26.757949 0.91100116",
    "classic": "31.411732 0.91260594",
    "classic-bicubic": "31.411732 0.91260594",
    "reds": "26.743203 0.91843771",
    "vid4": "31.473132 0.92077466",
    "full": "31.473132 0.92077466",
}


def test_figures_of_fixed_arrays_stay():
    """The expected ones are scikit-image 0.26's, its conversion to Y included."""
    rng = np.random.default_rng(2014)
    hr = rng.integers(30, 220, (6, 8, 3)).repeat(6, axis=0).repeat(6, axis=1).astype(np.uint8)
    sr = (hr + rng.integers(-20, 21, hr.shape)).astype(np.uint8)
    found = {
        name: "{psnr:.6f} {ssim:.8f}".format(**score(sr, hr, 3, protocol))
        for name, protocol in PHOTOGRAPHS.items()
        if protocol.margin == 0
    }
    assert found == GOLDEN_SCORES


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def set5(scale, enlarge):
    """Mean PSNR and SSIM of protocol y, as text, of (stem, hr) -> sr over Set5."""
    scores = []
    paths = sorted(HR.iterdir())
    for path in paths:
        hr = crop_to_multiple(read(path), scale)
        scores.append(score(enlarge(path.stem, hr), hr, scale, Y))
    assert len(scores) == 5
    means = {key: np.mean([s[key] for s in scores]) for key in ("psnr", "ssim")}
    return f"{means['psnr']:.3f}/{means['ssim']:.4f}"


@pytest.mark.long
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no golden/Set5_SR under JSR_SHARED")
@pytest.mark.parametrize(
    ("network", "scale", "printed"),
    [
        ("RCAN", 2, "38.274/0.9614"),
        ("RCAN", 3, "34.742/0.9299"),
        ("RCAN", 4, "32.634/0.9002"),
        ("RCAN", 8, "27.308/0.7878"),
        ("RDN", 2, "38.242/0.9614"),
        ("RDN", 3, "34.706/0.9296"),
        ("RDN", 4, "32.469/0.8990"),
    ],
)
def test_published_pictures_score_their_published_figures(network, scale, printed):
    def published(stem, hr):
        return read(GOLDEN / network / f"X{scale}" / f"{stem}_{network}_x{scale}.png")

    assert set5(scale, published) == printed


def bicubic_row(dataset, scale, name):
    """Mean PSNR and SSIM of bicubic, as text."""
    protocol, scores = get_protocol(name), []
    for path in sorted((SHARED / "bench" / dataset / "HR").iterdir()):
        hr = protocol.pictures(crop_to_multiple(read(path), scale))
        sr = imresize(protocol.shrink(hr, scale, "symmetric"), scale=scale)
        scores.append(score(to_uint8(sr), hr, scale, protocol))
    means = {key: np.mean([s[key] for s in scores]) for key in ("psnr", "ssim")}
    return f"{means['psnr']:.2f}/{means['ssim']:.4f}"


@pytest.mark.long
@pytest.mark.skipif(not HR.is_dir(), reason="no bench/Set5 under JSR_SHARED")
@pytest.mark.parametrize(
    ("dataset", "scale", "protocol", "printed"),
    [
        # What papers print as bicubic.
        ("Set5", 2, "classic-bicubic", "33.66/0.9299"),
        ("Set5", 3, "classic-bicubic", "30.39/0.8682"),
        ("Set5", 4, "classic-bicubic", "28.42/0.8104"),
        ("BSD100", 2, "classic-bicubic", "29.56/0.8431"),
        # Measured by the protocol of their other rows.
        ("Set5", 2, "y", "33.67/0.9303"),
        ("Set5", 3, "y", "30.40/0.8689"),
        ("Set5", 4, "y", "28.43/0.8111"),
        ("Set5", 4, "full", "28.44/0.8110"),
    ],
)
def test_bicubic_scores_the_printed_figures(dataset, scale, protocol, printed):
    assert bicubic_row(dataset, scale, protocol) == printed
