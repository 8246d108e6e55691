import numpy as np
import pytest
import runs
from PIL import Image
from scipy.ndimage import gaussian_filter

from jsr.clips import list_clips
from jsr.datasets import Photos, open_photos, pans
from jsr.errors import UserError
from jsr.temporal import measure_motion


@pytest.fixture(scope="module")
def photo():
    noise = runs.noise_photos([(90, 110)])[0].astype(float)
    smooth = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 6 * (smooth - smooth.mean()), 0, 255).astype(np.uint8)


def photos(photo):
    return Photos(["still"], np.array([photo.shape[:2]], np.int32), lambda i: photo)


def test_a_clip_is_a_function_of_photo_seed_and_number(photo):
    one, same, other = (pans.make_pans(photos(photo), 2, 4, 32, seed) for seed in (0, 0, 1))
    assert one.names[:5] == [
        "still-0/000",
        "still-0/001",
        "still-0/002",
        "still-0/003",
        "still-1/000",
    ]
    assert [len(clip) for clip in list_clips(one.names)] == [4, 4]
    for i in (7, 0, 3):
        np.testing.assert_array_equal(one[i], same[i])
        assert (one[i] != other[i]).mean() > 0.5
    assert (one[0] != one[4]).mean() > 0.5


def test_the_window_stays_inside_and_moves_as_told(photo):
    for number in range(50):
        path = pans.draw_path((90, 110), 0, number, 12, 64)
        for frame in (0, 11):
            half = path.step * (1 + path.zoom) ** frame * 63 / 2
            for start, speed, length in zip(path.start, path.speed, (90, 110), strict=True):
                centre = start + frame * speed
                assert half <= centre <= length - 1 - half
    path = pans.Path((40.0, 50.0), (0.0, 1.0), 0.8, 0.0)
    first, second = (pans.render(photo, path, t, 32) for t in (0, 1))
    motion = measure_motion(second, first)
    # A pixel of the photograph is 1 / 0.8 of the film's, and what is seen comes from the right.
    middle = motion.flow[:, 8:-8, 8:-8].mean((1, 2))
    np.testing.assert_allclose(middle, [0, 1.25], atol=0.05)


def test_many_windows_hardly_move_where_they_move_as_in_films(photo):
    paths = [pans.draw_path((500, 500), 0, i, 9, 64, pans.FILMLIKE) for i in range(300)]
    paces = np.array([np.hypot(*path.speed) for path in paths])
    assert 0.25 < (paces < 0.1).mean() < 0.35 and 3 < paces.max() < 4
    zooms = np.array([path.zoom for path in paths])
    assert -0.01 < zooms.min() < -0.008 and 0.008 < zooms.max() < 0.01
    assert (np.abs(zooms) < 0.001).mean() > 0.4


def test_a_thing_goes_its_own_way_in_front(photo):
    behind = pans.Path((40.5, 50.5), (0.0, 0.0), 1.0, 0.0)
    ahead = pans.Path((50.5, 60.5), (1.0, -2.0), 1.0, 0.0)
    thing = pans.Thing(ahead, (52.0, 58.0), (6.0, 5.0))
    for frame in (0, 2):
        seen = pans.render(photo, behind, frame, 30, [thing])
        # Where the thing's centre, and what is around it, lies in the frame.
        y, x = int(52 - 50.5 - frame + 14.5), int(58 - 60.5 + 2 * frame + 14.5)
        np.testing.assert_array_equal(seen[y - 3 : y + 4, x - 3 : x + 4], photo[49:56, 55:62])
        np.testing.assert_array_equal(seen[:, 24:], photo[26:56, 60:66])
        np.testing.assert_array_equal(seen[24:], photo[50:56, 36:66])


def test_how_many_things_there_are():
    drawn = [pans.draw_things((400, 400), 0, i, 9, 64, pans.FILMLIKE) for i in range(200)]
    counts = np.bincount([len(things) for things in drawn])
    assert len(counts) == 4 and counts.min() > 30
    thing, other = next(things for things in drawn if len(things) == 2)
    assert thing.path != other.path and thing.radii != other.radii
    for length, start, centre in zip((400, 400), thing.path.start, thing.centre, strict=True):
        assert abs(centre - start) <= thing.path.step * 32 and 0 < centre < length
    assert not any(pans.draw_things((400, 400), 0, i, 9, 64, pans.SAMPLE) for i in range(9))


def test_a_still_window_shows_the_photograph(photo):
    path = pans.Path((40.5, 50.5), (0.0, 0.0), 1.0, 0.0)
    np.testing.assert_array_equal(pans.render(photo, path, 3, 20), photo[31:51, 41:61])


def test_bad_input(photo):
    with pytest.raises(UserError, match=r"^still: 90x110 pixels are too few for films of 160x160"):
        pans.make_pans(photos(photo), 1, 4)
    with pytest.raises(UserError, match="sample_pans come with jsr and need no data_dir"):
        open_photos("sample_pans", "train", "x")


def test_splits_share_no_photograph(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path))
    films = [
        {n.split("-")[0] for n in open_photos("sample_pans", s, None).names}
        for s in pans.SAMPLE.clips
    ]
    assert not films[0] & films[1] and not (films[0] | films[1]) & films[2]
    test = open_photos("sample_pans", "test", None)
    assert test[0].shape == (160, 160, 3) and len(test) == 30


def test_pans_over_the_photographs_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="pans needs data_dir"):
        open_photos("pans", "train", None)
    for split, shade in zip(pans.FILMLIKE.clips, (60, 120, 180), strict=True):
        (tmp_path / "photos" / split).mkdir(parents=True)
        picture = Image.new("RGB", (240, 260), (shade, shade, shade))
        picture.save(tmp_path / "photos" / split / "plain.png")
    films = open_photos("pans", "valid", str(tmp_path / "photos"))
    assert films.names == [f"valid/plain.png-0/{i:03d}" for i in range(16)]
    assert films[3].shape == (160, 160, 3) and np.all(films[3] == 120)
    assert len(list_clips(open_photos("pans", "train", str(tmp_path / "photos")).names)) == 3
