import importlib.resources.abc
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jsr.datasets import SPLITS, Photos, open_photos, published
from jsr.datasets import image_folder as image_folder_module
from jsr.datasets import sample_photos as sample_photos_module
from jsr.datasets.image_folder import split_pictures
from jsr.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def save(path: Path, height: int, width: int, mode: str = "RGB", level: int = 128) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = Image.fromarray(np.full((height, width, 3), level, np.uint8))
    pixels.convert(mode).save(path)
    return path


def run_python(script: str, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names_of_all_splits(dataset: str, data_dir: Path | None) -> dict[str, list[str]]:
    where = str(data_dir) if data_dir else None
    return {split: open_photos(dataset, split, where).names for split in SPLITS}


# --- sample photos ---


def test_sample_photos_are_disjoint_and_decode_to_the_sizes_they_state():
    names = []
    for split in SPLITS:
        photos = open_photos("sample_photos", split, None)
        names += photos.names
        assert len(photos) == len(photos.names) == len(photos.sizes) > 0
        assert photos.sizes.dtype == np.int32
        for i, size in enumerate(photos.sizes):
            assert photos[i].dtype == np.uint8
            assert photos[i].shape == (*size, 3)
    assert len(set(names)) == len(names)
    assert {"astronaut", "coffee", "camera"} <= set(names)


def test_sample_photos_have_the_pixels_of_their_own_name():
    photos = open_photos("sample_photos", "test", None)
    root = Path(importlib.util.find_spec("skimage").origin).parent
    for i, name in enumerate(photos.names):
        with Image.open(root / "data" / f"{name}.png") as file:
            assert np.array_equal(photos[i], np.asarray(file.convert("RGB")))


def test_every_sample_photo_states_its_licence():
    table = sample_photos_module.__doc__
    for files in sample_photos_module.PHOTOS.values():
        for file in files:
            assert Path(file).stem.replace("_right", "") in table


def test_reading_needs_no_tensorflow_and_prints_nothing():
    script = """
        import sys
        import jsr.datasets
        jsr.datasets.open_photos("sample_photos", "train", None)[0]
        assert "tensorflow" not in sys.modules
    """
    out, err = run_python(script).communicate(timeout=60)
    assert (out, err) == ("", "")


def test_preparing_leaves_nothing_in_the_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    open_photos("sample_photos", "valid", None)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_second_open_reads_what_the_first_prepared(monkeypatch):
    first = open_photos("sample_photos", "valid", None)
    monkeypatch.setattr(sample_photos_module.SamplePhotos, "_generate_examples", None)
    monkeypatch.setattr("fcntl.flock", None)  # a ready copy may lie where nobody may write
    second = open_photos("sample_photos", "valid", None)
    assert second.names == first.names
    assert np.array_equal(second[1], first[1])


def test_a_photo_missing_from_the_wheel_is_named_and_leaves_no_half_prepared_data(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sample_photos_module.PHOTOS, "valid", ("skimage/data/no_cat.png",))
        with pytest.raises(UserError, match=r"skimage/data/no_cat\.png .*scikit-image"):
            open_photos("sample_photos", "train", None)
    assert "chelsea" in open_photos("sample_photos", "valid", None).names


def test_sample_photos_refuse_a_data_dir(tmp_path):
    with pytest.raises(UserError, match="image_folder"):
        open_photos("sample_photos", "train", str(tmp_path))


def test_a_cache_that_cannot_be_written_is_the_users_mistake(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="JSR_CACHE"):
        open_photos("sample_photos", "train", None)


# --- names ---


def test_unknown_names_and_splits_list_the_known_ones():
    with pytest.raises(
        UserError, match=r"'div3k'.*celeb_a, celeb_a_128, celeb_a_32, clips, ct, df2k, div2k"
    ):
        open_photos("div3k", "train", None)
    with pytest.raises(UserError, match=r"'validation'.*train, valid, test"):
        open_photos("sample_photos", "validation", None)
    with pytest.raises(UserError, match="no_such_package"):
        open_photos("no_such_package:open_split", "train", None)
    with pytest.raises(UserError, match="no_such_function"):
        open_photos("jsr.datasets.sample_photos:no_such_function", "train", None)


def test_a_function_of_the_users_own_is_a_dataset(tmp_path, monkeypatch):
    (tmp_path / "my_photos.py").write_text(
        textwrap.dedent("""
            import numpy as np
            from jsr.datasets import Photos

            def open_flat(split, data_dir):
                flat = np.full((8, 9, 3), int(data_dir), np.uint8)
                return Photos([split], np.array([[8, 9]], np.int32), lambda i: flat)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    photos = open_photos("my_photos:open_flat", "valid", "7")
    assert photos.names == ["valid"]
    assert (photos[0] == 7).all()


def test_indices_outside_the_photos_raise_index_error():
    photos = Photos(["a"], np.array([[2, 2]], np.int32), lambda i: np.zeros((2, 2, 3), np.uint8))
    assert [photo.shape for photo in photos] == [(2, 2, 3)]
    for index in (-1, 1):
        with pytest.raises(IndexError):
            photos[index]


# --- folders ---


def test_a_folder_of_every_kind_of_picture_is_read_once_over_its_splits(tmp_path):
    root = tmp_path / "photos"
    save(root / "a.png", 5, 6)
    save(root / "deep" / "er" / "b.png", 7, 8, "L")
    save(root / "deep" / "c.png", 9, 10, "P")
    save(root / "d.png", 11, 12, "RGBA")
    save(root / "e.jpg", 13, 14)
    seen = {}
    for split in SPLITS:
        photos = open_photos("image_folder", split, str(root))
        for i, name in enumerate(photos.names):
            assert name not in seen
            assert photos[i].dtype == np.uint8
            assert photos[i].shape == (*photos.sizes[i], 3)
            assert abs(int(photos[i].mean()) - 128) <= 2
            seen[name] = tuple(photos.sizes[i])
    assert seen == {
        "a.png": (5, 6),
        "deep/er/b.png": (7, 8),
        "deep/c.png": (9, 10),
        "d.png": (11, 12),
        "e.jpg": (13, 14),
    }


def test_a_hash_splits_about_90_5_5_and_keeps_its_word_when_pictures_are_added():
    paths = [f"holiday/{i}.jpg" for i in range(2000)]
    before = split_pictures(paths)
    assert sorted(itertools.chain(*before.values())) == sorted(paths)
    assert 60 < len(before["valid"]) < 140
    assert 60 < len(before["test"]) < 140
    after = split_pictures(paths + [f"new/{i}.jpg" for i in range(500)])
    for split in SPLITS:
        assert set(before[split]) <= set(after[split])


@pytest.mark.parametrize("count", range(3, 40))
def test_every_split_has_a_picture(count):
    splits = split_pictures([f"{i}.png" for i in range(count)])
    assert all(splits[split] for split in SPLITS)
    assert sum(map(len, splits.values())) == count


def test_every_split_has_a_picture_even_where_the_hash_would_put_all_into_one():
    alike = split_pictures([f"{i}.png" for i in range(500)])["valid"][:4]
    assert [len(part) for part in split_pictures(alike).values()] == [1, 2, 1]


def test_two_pictures_are_too_few():
    with pytest.raises(UserError, match=r"2 pictures.*at least 3"):
        split_pictures(["a.png", "b.png"])


def test_sub_folders_are_the_splits():
    paths = ["train/x/a.png", "valid/b.png", "test/c.png", "test/d.png"]
    assert split_pictures(paths) == {
        "train": ["train/x/a.png"],
        "valid": ["valid/b.png"],
        "test": ["test/c.png", "test/d.png"],
    }


def test_a_split_without_its_sub_folder_comes_out_of_train_alone():
    train = [f"train/{i}.png" for i in range(100)]
    test = [f"test/{i}.png" for i in range(10)]
    splits = split_pictures(train + test)
    assert splits["test"] == test
    assert splits["valid"]
    assert sorted(splits["train"] + splits["valid"]) == sorted(train)


def test_sub_folders_that_make_up_no_splits_are_named():
    with pytest.raises(UserError, match=r"val/b\.png belongs to no split"):
        split_pictures(["train/a.png", "val/b.png", "test/c.png"])
    with pytest.raises(UserError, match="test/ but no train/"):
        split_pictures(["test/a.png", "b.png", "c.png", "d.png"])
    with pytest.raises(UserError, match=r"b\.png belongs to no split: with test/ there"):
        split_pictures(["test/a.png", "b.png"], "test")


def test_a_test_split_alone_can_be_scored_but_not_trained_on(tmp_path):
    assert split_pictures(["test/a.png"], "test") == {"test": ["test/a.png"]}
    save(tmp_path / "test" / "a.png", 20, 30)
    assert open_photos("image_folder", "test", str(tmp_path)).names == ["test/a.png"]
    with pytest.raises(UserError, match="test/ but no train/"):
        open_photos("image_folder", "train", str(tmp_path))


def test_a_changed_folder_is_prepared_anew_and_an_unchanged_one_is_not(tmp_path, monkeypatch):
    for name in ("train/a.png", "valid/b.png", "test/c.png"):
        save(tmp_path / "photos" / name, 8, 8)
    prepared = []
    sizes = image_folder_module.picture_size
    monkeypatch.setattr(
        image_folder_module, "picture_size", lambda path: prepared.append(path) or sizes(path)
    )
    data_dir = str(tmp_path / "photos")
    for _ in range(2):
        assert open_photos("image_folder", "train", data_dir).names == ["train/a.png"]
        assert len(prepared) == 3
    save(tmp_path / "photos" / "train" / "new.png", 9, 9)
    assert len(open_photos("image_folder", "train", data_dir)) == 2
    assert len(prepared) == 7
    save(tmp_path / "photos" / "train" / "a.png", 10, 11)
    assert open_photos("image_folder", "train", data_dir).sizes.tolist() == [[10, 11], [9, 9]]


def test_a_picture_replaced_by_another_of_as_many_bytes_is_noticed(tmp_path):
    for name in ("train/a.bmp", "valid/b.png", "test/c.png"):
        save(tmp_path / "photos" / name, 4, 8)
    data_dir = str(tmp_path / "photos")
    assert open_photos("image_folder", "train", data_dir).sizes.tolist() == [[4, 8]]
    before = (tmp_path / "photos" / "train" / "a.bmp").stat().st_size
    assert save(tmp_path / "photos" / "train" / "a.bmp", 8, 4).stat().st_size == before
    assert open_photos("image_folder", "train", data_dir).sizes.tolist() == [[8, 4]]


def test_a_file_that_is_no_picture_is_named_when_the_folder_is_opened(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "photos" / name, 8, 8)
    (tmp_path / "photos" / "broken.png").write_text("not a picture")
    with pytest.raises(UserError, match=r"broken\.png"):
        open_photos("image_folder", "train", str(tmp_path / "photos"))


def test_a_picture_that_changes_its_size_while_in_use_is_named(tmp_path):
    for name in ("train/a.png", "valid/b.png", "test/c.png"):
        save(tmp_path / "photos" / name, 8, 8)
    photos = open_photos("image_folder", "train", str(tmp_path / "photos"))
    save(tmp_path / "photos" / "train" / "a.png", 4, 8)
    with pytest.raises(UserError, match=r"train/a\.png has become 4x8.*was 8x8"):
        photos[0]


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="data_dir"):
        open_photos("image_folder", "train", None)
    with pytest.raises(UserError, match="nowhere"):
        open_photos("image_folder", "train", str(tmp_path / "nowhere"))


def test_two_processes_that_open_a_new_folder_at_once_prepare_it_once(tmp_path):
    for i in range(20):
        save(tmp_path / "photos" / f"{i}.png", 8, 8 + i)
    script = """
        import sys, time
        from pathlib import Path
        from jsr.datasets import image_folder, open_photos

        meeting, folder, me, other = Path(sys.argv[1]), *sys.argv[2:]
        measure, measured = image_folder.picture_size, []

        def picture_size(path):
            measured.append(path)
            time.sleep(0.02)
            return measure(path)

        image_folder.picture_size = picture_size
        (meeting / me).touch()
        while not (meeting / other).exists():
            time.sleep(0.001)
        photos = open_photos("image_folder", "train", folder)
        print(len(measured), sum(photo.shape[1] for photo in photos))
    """
    words = (str(tmp_path), str(tmp_path / "photos"))
    both = [run_python(script, *words, "a", "b"), run_python(script, *words, "b", "a")]
    ends = [process.communicate(timeout=60) for process in both]
    assert [err for _, err in ends] == ["", ""]
    results = [[int(word) for word in out.split()] for out, _ in ends]
    assert sorted(measured for measured, _ in results) == [0, 20]
    assert results[0][1] == results[1][1] > 0


# --- DIV2K and CelebA ---


@pytest.fixture(scope="module")
def div2k_files(tmp_path_factory):
    root = tmp_path_factory.mktemp("div2k")
    for i in range(1, 901):
        folder = "DIV2K_train_HR" if i <= 800 else "DIV2K_valid_HR"
        save(root / folder / f"{i:04d}.png", 2 + i % 5, 3, level=i % 256)
    return root


def check_div2k(data_dir: Path) -> None:
    for split, first, last in (("train", 1, 800), ("valid", 801, 810), ("test", 811, 900)):
        photos = open_photos("div2k", split, str(data_dir))
        assert photos.names == [f"{i:04d}" for i in range(first, last + 1)]
        for i in (first, first + 7, last):
            photo = photos[i - first]
            assert photo.shape == (2 + i % 5, 3, 3)
            assert (photo == i % 256).all()


def prepare_by_tfds(builder, monkeypatch, splits) -> None:
    """TFDS's own builder, its download replaced by `splits`: split -> iterator of (key, record)."""
    monkeypatch.setattr(type(builder), "_split_generators", lambda self, manager: splits)
    # An undeclared import of TFDS 4.9.10, here the standard library's module of the same content.
    monkeypatch.setitem(sys.modules, "importlib_resources", importlib.resources)
    tfds.display_progress_bar(False)
    builder.download_and_prepare(file_format="array_record")


def test_div2k_as_unzipped(div2k_files):
    check_div2k(div2k_files)


def test_div2k_as_prepared_by_tfds(div2k_files, tmp_path, monkeypatch):
    def records(folder, ids):
        for i in ids:
            path = str(div2k_files / folder / f"{i:04d}.png")
            yield f"{i:04d}x2.png", {"lr": path, "hr": path}

    builder = tfds.builder("div2k/bicubic_x2", data_dir=tmp_path)
    splits = {
        "train": records("DIV2K_train_HR", range(1, 801)),
        "validation": records("DIV2K_valid_HR", range(801, 901)),
    }
    prepare_by_tfds(builder, monkeypatch, splits)
    check_div2k(tmp_path)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("layout", ["one", "two", "nested"])
def test_df2k_has_flickr2k_after_div2k_in_train(div2k_files, tmp_path, monkeypatch, layout):
    monkeypatch.setattr(published, "FLICKR2K", published.FLICKR2K[:3])
    root = tmp_path / "Flickr2K" if layout == "nested" else tmp_path
    for i, name in enumerate(published.FLICKR2K):
        save(root / name, 5, 6 + i, level=i)
    if layout == "nested":
        (tmp_path / "DIV2K").symlink_to(div2k_files)
    elif layout == "one":
        for name in ("DIV2K_train_HR", "DIV2K_valid_HR"):
            (tmp_path / name).symlink_to(div2k_files / name)
    data_dir = f"{tmp_path}, {div2k_files}" if layout == "two" else str(tmp_path)
    photos = open_photos("df2k", "train", data_dir)
    assert len(photos) == 803
    assert photos.names[799:] == ["0800", "000001", "000002", "000003"]
    assert (photos[799] == 800 % 256).all() and photos[799].shape == (2, 3, 3)
    assert (photos[802] == 2).all() and photos[802].shape == (5, 8, 3)
    assert open_photos("df2k", "valid", data_dir).names[0] == "0801"


def test_a_df2k_that_is_not_there_or_in_part_says_what_goes_where(div2k_files, tmp_path):
    with pytest.raises(UserError, match=r"no DIV2K_train_HR without data_dir: unzip DIV2K_train"):
        open_photos("df2k", "train", None)
    with pytest.raises(UserError, match=r"no Flickr2K_HR below data_dir .*Flickr2K\.tar.*commas"):
        open_photos("df2k", "valid", str(div2k_files))
    save(tmp_path / "Flickr2K_HR" / "000001.png", 4, 4)
    with pytest.raises(UserError, match=r"2649 of 2650 .*Flickr2K_HR/000002\.png"):
        open_photos("df2k", "train", f"{div2k_files},{tmp_path}")


def test_an_incomplete_div2k_says_what_is_missing(tmp_path):
    save(tmp_path / "DIV2K_train_HR" / "0001.png", 4, 4)
    with pytest.raises(
        UserError, match=r"899 of 900 .*DIV2K_train_HR/0002\.png.*DIV2K_valid_HR\.zip"
    ):
        open_photos("div2k", "valid", str(tmp_path))


def test_datasets_that_are_nowhere_say_what_to_download(tmp_path):
    with pytest.raises(UserError, match=r"DIV2K_train_HR\.zip and DIV2K_valid_HR\.zip"):
        open_photos("div2k", "train", str(tmp_path))
    with pytest.raises(UserError, match=r"img_align_celeba\.zip and list_eval_partition\.txt"):
        open_photos("celeb_a", "train", str(tmp_path))


def celeb_a_files(root: Path) -> dict[str, Path]:
    return {
        f"{i:06d}.jpg": save(root / "img_align_celeba" / f"{i:06d}.jpg", 218, 178, level=20 * i)
        for i in range(1, 7)
    }


def test_celeb_a_as_unzipped(tmp_path):
    celeb_a_files(tmp_path)
    listing = tmp_path / "list_eval_partition.txt"
    parts = [0, 0, 0, 1, 2, 2]
    listing.write_text("".join(f"{i:06d}.jpg {part}\n" for i, part in enumerate(parts, 1)))
    names = names_of_all_splits("celeb_a", tmp_path)
    assert [len(names[split]) for split in SPLITS] == [3, 1, 2]
    assert names["valid"] == ["img_align_celeba/000004.jpg"]
    assert abs(int(open_photos("celeb_a", "valid", str(tmp_path))[0].mean()) - 80) <= 2
    listing.write_text("000001.jpg 0\n000002.jpg\n")
    with pytest.raises(UserError, match="line 2"):
        open_photos("celeb_a", "train", str(tmp_path))


def test_celeb_a_as_prepared_by_tfds(tmp_path, monkeypatch):
    builder = tfds.builder("celeb_a", data_dir=tmp_path)
    files = celeb_a_files(tmp_path / "files")
    features = builder.info.features

    def records(names):
        for name in names:
            zeros = {
                group: dict.fromkeys(features[group], 0)
                for group in ("landmarks", "attributes", "identity")
            }
            yield name, {"image": str(files[name]), **zeros}

    names = sorted(files)
    splits = {
        "train": records(names[:3]),
        "validation": records(names[3:4]),
        "test": records(names[4:]),
    }
    prepare_by_tfds(builder, monkeypatch, splits)
    counts = {"train": 3, "valid": 1, "test": 2}
    for split, count in counts.items():
        photos = open_photos("celeb_a", split, str(tmp_path))
        assert len(photos) == len(set(photos.names)) == count
        assert all(photo.shape == (218, 178, 3) for photo in photos)
    assert abs(int(open_photos("celeb_a", "valid", str(tmp_path))[0].mean()) - 80) <= 2


def test_a_tfrecord_copy_says_how_to_convert_it(tmp_path, monkeypatch):
    test_celeb_a_as_prepared_by_tfds(tmp_path, monkeypatch)
    info = next((tmp_path / "celeb_a").glob("*/dataset_info.json"))
    described = json.loads(info.read_text()) | {"fileFormat": "tfrecord"}
    info.write_text(json.dumps(described))
    for file in info.parent.glob("*.array_record-*"):
        os.rename(file, str(file).replace("array_record", "tfrecord"))
    with pytest.raises(UserError, match="convert_format"):
        open_photos("celeb_a", "train", str(tmp_path))
