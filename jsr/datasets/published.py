"""DIV2K, DF2K and CelebA: from the files that their authors publish, or TFDS's prepared copy.

DIV2K (Agustsson and Timofte, 2017): train 0001-0800, valid 0801-0810, test 0811-0900.
DF2K: the same with Flickr2K (Timofte et al., 2017), 000001-002650, in train.
CelebA (Liu et al., 2015), aligned and cropped, 178x218: the authors' partition.
All are for research only.
"""

import importlib.util
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import hashing

from jsr.datasets import Photos
from jsr.datasets.image_folder import open_listing
from jsr.datasets.prepared import is_prepared, prepare
from jsr.errors import UserError
from jsr.images import picture_size, read_rgb

DIV2K_IDS = {"train": range(1, 801), "valid": range(801, 811), "test": range(811, 901)}
DIV2K_TFDS = ("div2k/bicubic_x4", "div2k/bicubic_x2", "div2k/bicubic_x3", "div2k/bicubic_x8")
DIV2K_HELP = (
    "download DIV2K_train_HR.zip and DIV2K_valid_HR.zip from "
    "https://data.vision.ee.ethz.ch/cvl/DIV2K, unzip both into one folder and give it as data_dir"
)
FLICKR2K = [f"Flickr2K_HR/{i:06d}.png" for i in range(1, 2651)]
DF2K_HELP = (
    "unzip DIV2K_train_HR.zip, DIV2K_valid_HR.zip (https://data.vision.ee.ethz.ch/cvl/DIV2K) and "
    "Flickr2K.tar (https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar) into one folder and give it as "
    "data_dir, or several folders with commas between"
)
CELEB_A_SPLITS = ("train", "valid", "test")  # in the order of the partition file's 0, 1, 2
CELEB_A_HELP = (
    "download img_align_celeba.zip and list_eval_partition.txt from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, unzip into one folder and give it as "
    "data_dir"
)


def open_div2k(split: str, data_dir: str | None) -> Photos:
    """Open a split of DIV2K's HR photographs, named 0001 to 0900.

    data_dir: the folder with `DIV2K_train_HR` and `DIV2K_valid_HR`, or one of TFDS's prepared
    copies (None: TFDS's own default). Raises UserError when it is in neither place, or in part.
    """
    root = Path(data_dir).expanduser().resolve() if data_dir else None
    if root and any((root / _div2k_folder(first)).is_dir() for first in (1, 801)):
        splits = {name: [_div2k_path(i) for i in ids] for name, ids in DIV2K_IDS.items()}
        _require_files(root, [path for paths in splits.values() for path in paths], DIV2K_HELP)
        photos = open_listing(root, splits, split)
        return Photos([Path(name).stem for name in photos.names], photos.sizes, photos.read)
    return _open_div2k_of_tfds(split, root)


def open_df2k(split: str, data_dir: str | None) -> Photos:
    """Open a split of DF2K: that of DIV2K, in train with Flickr2K's photographs after them.

    data_dir: a folder, or several with commas between, that hold `DIV2K_train_HR`,
    `DIV2K_valid_HR` and `Flickr2K_HR`, these perhaps in folders `DIV2K` and `Flickr2K`. Raises
    UserError where one of them is missing, or is there in part.
    """
    parts = filter(None, map(str.strip, (data_dir or "").split(",")))
    roots = [Path(part).expanduser().resolve() for part in parts]
    photos = open_div2k(split, str(_find_df2k(roots, "DIV2K_train_HR", data_dir)))
    flickr = _find_df2k(roots, "Flickr2K_HR", data_dir)
    if split != "train":
        return photos
    _require_files(flickr, FLICKR2K, DF2K_HELP)
    more = open_listing(flickr, {"train": FLICKR2K}, "train")
    names = [*photos.names, *(Path(name).stem for name in more.names)]
    sizes = np.concatenate([photos.sizes, more.sizes])
    count = len(photos)
    return Photos(names, sizes, lambda i: photos[i] if i < count else more[i - count])


def _find_df2k(roots: list[Path], folder: str, data_dir: str | None) -> Path:
    """Which of `roots`, or of the folders of the dataset's name in them, holds `folder`."""
    places = [place for root in roots for place in (root, root / folder.partition("_")[0])]
    found = next((place for place in places if (place / folder).is_dir()), None)
    if found is None:
        where = f"below data_dir {data_dir}" if data_dir else "without data_dir"
        raise UserError(f"there is no {folder} {where}: {DF2K_HELP}")
    return found


def open_celeb_a(split: str, data_dir: str | None) -> Photos:
    """Open a split of the aligned CelebA faces.

    data_dir: the folder with `img_align_celeba/` and `list_eval_partition.txt`, or one of TFDS's
    prepared copies (None: TFDS's own default). Raises UserError as `open_div2k` does.
    """
    root = Path(data_dir).expanduser().resolve() if data_dir else None
    if root and (root / "img_align_celeba").is_dir():
        return open_listing(root, _celeb_a_partition(root), split)
    source = _open_tfds(("celeb_a",), {"valid": "validation"}.get(split, split), root, CELEB_A_HELP)
    names = [f"{split}-{i:06d}" for i in range(len(source))]
    sizes = np.tile(np.array([[218, 178]], np.int32), (len(source), 1))
    return Photos(names, sizes, lambda i: read_rgb(source[i]["image"], names[i]))


def _open_div2k_of_tfds(split: str, data_dir: Path | None) -> Photos:
    part = "train" if split == "train" else "validation"
    source = _open_tfds(DIV2K_TFDS, part, data_dir, DIV2K_HELP)
    ids = [*DIV2K_IDS["train"]] if split == "train" else [*DIV2K_IDS["valid"], *DIV2K_IDS["test"]]
    if len(source) != len(ids):
        raise UserError(
            f"TFDS's copy of div2k has {len(source)} pictures in {part}, not {len(ids)}: "
            f"delete it and prepare it again; or {DIV2K_HELP}"
        )
    # TFDS stores records in the order of their hashed keys, which here are the LR files' names.
    suffix = source.dataset_info.config_name.rpartition("_")[2] + ".png"
    hasher = hashing.Hasher(part)
    ids.sort(key=lambda i: hasher.hash_key(f"{i:04d}{suffix}"))
    positions = {i: position for position, i in enumerate(ids)}
    order = [positions[i] for i in DIV2K_IDS[split]]
    names = [f"{i:04d}" for i in DIV2K_IDS[split]]
    encoded = (source[position]["hr"] for position in order)
    sizes = np.array([*map(picture_size, encoded, names)], np.int32)
    return Photos(names, sizes, lambda i: read_rgb(source[order[i]]["hr"], names[i]))


def _open_tfds(names: tuple[str, ...], part: str, data_dir: Path | None, help: str):
    """Return TFDS's data source of encoded pictures: of the first of `names` that is prepared."""
    builders = (tfds.builder(name, data_dir=data_dir) for name in names)
    ready = next((builder for builder in builders if is_prepared(builder)), None)
    builder = ready or _prepare_by_tfds(names[0], data_dir, help)
    pictures = (
        name
        for name, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    )
    try:  # decoding would need TensorFlow or OpenCV
        return builder.as_data_source(
            part, decoders={name: tfds.decode.SkipDecoding() for name in pictures}
        )
    except NotImplementedError as error:
        raise UserError(
            f"TFDS's copy in {builder.data_dir} is no ArrayRecord and cannot be read without "
            "TensorFlow: convert it where TensorFlow is installed (tfds convert_format "
            f"--dataset_version_dir={builder.data_dir} --out_file_format=array_record)"
        ) from error


def _prepare_by_tfds(name: str, data_dir: Path | None, help: str) -> tfds.core.DatasetBuilder:
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"there is no {name.partition('/')[0]} in {data_dir or tfds.core.constants.DATA_DIR}: "
            f"{help}; or let TFDS download it: pip install 'jsr-superres[prepare]'"
        )
    try:
        return prepare(lambda: tfds.builder(name, data_dir=data_dir), progress=True)
    except Exception as error:  # whatever stops a download or an archive
        raise UserError(f"TFDS cannot prepare {name} ({error}): {help}") from error


def _div2k_folder(number: int) -> str:
    return "DIV2K_train_HR" if number in DIV2K_IDS["train"] else "DIV2K_valid_HR"


def _div2k_path(number: int) -> str:
    return f"{_div2k_folder(number)}/{number:04d}.png"


def _celeb_a_partition(root: Path) -> dict[str, list[str]]:
    listing = root / "list_eval_partition.txt"
    _require_files(root, [listing.name], CELEB_A_HELP)
    splits = {split: [] for split in CELEB_A_SPLITS}
    for number, line in enumerate(listing.read_text().splitlines(), start=1):
        words = line.split()
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise UserError(f"{listing}, line {number}: {line!r} is no 'picture 0|1|2'")
        splits[CELEB_A_SPLITS[int(words[1])]].append(f"img_align_celeba/{words[0]}")
    _require_files(root, [path for paths in splits.values() for path in paths], CELEB_A_HELP)
    return splits


def _require_files(root: Path, paths: list[str], help: str) -> None:
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(paths)} files are missing in {root}, first {missing[0]}: "
            f"{help}"
        )
