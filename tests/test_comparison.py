"""Pages that show pictures before and after: what they hold, when they are there, memory."""

import base64
import re
import tracemalloc

import numpy as np
import pytest
from pictures import SRGB, noise, oriented, smooth
from PIL import Image
from tiny_network import make_network

from jsr import comparison, resize
from jsr.comparison import Comparison, make_views
from jsr.enlarged_files import EnlargedFiles
from jsr.enlargement import Enlargement
from jsr.errors import PartlyDone, UserError
from jsr.images import Picture, read_picture, write_picture
from jsr.picture_jobs import plan_jobs
from jsr.tiled_network import TiledNetwork


def picture(pixels, **more):
    return Picture(pixels, **{"alpha": None, "icc": None, "dpi": None, "exif": None, **more})


@pytest.fixture(scope="module")
def model():
    return Enlargement({2: TiledNetwork(make_network(noise=0.02))})


def embedded(page):
    """The embedded pictures of a page, decoded."""
    data = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page.read_text())
    return [read_picture(base64.b64decode(one)) for one in data]


def pair(height, width, **more):
    return picture(smooth(height, width, 3), **more), picture(smooth(2 * height, 2 * width, 3))


def test_small_views_are_bicubic_and_the_result_to_the_pixel():
    before, after = pair(9, 7)
    views = make_views(before, after)
    expected = resize.to_uint8(resize.imresize(before.pixels.astype(float), scale=2))
    shown = [read_picture(view.data).pixels for view in views]
    assert np.abs(shown[0].astype(int) - expected)[4:-4, 4:-4].max() <= 1
    np.testing.assert_array_equal(shown[1], after.pixels)
    assert {view.form for view in views} == {"PNG"}


def test_large_views_are_shrunk_and_say_so(monkeypatch):
    monkeypatch.setattr(comparison, "SHOWN_PIXELS", 5000)
    monkeypatch.setattr(comparison, "LOSSLESS_PIXELS", 100)
    before, after = pair(100, 50)
    views = make_views(before, after)
    assert [(v.height, v.width, v.form) for v in views] == 2 * [(100, 50, "JPEG")]
    assert read_picture(views[1].data).pixels.shape == (100, 50, 3)
    told = comparison.facts(before, after, views[1], "PNG", "net", 1.234)
    assert told["Shown"] == "shrunk to 50x100, with some loss"
    assert (told["Size"], told["Time"]) == ("50x100 → 100x200", "1.23 s")


def test_strips_keep_to_the_longest_side():
    views = make_views(picture(noise(1, 10_000, 3)), picture(noise(2, 20_000, 3)))
    assert views[0].width == comparison.SHOWN_SIDE and views[0].height == 2


def test_views_keep_colours_and_transparency_but_tell_nothing_else(monkeypatch):
    monkeypatch.setattr(comparison, "LOSSLESS_PIXELS", 100)
    deep = noise(20, 20, 3).astype(np.uint16) * 257
    more = {"icc": SRGB, "exif": oriented(1).tobytes(), "alpha": deep[..., 0]}
    for view in make_views(picture(deep, **more), picture(deep, **more)):
        shown = read_picture(view.data)
        assert view.mime == "image/webp" and shown.icc == SRGB and shown.exif is None
        assert np.abs(shown.alpha.astype(int) - deep[..., 0] // 257).max() <= 1


def test_a_folder_becomes_one_page(model, tmp_path):
    for name, side in (("a.png", 6), ("deep/<b>&.jpg", 8)):
        write_picture(tmp_path / "in" / name, picture(noise(side, side, 3)))
    (tmp_path / "in" / "c.png").write_bytes(b"no picture")
    jobs = plan_jobs([str(tmp_path / "in"), str(tmp_path / "out")])
    for again in (False, True):
        page = Comparison(tmp_path / "new" / "page.html", "net")
        with pytest.raises(PartlyDone, match="2 of 3 enlarged"), page:
            EnlargedFiles(model, compare=page).run(jobs)
        text = page.path.read_text()
        shown = embedded(page.path)
        assert [one.pixels.shape for one in shown] == 2 * [(12, 12, 3)] + 2 * [(16, 16, 3)]
        np.testing.assert_array_equal(shown[1].pixels, read_picture(tmp_path / "out/a.png").pixels)
        assert "deep/&lt;b&gt;&amp;.jpg" in text and "<b>" not in text
        assert "c.png: is not a picture" in text
        # Those of an earlier run are shown without a time.
        assert ("<dt>Time</dt>" in text) != again
        assert "{{" not in text and "http" not in text
    assert [path.name for path in page.path.parent.iterdir()] == ["page.html"]


def test_gray_and_transparency_stay():
    before = picture(noise(6, 5, 1), alpha=np.full((6, 5), 255, np.uint8))
    before.alpha[:, 2:] = 0
    shown = [read_picture(view.data) for view in make_views(before, picture(noise(12, 10, 1)))]
    assert shown[0].pixels.shape == (12, 10, 1) and shown[1].alpha is None
    assert (shown[0].alpha[:, 0] == 255).all() and (shown[0].alpha[:, 9] == 0).all()
    # What is hidden does not shine through.
    solid = picture(np.full((6, 5, 3), 200, np.uint8), alpha=before.alpha)
    solid.pixels[:, 2:] = 0
    lr, _ = make_views(solid, picture(noise(12, 10, 3)))
    lr = read_picture(lr.data)
    assert lr.pixels[lr.alpha > 20].min() >= 195


def test_animations_show_their_first_frame(model, tmp_path):
    frames = [Image.fromarray(noise(6 + n, 8, 3)[:6]) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    with Comparison(tmp_path / "page.html", "net") as page:
        jobs = plan_jobs([str(tmp_path / "a.gif"), str(tmp_path / "b.gif")])
        EnlargedFiles(model, all_frames=True, compare=page).run(jobs)
    assert [one.pixels.shape for one in embedded(page.path)] == [(12, 16, 3)] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, UserError, None])
def test_without_pictures_or_broken_off_nothing_is_left(tmp_path, error):
    (tmp_path / "page.html").write_text("older")
    with pytest.raises(error or UserError), Comparison(tmp_path / "page.html", "net") as page:
        if error in (KeyboardInterrupt, ZeroDivisionError):
            page.add("a", *pair(4, 4), "PNG", 1.0)
        raise error or UserError
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "older"


def test_places_that_cannot_be_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "a.html").mkdir()
    for path, told in [
        (tmp_path / "a.png", "name a page, as in compare.html"),
        (tmp_path / "a.html", "is a folder; name a page in it"),
        (tmp_path / "file" / "a.html", "cannot be written"),
    ]:
        with pytest.raises(UserError, match=told), Comparison(path, "net"):
            pass


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    before, after = pair(60, 60)
    peaks = []
    with Comparison(tmp_path / "page.html", "net") as page:
        page.add("a", before, after, "PNG", 1.0)
        tracemalloc.start()
        try:
            for count in (5, 100):
                tracemalloc.reset_peak()
                for _ in range(count):
                    page.add("a", before, after, "PNG", 1.0)
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
    assert page.path.read_text().count("<figure") == 106
