"""The evaluation that training and every table share; the report and sheet made from it."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import scoring_speed
import skimage.data
from PIL import Image

from jsr import color, metrics, report, resize, sheet
from jsr.errors import UserError
from jsr.methods import Method, classical
from jsr.protocols import get_protocol
from jsr.scoring import Fault, evaluate, high_frequency, read_item, read_items, tell

Y = get_protocol("y")


class Photos(list):
    """A split as the loop sees it."""

    def __init__(self, *photos):
        super().__init__(photos)
        self.names = [f"photo{i}" for i in range(len(photos))]


@pytest.fixture(scope="module")
def photos():
    cat = skimage.data.chelsea()
    return Photos(cat[:63, :81], cat[100:164, 100:170])


def bicubic(item):
    return resize.imresize(item.lr, scale=item.scale)


def wave(cycles: float, size: int = 64) -> np.ndarray:
    """Y [size, size] with a horizontal wave of so many cycles over its width."""
    return 128 + 100 * np.cos(2 * np.pi * cycles * np.arange(size) / size) * np.ones((size, 1))


def test_items_are_cropped_and_shrunk(photos):
    items = list(read_items(photos, 2, Y))
    assert [item.name for item in items] == ["photo0", "photo1"]
    for item, photo in zip(items, photos, strict=True):
        height, width = (side // 2 * 2 for side in photo.shape[:2])
        np.testing.assert_array_equal(item.hr, photo[:height, :width])
        np.testing.assert_array_equal(item.lr, resize.imresize(item.hr, scale=0.5))
    replicated = read_item(photos, 0, 2, Y, "replicate").lr
    np.testing.assert_array_equal(replicated, resize.downscale(photos[0], 2, "replicate"))
    item = read_item(photos, 0, 2, Y, "basicsr")
    once = resize.to_uint8(resize.imresize(item.hr.astype(float), scale=0.5))
    np.testing.assert_array_equal(item.lr, once)


def test_items_of_one_channel_are_rounded_luma(photos):
    item = read_item(photos, 0, 2, get_protocol("classic"), "symmetric")
    y = np.floor(color.rgb_to_y(photos[0][:62, :80]) + 0.5)[..., None]
    np.testing.assert_array_equal(item.hr, y)
    np.testing.assert_array_equal(item.lr, resize.imresize(y, scale=0.5))


def test_lr_files_are_used_as_they_are(photos):
    files = [np.full((31, 40, 3), 7, np.uint8), np.zeros((9, 9, 3), np.uint8)]
    with_files = Photos(*photos)
    with pytest.raises(UserError, match="there are no LR files"):
        read_item(with_files, 0, 2, Y, "files")
    with_files.read_lr = files.__getitem__
    np.testing.assert_array_equal(read_item(with_files, 0, 2, Y, "files").lr, files[0])
    with pytest.raises(UserError, match="LR file is 9x9, but HR is 64x70 at scale 2"):
        _ = read_item(with_files, 1, 2, Y, "files").lr


def test_a_baselines_row_is_the_direct_computation(photos):
    row = evaluate("bicubic", bicubic, photos, "cats", 2, Y)
    expected = []
    for photo in photos:
        hr = photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2]
        sr = resize.imresize(resize.imresize(hr, scale=0.5), scale=2.0)
        x, y = (color.rgb_to_y(image[2:-2, 2:-2]) for image in (sr, hr))
        expected.append((metrics.psnr(x, y), metrics.ssim(x, y)))
    assert [(image["psnr"], image["ssim"]) for image in row["images"]] == expected
    assert row["psnr"] == pytest.approx(np.mean([psnr for psnr, _ in expected]), rel=1e-12)
    assert row["ssim"] == pytest.approx(np.mean([ssim for _, ssim in expected]), rel=1e-12)
    labels = {key: row[key] for key in ("name", "dataset", "scale", "protocol", "lr")}
    assert labels == {
        "name": "bicubic",
        "dataset": "cats",
        "scale": 2,
        "protocol": "y",
        "lr": "symmetric",
    }


def test_extra_figures_stand_by_each_image_and_in_the_mean(photos):
    extra = {"brightest": lambda sr, hr: sr.max() - hr.max() / 2}
    row = evaluate("bicubic", bicubic, photos, "cats", 2, Y, extra=extra)
    items = list(read_items(photos, 2, Y))
    expected = [extra["brightest"](bicubic(item), item.hr) for item in items]
    assert [image["brightest"] for image in row["images"]] == expected
    assert row["brightest"] == pytest.approx(np.mean(expected))


def test_only_the_wanted_metrics_are_taken(photos):
    row = evaluate("bicubic", bicubic, photos, "cats", 2, Y, wanted=("ssim",))
    assert set(row["images"][0]) == {"name", "ssim"} and "psnr" not in row


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_change_nothing(photos, workers):
    many = Photos(*photos, *photos, photos[0])
    row = evaluate("bicubic", bicubic, many, "cats", 2, Y, workers=workers)
    one = [evaluate("b", bicubic, Photos(p), "cats", 2, Y)["images"][0] for p in many]
    assert [image["name"] for image in row["images"]] == many.names
    assert [i["psnr"] for i in row["images"]] == [i["psnr"] for i in one]


def test_what_cannot_be_scored_is_named_and_the_others_are(photos):
    tiny = Photos(photos[0], np.zeros((1, 60, 3), np.uint8), photos[1])
    failed = []
    row = evaluate("bicubic", bicubic, tiny, "cats", 2, Y, failed=failed)
    assert [image["name"] for image in row["images"]] == ["photo0", "photo2"]
    (line,) = tell(failed)
    assert line.startswith("bicubic, cats x2, photo1: is too small")

    def nan(item):
        raise FloatingPointError("the network's output is not finite")

    with pytest.raises(UserError, match="no picture of cats could be scored: the network's out"):
        evaluate("net", nan, photos, "cats", 2, Y, failed=[])
    with pytest.raises(UserError) as caught:
        evaluate("net", nan, tiny, "cats", 2, Y, failed=[])
    head, first, second = str(caught.value).splitlines()
    assert head == "no picture of cats could be scored:"
    assert first == "  2 (photo0, photo2): the network's output is not finite"
    assert second.startswith("  photo1: is too small for scale 2")


def test_a_reason_is_told_once(photos):
    def odd(item):
        if item.index != 2:
            raise UserError("no such luck")
        return bicubic(item)

    failed = []
    many = Photos(*photos, *photos, photos[0])
    row = evaluate("net", odd, many, "cats", 2, Y, failed=failed)
    assert [image["name"] for image in row["images"]] == ["photo2"]
    told = "4 (photo0, photo1, photo3, ...): no such luck"
    assert tell(failed) == [f"net, cats x2, {told}"]
    evaluate("other", odd, many, "cats", 2, Y, failed=failed)
    evaluate("other", odd, Photos(*photos, photos[0]), "cats", 2, Y, failed=failed)
    assert tell([*failed, Fault("third, cats x2", "", "no files")]) == [
        f"net, cats x2 (and 1 more), {told}",
        "other, cats x2, 2 (photo0, photo1): no such luck",
        "third, cats x2: no files",
    ]


def test_a_picture_without_a_figure_counts_for_the_others(photos):
    def cold(sr, hr):
        if hr.shape[1] == 70:
            raise ValueError("it is flat all over")
        return 3.0

    failed = []
    row = evaluate("net", bicubic, photos, "cats", 2, Y, extra={"niqe": cold}, failed=failed)
    assert (row["niqe"], row["counts"]) == (3, {"niqe": 1}) and len(row["images"]) == 2
    assert row["psnr"] == np.mean([image["psnr"] for image in row["images"]])
    assert tell(failed) == ["net, cats x2, photo1: has no niqe: it is flat all over"]
    with pytest.raises(UserError, match="has no niqe: it is flat all over"):
        evaluate("net", bicubic, photos, "cats", 2, Y, extra={"niqe": cold})


def test_output_of_another_size_is_refused(photos):
    with pytest.raises(UserError, match="SR is 31x40, but HR is 62x80"):
        evaluate("same", lambda item: item.lr, photos, "cats", 2, Y)


def test_photos_too_small_for_a_score_are_told():
    with pytest.raises(UserError, match="cannot be scored: SSIM needs sides of 11"):
        evaluate("bicubic", bicubic, Photos(np.zeros((14, 60, 3), np.uint8)), "tiny", 2, Y)
    with pytest.raises(UserError, match="is too small for scale 2"):
        evaluate("bicubic", bicubic, Photos(np.zeros((1, 60, 3), np.uint8)), "tiny", 2, Y)


def test_high_frequency_is_zero_for_what_lr_can_hold():
    assert high_frequency(np.full((64, 48), 200.0), 2) == 0
    # x4 LR holds up to 8 cycles over 64 pixels.
    for cycles in (1, 3, 5):
        assert high_frequency(wave(cycles), 4) < 1e-9
        assert high_frequency(wave(cycles).T, 4) < 1e-9


def test_high_frequency_is_the_power_of_what_lr_cannot_hold():
    # A cosine of amplitude 100 has power 100**2 / 2.
    for y in (wave(20), wave(20).T):
        assert high_frequency(y, 4) == pytest.approx(5000)
    # What x4 cannot hold, x2 can.
    assert high_frequency(wave(12), 4) == pytest.approx(5000)
    assert high_frequency(wave(12), 2) < 1e-9


def test_high_frequency_grows_with_noise():
    noise = np.random.default_rng(0).normal(size=(64, 64))
    powers = [high_frequency(wave(3) + sigma * noise, 2) for sigma in (0, 1, 2, 4)]
    assert powers == sorted(powers)
    # White noise has three quarters of its power above half of the frequencies.
    assert powers[3] == pytest.approx(0.75 * 4**2, rel=0.1)


def test_the_busiest_crop_is_where_the_detail_is():
    hr = np.full((128, 160, 3), 90, np.uint8)
    hr[70:94, 90:114] = np.random.default_rng(0).integers(0, 256, (24, 24, 3))
    top, left = sheet.busiest_crop(hr, 32)
    assert top <= 70 and top + 32 >= 94 and left <= 90 and left + 32 >= 114


@pytest.mark.parametrize("size", [(19, 19), (24, 200), (300, 30)])
def test_the_busiest_crop_lies_inside_small_and_long_pictures(size):
    hr = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    side = min(64, size[0] // 2, size[1] // 2)
    top, left = sheet.busiest_crop(hr, side)
    assert 0 <= top <= size[0] - side and 0 <= left <= size[1] - side


def test_a_sheet_shows_every_panels_window_in_whole_pixels(photos):
    hr = photos[1]
    red, blue = np.zeros_like(hr), np.zeros_like(hr)
    red[..., 0] = blue[..., 2] = 255
    made = sheet.make_sheet(
        [("cat", hr, [("a", red, "1 dB"), ("b", blue, "2 dB"), ("HR", hr, "")])]
    )
    start, pitch = 2 * sheet.PANEL + 8, sheet.PANEL + 8
    assert made.shape == (sheet.PANEL + sheet.CAPTION, start + 3 * pitch, 3)
    panels = [made[: sheet.PANEL, start + i * pitch :][:, : sheet.PANEL] for i in range(3)]
    assert (panels[0] == (255, 0, 0)).all() and (panels[1] == (0, 0, 255)).all()
    side = min(sheet.PANEL // 4, hr.shape[0] // 2, hr.shape[1] // 2)
    top, left = sheet.busiest_crop(hr, side)
    window = Image.fromarray(hr[top : top + side, left : left + side])
    enlarged = window.resize((sheet.PANEL, sheet.PANEL), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(panels[2], enlarged)
    # The captions, and the mark on the whole picture.
    assert (made[sheet.PANEL :] < 128).any()
    assert (made[: sheet.PANEL, :start] == (255, 0, 0)).all(-1).any()


def test_a_sheet_shows_small_pictures_whole():
    hr = np.zeros((24, 24, 3), np.uint8)
    hr[-1, -1] = 255
    panel = sheet.make_sheet([("face", hr, [("HR", hr, "")])])[: sheet.PANEL, -sheet.PANEL - 8 :]
    assert (panel[-8:, -16:-8] == 255).all() and (panel[:-16] == 0).any()


def test_a_sheet_has_a_strip_a_photo(photos):
    strips = [("cat", photo, [("HR", photo, "")]) for photo in photos]
    assert sheet.make_sheet(strips).shape[0] == 2 * (sheet.PANEL + sheet.CAPTION)


def test_a_sheet_of_film_shows_the_middle_of_each_clip(photos):
    film = Photos(*photos, *photos)
    film.names = ["a/0", "a/1", "a/2", "b/0"]
    made = sheet.compare([("net", bicubic)], film, 2, Y, 3, film=True)
    expected = sheet.compare([("net", bicubic)], Photos(film[1], film[3]), 2, Y, 2)
    height = sheet.PANEL
    np.testing.assert_array_equal(made[:height], expected[:height])
    assert made.shape == expected.shape


def test_a_sheet_is_without_the_photos_that_fail(photos):
    def odd(item):
        if item.index == 0:
            raise FloatingPointError("the network's output is not finite")
        return bicubic(item)

    many = Photos(*photos, np.zeros((1, 60, 3), np.uint8), photos[0])
    left_out = []
    made = sheet.compare([("net", odd)], many, 2, Y, 2, left_out=left_out)
    expected = sheet.compare([("net", bicubic)], Photos(photos[1], photos[0]), 2, Y, 2)
    assert left_out == ["photo0", "photo2"] and made.shape == expected.shape
    # But for the names in the captions.
    height = sheet.PANEL
    np.testing.assert_array_equal(made[:height], expected[:height])
    with pytest.raises(UserError, match="no picture that every method could enlarge"):
        sheet.compare([("net", odd)], Photos(photos[0]), 2, Y, 2, left_out=[])
    with pytest.raises(FloatingPointError):
        sheet.compare([("net", odd)], many, 2, Y, 2)


@pytest.fixture
def reported(photos, tmp_path, monkeypatch):
    """A report whose two stages give bicubic and nearest."""
    stages = {"pixel": "bicubic", "gan": "nearest"}

    def from_network(name, path, network):
        assert path.parent == tmp_path and network == path.stem
        return Method(name, classical(stages[path.stem]).enlarge)

    monkeypatch.setattr(report, "load_network", lambda path: path.stem)
    monkeypatch.setattr(report.methods, "from_network", from_network)
    data = SimpleNamespace(name="cats", lr="symmetric", frames=1)
    config = SimpleNamespace(stages=("pixel", "gan"), scale=2, protocol="y", data=data)
    return lambda: report.report(tmp_path, config, photos)


def test_a_report_has_baselines_then_stages(reported, photos, tmp_path):
    text = reported()
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    names = ["bicubic", "nearest", "lanczos", "pixel stage", "gan stage"]
    assert [row["name"] for row in rows] == names
    assert rows[3]["images"] == rows[0]["images"] and rows[4]["images"] == rows[1]["images"]
    means = next(line for line in text.splitlines() if line.startswith("mean"))
    assert means.split("  ")[-1].strip() == f"{rows[4]['psnr']:.2f} / {rows[4]['ssim']:.4f}"
    for row in rows:
        assert f"{row['psnr']:.2f} / {row['ssim']:.4f}" in means
        assert f"{row['name']} {row['high_frequency']:.1f}, " in text.splitlines()[-1]
    hrs = (photos[0][:62, :80], photos[1])
    powers = [high_frequency(color.rgb_to_y(hr), 2) for hr in hrs]
    assert text.endswith(f"HR {np.mean(powers):.1f}")
    # LR, bicubic, two stages and HR of both photos.
    width = 2 * sheet.PANEL + 8 + 5 * (sheet.PANEL + 8)
    with Image.open(tmp_path / "sheet.png") as made:
        assert made.size == (width, 2 * (sheet.PANEL + sheet.CAPTION))


@pytest.mark.long
def test_scoring_is_three_times_as_fast_as_the_usual_way():
    # The machine may be busy for a moment: the best of three counts.
    found = [scoring_speed.compare(30) for _ in range(3)]
    # Beside other tests its second thread has to wait.
    needed = 2 if "PYTEST_XDIST_WORKER" in os.environ else 3
    assert max(run["ratio"] for run in found) >= needed
    # Two threads with a picture each, whatever the number of pictures.
    assert max(run["peak_planes"] for run in found) < 6 * os.cpu_count()
