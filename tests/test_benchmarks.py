"""Benchmark sets in every layout in use, what belongs to what, and warnings of known traps."""

import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from jsr import resize
from jsr.datasets import benchmarks
from jsr.datasets.benchmarks import open_test_pictures
from jsr.datasets.pairing import pair_names, plain_name
from jsr.errors import UserError
from jsr.images import Picture, write_picture

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))
NAMES = ("baby", "bird", "butterfly", "head", "woman")


def picture(height=24, width=24, channels=3, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Picture(pixels, None, None, None, None)


def write(folder, pattern, size=24, names=NAMES, channels=3):
    for seed, name in enumerate(names):
        write_picture(folder / pattern.format(name), picture(size, size, channels, seed))


@pytest.fixture
def warned(caplog):
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("stem", "plain"),
    [
        ("baby", "baby"),
        ("baby_HR_x4", "baby"),
        ("babyx4", "baby"),
        ("baby_LRBI_x2", "baby"),
        ("img_001_SRF_4_HR", "img_001"),
        ("0801x4", "0801"),
        ("ppt3", "ppt3"),
        ("108005", "108005"),
        ("x4", "x4"),
        ("hr_01", "01"),
        ("clip/LR_01x4", "clip/01"),
        ("hr_", "hr_"),
    ],
)
def test_plain_names(stem, plain):
    assert plain_name(stem) == plain


@pytest.mark.parametrize(
    "pattern",
    ["{}", "{}x4", "{}_x4", "{}_RCAN_x4", "{}_LRBI_x4", "{}-sr", "{}.out", "{}_SwinIR", "lr_{}"],
)
def test_names_pair_up_in_any_order(pattern):
    found = [pattern.format(name) for name in reversed(NAMES)]
    assert pair_names(NAMES, found, "a and b") == [4, 3, 2, 1, 0]
    for decoration in ("{}_HR_x4", "hr_{}"):
        decorated = [decoration.format(name) for name in NAMES]
        assert pair_names(decorated, found, "a and b") == [4, 3, 2, 1, 0]


def test_names_that_would_become_one_stay_apart(tmp_path):
    assert pair_names(["fox_x2", "fox_x3"], ["fox_x3_SR", "fox_x2_SR"], "") == [1, 0]
    write(tmp_path / "set", "{}.png", names=("foxx2", "foxx3"))
    assert open_test_pictures("pairs", 4, str(tmp_path / "set")).names == ["foxx2", "foxx3"]
    write(tmp_path / "set", "{}.bmp", names=("foxx2",))
    with pytest.raises(UserError, match="several pictures are called foxx2: rename all but one"):
        open_test_pictures("pairs", 4, str(tmp_path / "set"))


def test_the_longest_name_wins():
    assert pair_names(["img", "img_1", "img_10"], ["img_10x2", "img_1x2", "imgx2"], "") == [2, 1, 0]
    assert pair_names(["a/001", "b/001"], ["b/001x4", "a/001x4"], "") == [1, 0]


def test_names_that_do_not_pair_up_are_told():
    with pytest.raises(
        UserError, match=r"SR and HR do not pair up.*: 2 without a partner: bird, c"
    ):
        pair_names(["baby", "bird"], ["baby", "cat"], "SR and HR")
    with pytest.raises(UserError, match="2 for the same picture: baby_a, baby_b"):
        pair_names(["baby"], ["baby_a", "baby_b"], "SR and HR")
    with pytest.raises(UserError, match=r"9 without a partner: 0, 1, 2, \.\.\.$"):
        pair_names([str(i) for i in range(9)], [], "SR and HR")
    # A longer word is another name.
    with pytest.raises(UserError, match="without a partner: head, headmaster"):
        pair_names(["head"], ["headmaster"], "SR and HR")


LAYOUTS = {
    "plain": ("Set5/{}.png", None),
    "SwinIR": ("Set5/HR/{}.png", "Set5/LR_bicubic/X4/{}x4.png"),
    "EDSR": ("benchmark/Set5/HR/{}.png", "benchmark/Set5/LR_bicubic/X4/{}x4.png"),
    "RCAN": ("HR/Set5/x4/{}_HR_x4.png", "LR/LRBI/Set5/x4/{}_LRBI_x4.png"),
    "SelfExSR": ("Set5/image_SRF_4/{}_SRF_4_HR.png", "Set5/image_SRF_4/{}_SRF_4_LR.png"),
    "BasicSR": ("set5/original/{}.png", "set5/LRbicx4/{}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_in_use_are_read(tmp_path, layout, warned):
    hr, lr = LAYOUTS[layout]
    write(tmp_path, hr)
    if lr:
        write(tmp_path, lr, size=6)
    photos = open_test_pictures("set5", 4, str(tmp_path))
    assert photos.names == [*NAMES] and photos.title == "Set5" and len(photos) == 5
    assert photos.sizes.tolist() == [[24, 24]] * 5
    np.testing.assert_array_equal(photos[2], picture(seed=2).pixels)
    if lr:
        np.testing.assert_array_equal(photos.read_lr(3), picture(6, 6, seed=3).pixels)
    else:
        assert photos.read_lr is None
    assert not warned()
    # The dataset's own folder serves as well.
    if layout in ("plain", "SwinIR", "SelfExSR"):
        assert open_test_pictures("set5", 4, str(tmp_path / "Set5")).names == [*NAMES]


def test_div2k_lies_in_folders_of_its_own(tmp_path, warned):
    write(tmp_path / "DIV2K_valid_HR", "{}.png", names=("0801", "0802"))
    write(tmp_path / "DIV2K_valid_LR_bicubic" / "X2", "{}x2.png", 12, names=("0801", "0802"))
    photos = open_test_pictures("div2k_val", 2, str(tmp_path))
    assert photos.title == "DIV2K-val" and photos.names == ["0801", "0802"]
    assert photos.read_lr(1).shape == (12, 12, 3)
    assert warned() == [f"DIV2K-val has 100 pictures, but 2 in {tmp_path}/DIV2K_valid_HR"]


def test_lr_may_lie_elsewhere(tmp_path):
    write(tmp_path / "Set5", "{}.png")
    write(tmp_path / "mine", "{}_down.png", size=12)
    photos = open_test_pictures("set5", 2, str(tmp_path), str(tmp_path / "mine"))
    assert photos.read_lr(0).shape == (12, 12, 3)
    (tmp_path / "mine" / "head_down.png").unlink()
    photos = open_test_pictures("set5", 2, str(tmp_path), str(tmp_path / "mine"))
    with pytest.raises(UserError, match=r"do not pair up by their names: 1 without .*: head"):
        photos.read_lr(0)


def test_pairs_are_any_folder(tmp_path):
    write(tmp_path / "film" / "one", "{}.png", names=("1", "2"))
    write(tmp_path / "film" / "two", "{}.png", names=("1", "2"))
    photos = open_test_pictures("pairs", 4, str(tmp_path / "film"))
    assert photos.names == ["one/1", "one/2", "two/1", "two/2"]
    assert (photos.title, photos.expected) == ("film", None)
    write(tmp_path / "Set9" / "HR", "{}.png")
    assert open_test_pictures("pairs", 4, str(tmp_path / "Set9" / "HR")).title == "Set9"
    assert open_test_pictures("pairs", 4, str(tmp_path / "Set9")).names == [*NAMES]


def test_frames_of_films_go_by_their_numbers(tmp_path):
    names = [str(number) for number in range(1, 13)]
    for folder, clip in (("loose", ""), ("films", "a/")):
        write(tmp_path / folder, f"HR/{clip}{{}}_HR_x4.png", 96, names)
        write(tmp_path / folder, f"LR/X4/{clip}{{}}x4.png", 24, names)
    films = open_test_pictures("pairs", 4, str(tmp_path / "films"), film=True)
    assert films.names == [f"a/{name}" for name in names] and films.read_lr is not None
    np.testing.assert_array_equal(films.read_lr(1), picture(24, 24, 3, 1).pixels)
    loose = open_test_pictures("pairs", 4, str(tmp_path / "loose"), film=True)
    assert (loose.names, loose.clip) == (names, "loose")
    # Stills keep the order of their names, and nothing is missing between them.
    (tmp_path / "loose" / "HR" / "7_HR_x4.png").unlink()
    stills = open_test_pictures("pairs", 4, str(tmp_path / "loose"))
    assert (stills.names[:3], stills.clip) == (["10", "11", "12"], "")
    with pytest.raises(UserError, match=r"HR: 1 frame\(s\) missing between 6_HR_x4.png and 8_HR"):
        open_test_pictures("pairs", 4, str(tmp_path / "loose"), film=True)
    write(tmp_path / "Set5", "{}.png", names=("1", "3"))
    assert open_test_pictures("set5", 4, str(tmp_path / "Set5"), film=True).names == ["1", "3"]


PHOTO = skimage.data.chelsea()[:96, :120]


def write_pair(folder, hr, lr, names=("1", "2"), scale=4):
    """Photographs as HR, and their LR, at the paths of two patterns."""
    for number, name in enumerate(names):
        photo = np.roll(PHOTO, 30 * number, axis=1)
        small = resize.downscale(photo, scale)
        for pattern, pixels in ((hr, photo), (lr, small)):
            path = folder / pattern.format(name)
            write_picture(path, Picture(pixels, None, None, None, None))


@pytest.mark.parametrize(
    ("hr", "lr"),
    [
        ("high/{}.png", "small/{}.png"),
        ("high/{}.png", "small/X4/{}x4.png"),
        ("high/film/{}.png", "small/film/{}.png"),
        ("{}.png", "{}x4.png"),
        ("hq/{}.png", "bicubic_x4/{}.png"),
    ],
)
def test_lr_that_no_name_gives_away_is_refused(tmp_path, hr, lr):
    write_pair(tmp_path, hr, lr)
    small, large = (pattern.format("1") for pattern in (lr, hr))
    with pytest.raises(UserError, match=f"{small} is {large} made smaller, and LR is not scored"):
        open_test_pictures("pairs", 4, str(tmp_path))


@pytest.mark.parametrize(
    ("hr", "lr"),
    [
        ("high/{}.png", "lr/{}.png"),
        ("high/{}.png", "LR/X4/{}x4.png"),
        ("films/{}.png", "LRx4/{}.png"),
        ("{}.png", "LQ/{}.png"),
        ("HR/hr_{}.png", "LR/lr_{}.png"),
        ("HR/film/{}.png", "LR/film/{}.png"),
        ("GT/film/{}.png", "LRbicx4/film/{}.png"),
        ("HR/film/{}.png", "LR_bicubic/X4/film/{}x4.png"),
        ("hr_{}.png", "lr_{}.png"),
        ("{}.png", "{}_LR.png"),
    ],
)
@pytest.mark.parametrize("names", [("1", "2"), ("01",)])
def test_lr_is_found_and_never_taken_for_hr(tmp_path, hr, lr, names):
    write_pair(tmp_path, hr, lr, names)
    photos = open_test_pictures("pairs", 4, str(tmp_path))
    assert [name.rpartition("/")[2] for name in photos.names] == [*names]
    np.testing.assert_array_equal(photos[0], PHOTO)
    np.testing.assert_array_equal(photos.read_lr(0), resize.downscale(PHOTO, 4))
    assert open_test_pictures("pairs", 3, str(tmp_path)).read_lr is None or "4" not in lr


def test_lr_beside_the_folder_of_hr_is_found(tmp_path):
    write_pair(tmp_path, "set/HR/{}.png", "set/LR/X4/{}.png")
    assert open_test_pictures("pairs", 4, str(tmp_path / "set" / "HR")).read_lr(1) is not None
    # Two that no layout knows: which one, must be said.
    for kind in ("LR_noisy", "LR_blurred"):
        write_pair(tmp_path / "two", "HR/{}.png", f"{kind}/{{}}.png")
    assert open_test_pictures("pairs", 4, str(tmp_path / "two")).read_lr is None


def test_clips_of_two_sizes_are_both_hr(tmp_path):
    write(tmp_path, "large/{}.png", size=96)
    for seed, name in enumerate(NAMES):
        write_picture(tmp_path / "small" / f"{name}.png", picture(24, 24, 3, 50 + seed))
    assert len(open_test_pictures("pairs", 4, str(tmp_path))) == 10


def test_pictures_beside_folders_of_more_are_not_dropped(tmp_path):
    write(tmp_path / "film", "one/{}.png")
    write(tmp_path / "film", "two/{}.png")
    write(tmp_path / "film", "{}.png", names=("preview",))
    with pytest.raises(
        UserError, match=r"holds 1 picture, and 10 more in its folders \(one, two\): keep"
    ):
        open_test_pictures("pairs", 4, str(tmp_path / "film"))
    # A whole benchmark set is that, whatever lies in its folders.
    write(tmp_path / "Set5", "{}.png")
    write(tmp_path / "Set5", "results/{}.png")
    assert open_test_pictures("set5", 4, str(tmp_path)).names == [*NAMES]


def test_pictures_named_otherwise_than_hr_are_not_dropped(tmp_path):
    write(tmp_path, "{}_HR.png", names=("cat", "dog"))
    write(tmp_path, "{}_bicubic.png", names=("cat", "dog"))
    assert open_test_pictures("pairs", 4, str(tmp_path)).names == ["cat", "dog"]
    write(tmp_path, "{}.png", names=("fox",))
    with pytest.raises(UserError, match=r"names, and fox\.png belong to none of them: name all"):
        open_test_pictures("pairs", 4, str(tmp_path))


def test_a_folder_of_lr_alone_is_no_set(tmp_path):
    write(tmp_path, "LR_bicubic/X4/{}.png")
    with pytest.raises(UserError, match="holds no HR pictures, only folders of LR; name that of"):
        open_test_pictures("pairs", 4, str(tmp_path))


def test_the_test_split_of_other_datasets_serves():
    photos = open_test_pictures("sample_photos", 4, None)
    assert photos.names == ["astronaut", "camera", "coffee"] and photos.read_lr is None
    assert photos[0].shape == (512, 512, 3)


def test_the_half_size_pictures_of_urban100_are_not_taken(tmp_path, warned):
    for folder, size in (("image_SRF_2", 12), ("image_SRF_4", 24)):
        write(tmp_path / "Urban100" / folder, f"{{}}_{folder[6:]}_HR.png", size)
        write(tmp_path / "Urban100" / folder, f"{{}}_{folder[6:]}_LR.png", 6)
    photos = open_test_pictures("urban100", 2, str(tmp_path))
    assert photos.sizes.tolist() == [[24, 24]] * 5 and photos.read_lr is None
    assert any("image_SRF_4's is taken" in line for line in warned())


def test_only_half_size_pictures_are_warned_of(tmp_path, warned):
    write(tmp_path / "Urban100" / "image_SRF_2", "{}_SRF_2_HR.png", 12)
    open_test_pictures("urban100", 2, str(tmp_path))
    assert any("is half size" in line for line in warned())


def test_gray_pictures_and_crops_to_12_are_warned_of(tmp_path, warned):
    write(tmp_path / "Set14" / "GTmod12", "{}.png", names=("comic",), channels=1)
    photos = open_test_pictures("set14", 4, str(tmp_path))
    assert photos[0].shape == (24, 24, 3) and (photos[0] == photos[0][..., :1]).all()
    assert len(warned()) == 2 + (photos[0].sum() > 0)  # what is read twice is told once
    lines = warned()
    assert any("cropped to multiples of 12" in line for line in lines)
    assert any("comic.png: is grayscale; it counts as three equal channels" in x for x in lines)


def test_transparent_pixels_are_refused(tmp_path):
    write(tmp_path / "Set5", "{}.png")
    opaque = Picture(picture().pixels, np.full((24, 24), 255, np.uint8), None, None, None)
    write_picture(tmp_path / "Set5" / "baby.png", opaque)
    open_test_pictures("set5", 4, str(tmp_path))[0]
    opaque.alpha[3, 3] = 254
    write_picture(tmp_path / "Set5" / "baby.png", opaque)
    with pytest.raises(
        UserError, match=r"baby\.png: has transparent pixels, which cannot be scored"
    ):
        open_test_pictures("set5", 4, str(tmp_path))[0]


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="dataset 'set6' is unknown; known: set5, set14, bsd100"):
        open_test_pictures("set6", 4, str(tmp_path))
    with pytest.raises(UserError, match=r"there is no BSD100 in .*; looked for BSD100, B100"):
        open_test_pictures("bsd100", 4, str(tmp_path))
    for name in (*benchmarks.BENCHMARKS, "pairs"):
        with pytest.raises(UserError, match=f"dataset {name} needs --data_dir"):
            open_test_pictures(name, 4, None)
    with pytest.raises(UserError, match="absent is no folder"):
        open_test_pictures("set5", 4, str(tmp_path / "absent"))


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "bench").is_dir(), reason="no bench under JSR_SHARED")
@pytest.mark.parametrize(("name", "count"), [("set5", 5), ("set14", 14), ("bsd100", 100)])
def test_the_real_sets_are_found(name, count, warned):
    for scale in (2, 3, 4):
        photos = open_test_pictures(name, scale, str(SHARED / "bench"))
        assert len(photos) == count
        height, width = photos.sizes[0] // scale
        assert photos.read_lr(0).shape == (height, width, 3)
    assert not warned()
