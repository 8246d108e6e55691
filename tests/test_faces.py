import numpy as np
import pytest
import skimage.data
import test_datasets

from configs import faces as config
from jsr import train as training
from jsr.datasets import SPLITS, Photos, faces, open_photos
from jsr.errors import UserError


def test_scikit_images_faces_are_split_without_overlap():
    splits = [open_photos("lfw_faces", split, None) for split in SPLITS]
    assert [len(photos) for photos in splits] == [80, 10, 10]
    assert len({name for photos in splits for name in photos.names}) == 100
    face = splits[2][3]
    assert face.shape == (25, 25, 3) and (face[..., 0] == face[..., 2]).all()
    wanted = skimage.data.lfw_subset()[93] * 255
    assert np.abs(face[..., 0] - wanted).max() <= 0.5
    with pytest.raises(UserError, match="need no data_dir"):
        open_photos("lfw_faces", "train", "somewhere")


def test_a_face_is_the_middle_square():
    photo = np.zeros((218, 178, 3), np.uint8)
    photo[20:198] = 200
    photos = Photos(["a"], np.array([[218, 178]], np.int32), lambda index: photo)
    face = faces.square_faces(photos, 32)[0]
    assert face.shape == (32, 32, 3) and face.dtype == np.uint8 and (face == 200).all()


def test_celeb_a_as_unzipped_at_both_sizes(tmp_path):
    test_datasets.celeb_a_files(tmp_path)
    lines = (f"{number:06d}.jpg {part}\n" for number, part in enumerate([0, 0, 0, 1, 2, 2], 1))
    (tmp_path / "list_eval_partition.txt").write_text("".join(lines))
    for side in (32, 128):
        photos = open_photos(f"celeb_a_{side}", "test", str(tmp_path))
        assert len(photos) == 2 and photos[1].shape == (side, side, 3)
        assert photos.sizes.tolist() == [[side, side]] * 2


def test_celeb_a_as_prepared_by_tfds_in_small(tmp_path, monkeypatch):
    # TFDS's own builder writes records of a few made-up faces; no TensorFlow.
    test_datasets.test_celeb_a_as_prepared_by_tfds(tmp_path, monkeypatch)
    photos = open_photos("celeb_a_32", "valid", str(tmp_path))
    assert photos[0].shape == (32, 32, 3) and abs(int(photos[0].mean()) - 80) <= 2


def test_where_celeb_a_is_not_a_line_says_what_to_do(tmp_path):
    keys = config.get_config("celeba,smoke")
    keys.data.dir = str(tmp_path)
    with pytest.raises(UserError, match=r"img_align_celeba\.zip and list_eval_partition\.txt"):
        training.train(keys, tmp_path / "run")


@pytest.mark.long
def test_a_step_of_each_stage_on_scikit_images_faces(tmp_path):
    keys = config.get_config("smoke")
    assert (keys.data.patch, keys.discriminator.name) == (6, "conditional")
    assert "gan stage" in training.train(keys, tmp_path / "run")


@pytest.mark.parametrize(("presets", "patch"), [("celeba", 8), ("celeba,large", 32)])
def test_the_presets_are_of_the_sizes_that_they_say(presets, patch):
    keys = config.get_config(presets)
    assert (keys.data.patch, keys.scale) == (patch, 4)
    assert keys.data.name == f"celeb_a_{4 * patch}"
