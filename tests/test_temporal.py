"""Scores over time: warping errors, and the protocols of video on folders of frames."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from test_evaluate import options, run, write  # noqa: F401

from jsr.datasets import Photos
from jsr.errors import UserError
from jsr.protocols import get_protocol
from jsr.scoring import evaluate
from jsr.temporal import Motion, Motions, measure_motion, warping_error, with_flicker


def scene(height=48, width=56, seed=0):
    noise = np.random.default_rng(seed).random((height, width, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 900 * (smooth - smooth.mean()), 0, 255).astype(np.uint8)


def film(count=4, step=2, side=32):
    whole = scene()
    return [whole[8 : 8 + side, step * t : step * t + side] for t in range(count)]


def photos(frames, names):
    return Photos(names, np.array([f.shape[:2] for f in frames], np.int32), frames.__getitem__)


def test_the_motion_of_a_pan():
    first, second = film(2)
    flow, seen = measure_motion(second, first)
    # What is at a column of the second frame was two columns to the right in the first.
    np.testing.assert_allclose(flow[:, 6:-6, 6:-6].mean((1, 2)), [0, 2], atol=0.1)
    assert seen[6:-6, 6:-6].mean() > 0.9 and not seen[:, -1].any()
    assert warping_error(second, first, Motion(flow, seen)) < 1e-4


def test_the_warping_error_by_hand():
    still = Motion(np.zeros((2, 4, 4), np.float32), np.ones((4, 4), bool))
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert warping_error(black, black, still) == 0
    # A fifth in each of three colours.
    assert warping_error(grey, black, still) == pytest.approx(3 * 0.2**2)
    half = still._replace(seen=np.arange(16).reshape(4, 4) < 8)
    spot = black.copy()
    spot[3] = 255
    assert warping_error(spot, black, half) == 0
    moved = Motion(np.stack([np.zeros((4, 4)), np.ones((4, 4))]), still.seen)
    ramp = np.repeat(np.arange(0, 255, 60, np.uint8)[None, :4], 4, 0)[..., None]
    assert warping_error(ramp[:, [1, 2, 3, 3]], ramp, moved) == 0
    assert np.isnan(warping_error(black, black, still._replace(seen=~still.seen)))


def test_flicker_counts_and_the_first_frame_of_a_clip_has_none():
    frames = film(4)
    names = ["a/0", "a/1", "b/0", "b/1"]
    rng = np.random.default_rng(0)
    calls = []

    def steady(item):
        calls.append(item.index)
        return item.hr

    def noisy(item):
        return np.clip(item.hr + rng.normal(0, 8, item.hr.shape), 0, 255).astype(np.uint8)

    given, protocol = photos(frames, names), get_protocol("vid4")
    motions, errors = Motions(names), {}
    for produce in (steady, noisy):
        made, figures = with_flicker(produce, given, protocol, 2, "symmetric", motions)
        row = evaluate(produce.__name__, made, given, "films", 2, protocol, over_time=figures)
        each = [image["warping_error"] for image in row["images"]]
        assert np.isnan(each[::2]).all() and np.isfinite(each[1::2]).all()
        assert row["warping_error"] == pytest.approx(np.nanmean(each))
        assert row["counts"] == {"warping_error": 2}
        errors[produce.__name__] = row["warping_error"]
    assert sorted(calls) == [0, 1, 2, 3]
    assert errors["steady"] < 1e-4 < 1e-3 < errors["noisy"]
    # Noise of 8 levels in two frames and three colours; less for what lies between pixels.
    assert errors["noisy"] < 1.1 * 6 * (8 / 255) ** 2


# Vid4 as papers score it


@pytest.fixture
def vid4(tmp_path):
    """Two clips of unequal length, SR with an error that grows from frame to frame."""
    for clip, count in (("calendar", 7), ("walk", 6)):
        for t, frame in enumerate(film(count, 1, 40)):
            error = (t + 1) * (1 if clip == "calendar" else 3)
            sr = frame.copy()
            sr[8:-8, 8:-8] = np.clip(sr[8:-8, 8:-8].astype(int) + error, 0, 255)
            sr[:8] = 0
            for folder, picture in (("HR", frame), ("SR", sr)):
                (tmp_path / folder / clip).mkdir(parents=True, exist_ok=True)
                write(tmp_path / folder / clip / f"{t:03d}.png", picture)
    return tmp_path


def y_psnr(folder, clip, t, border):
    from jsr.images import read_rgb

    planes = []
    for kind in ("SR", "HR"):
        rgb = read_rgb(folder / kind / clip / f"{t:03d}.png").astype(np.float64)
        rgb = rgb[border : rgb.shape[0] - border, border : rgb.shape[1] - border]
        planes.append(rgb @ np.array([65.481, 128.553, 24.966]) / 255 + 16)
    return 10 * np.log10(255**2 / np.mean((planes[0] - planes[1]) ** 2))


@pytest.mark.parametrize(("protocol", "border", "ends"), [("vid4", 0, 0), ("vid4-duf", 8, 2)])
def test_folders_like_vid4(vid4, run, protocol, border, ends):  # noqa: F811
    run(sr=vid4 / "SR", hr=vid4 / "HR", scale=4, protocol=protocol, json=vid4 / "t.json")
    [row] = json.loads((vid4 / "t.json").read_text())["rows"]
    means = []
    for clip, count in (("calendar", 7), ("walk", 6)):
        inner = range(ends, count - ends)
        means.append(np.mean([y_psnr(vid4, clip, t, border) for t in inner]))
    assert row["psnr"] == pytest.approx(np.mean(means), abs=1e-9)
    assert len(row["images"]) == 13 - 4 * ends and row["protocol"] == protocol
    assert row["images"][0]["name"] == f"calendar/{ends:03d}"


@pytest.mark.parametrize(
    "more", [{"protocol": "vid4"}, {"metrics": "psnr,warping_error"}, {"protocol": "y"}]
)
def test_rows_of_films_have_their_frames_in_order(tmp_path, run, more):  # noqa: F811
    for t, frame in enumerate(film(11, 1, 40)):
        write(tmp_path / "HR" / "walk" / f"{t}.png", frame)
    run(datasets="pairs", data_dir=tmp_path / "HR", baselines="nearest", scale=4,
        json=tmp_path / "t.json", **more)  # fmt: skip
    [row] = json.loads((tmp_path / "t.json").read_text())["rows"]
    last = "9" if more.get("protocol") == "y" else "10"
    assert row["images"][-1]["name"] == f"walk/{last}"


def test_a_clip_too_short_for_the_protocol_is_named(vid4, run):  # noqa: F811
    for t in range(4, 7):
        for kind in ("SR", "HR"):
            (vid4 / kind / "calendar" / f"{t:03d}.png").unlink()
    with pytest.raises(UserError, match="calendar has 4 frames, and the protocol leaves out 2 at"):
        run(sr=vid4 / "SR", hr=vid4 / "HR", scale=4, protocol="vid4-duf")


def test_the_command_prints_warping_errors(vid4, run):  # noqa: F811
    lines = run(
        datasets="pairs", data_dir=vid4 / "HR", baselines="bicubic,nearest", scale=4,
        protocol="vid4", metrics="psnr,warping_error", lr="bd",
    )  # fmt: skip
    text = "\n".join(lines)
    assert "warping error" in text and "nan" not in text.splitlines()[-1]
