import numpy as np
import pytest
from PIL import Image

from jsr import gallery as galleries
from jsr.datasets import Photos
from jsr.errors import UserError
from jsr.gallery import CROP, make_queries, open_gallery


def photo(seed: int, side: int = 64) -> np.ndarray:
    """Smooth, and unlike any other seed's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        Image.fromarray(photo(seed)).save(tmp_path / f"{seed}.png")
    return tmp_path


def test_what_cannot_be_asked_for_is_left_out_and_named(folder):
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    Image.fromarray(photo(9, 16)).save(folder / "tiny.png")
    Image.fromarray(photo(1)).save(folder / "same.png")
    Image.fromarray(photo(2)).save(folder / "same2.jpg", quality=80)
    gallery = open_gallery(str(folder), 8)
    assert gallery.photos.names == ["0.png", "1.png", "2.png"]
    broken, tiny = gallery.unreadable
    assert broken.startswith(f"{folder / 'broken.png'}: is cut short")
    assert tiny == f"{folder / 'tiny.png'}: is 16x16 pixels; queries at 1/8 need 64x64"
    assert gallery.same == [
        "same.png shows the same as 1.png",
        "same2.jpg shows the same as 2.png",
    ]


def test_of_several_that_are_the_same_the_first_stays(tmp_path):
    """Each is nearest to one that is left out itself; a mirror image is the same as well."""
    image = Image.fromarray(photo(0, 256))
    image.resize((72, 72)).save(tmp_path / "a_small.jpg", quality=80)
    image.resize((128, 128)).save(tmp_path / "b_web.jpg", quality=80)
    image.save(tmp_path / "c_original.png")
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "d_mirrored.png")
    Image.fromarray(photo(1)).save(tmp_path / "e.png")
    for name in "fg":
        Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / f"{name}_flat.png")
    gallery = open_gallery(str(tmp_path), 8)
    assert gallery.photos.names == ["a_small.jpg", "e.png", "f_flat.png"]
    assert gallery.same == [
        "b_web.jpg shows the same as a_small.jpg",
        "c_original.png shows the same as a_small.jpg",
        "d_mirrored.png shows the same as a_small.jpg",
        "g_flat.png shows the same as f_flat.png",
    ]


def test_a_gallery_of_one_picture_is_refused(folder):
    for name in ("1.png", "2.png"):
        Image.fromarray(photo(0)).save(folder / name)
    with pytest.raises(UserError, match=r"two different pictures or more \(1.png shows the same"):
        open_gallery(str(folder), 8)


def test_queries_are_windows_of_their_targets_and_follow_from_the_seed(folder):
    gallery = open_gallery(str(folder), 8)
    one, two = ([*make_queries(gallery, 2, 8, 0.1, 100, seed)] for seed in (0, 0))
    assert [query.target for query in one] == [query.target for query in two]
    for query, again in zip(one, two, strict=True):
        assert query.hr.shape == (56, 56, 3) and query.lr.shape == (7, 7, 3)
        assert np.array_equal(query.hr, again.hr) and np.array_equal(query.lr, again.lr)
        whole = gallery.photos[query.target].astype(int)
        apart = [
            np.abs(whole[y : y + 56, x : x + 56] - query.hr).mean()
            for y in range(9)
            for x in range(9)
        ]
        assert min(apart) < 2


def test_embedded_queries_are_of_held_out_crops_with_something_to_see(monkeypatch):
    def open_photos(name, split, data_dir):
        picture = np.concatenate([photo(len(split), CROP), np.full((CROP, CROP, 3), 90, np.uint8)])
        return Photos([split], np.int32([picture.shape[:2]]), lambda index: picture)

    monkeypatch.setattr(galleries, "open_photos", open_photos)
    found = open_gallery(None, 8)
    # train and valid have names of five letters, and so the same crops; flat ones are one.
    assert found.photos.names == ["train/0-0", f"train/{CROP}-0", "test/0-0"]
    assert [found.photos.names[index] for index in found.asked] == ["test/0-0"]


@pytest.mark.parametrize("scale", [11, 40, 80])
def test_embedded_crops_are_too_small_for_large_scales(scale):
    with pytest.raises(UserError, match=f"--scale {scale} is too much for .* 80x80 .*: at most 10"):
        open_gallery(None, scale)


def test_nothing_that_can_be_read_is_told(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(UserError, match=r"two different pictures or more \(.*broken.png"):
        open_gallery(str(tmp_path), 8)
