"""Films: folders of frames, and film files, which are cut where the shot changes.

A folder that holds pictures is a clip, its pictures the frames in the order of the numbers in their
names. A film file is decoded when it is prepared, first to find its shots and again to keep their
frames; each shot is a clip ("film.mp4/shot-001"). Whole clips belong to a split, as pictures do in
`image_folder`: by `train/`, `valid/` and `test/` where they are there, else by a hash of the clip's
path.

What is prepared lies under a fingerprint of the files' paths, lengths and times.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from jsr.clips import check_same_size, clip_name, list_clips
from jsr.datasets import SPLITS, Photos
from jsr.datasets.frames import check_no_lr, list_frames
from jsr.datasets.image_folder import split_pictures
from jsr.datasets.prepared import LocalInfo, cache_dir, prepare
from jsr.errors import UserError
from jsr.film_formats import SUFFIXES as FILMS
from jsr.film_formats import require_pyav
from jsr.images import SUFFIXES as PICTURES
from jsr.images import picture_size, read_rgb
from jsr.shots import find_cuts, thumbnail

# Shots of films with fewer frames are left out.
SHORTEST = 16


class Clips(tfds.core.GeneratorBasedBuilder):
    """Frames below `root`: paths of those that are files, the bytes of a PNG of those of films."""

    # Another one wherever more is refused: what was prepared before is then looked at again.
    VERSION = tfds.core.Version("1.1.0")
    code_path = None  # TFDS would look for download checksums beside it, by an uninstalled package

    def __init__(self, root: Path, splits: dict[str, list[str]], **options):
        self.root = root
        self.splits = splits
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "path": tfds.features.Text(),
            "image": tfds.features.Text(),
            "height": np.int32,
            "width": np.int32,
        }
        return LocalInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        clips = sorted(itertools.chain.from_iterable(self.splits.values()))
        check_no_lr(self.root, [clip for clip in clips if (self.root / clip).is_dir()])
        return {split: self._generate_examples(clips) for split, clips in self.splits.items()}

    def _generate_examples(self, clips: list[str]) -> Iterator[tuple[str, dict]]:
        for clip in clips:
            source = self.root / clip
            frames = _of_film if source.is_file() else _of_folder
            for example in frames(source, clip):
                yield example["name"], example


def open_split(split: str, data_dir: str | None) -> Photos:
    """Open one split of the films below `data_dir`, frame by frame ("clip/000012").

    Raises UserError when there is no such folder, when it holds fewer than three clips or
    sub-folders that do not make up splits; for a clip of one frame, with a frame missing or of
    another size; for LR beside its HR; and for a film that is interlaced or cannot be decoded.
    """
    if not data_dir:
        raise UserError("clips needs data_dir: the folder that holds folders of frames, or films")
    root = Path(data_dir).expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"data_dir {data_dir} is no folder")
    splits = _split_clips(root, split)
    folder = cache_dir() / _fingerprint(root, splits)
    builder = prepare(lambda: Clips(root, splits, data_dir=folder))
    source = builder.as_data_source(split)
    # Without the pictures: those of films are many.
    heads = sorted(
        (r["name"].decode(), r["path"].decode(), r["height"], r["width"], place)
        for place, r in enumerate(source)
    )
    names = [head[0] for head in heads]
    sizes = np.array([head[2:4] for head in heads], np.int32).reshape(-1, 2)

    def read(index: int) -> np.ndarray:
        _, path, _, _, place = heads[index]
        return read_rgb(root / path if path else source[place]["image"], names[index])

    frames = Photos(names, sizes, read)
    _check_clips(frames, split)
    return frames


def list_sources(root: Path) -> list[str]:
    """Folders that hold pictures, and film files, relative to `root`, sorted."""
    found = set()
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        if any(part.startswith(".") for part in inside.parts) or not path.is_file():
            continue
        if path.suffix.lower() in PICTURES:
            found.add(inside.parent.as_posix())
        elif path.suffix.lower() in FILMS:
            found.add(inside.as_posix())
    if "." in found:
        raise UserError(
            f"{root}: has frames beside one another: put those of each clip in a folder"
        )
    return sorted(found)


def _of_folder(folder: Path, clip: str) -> Iterator[dict]:
    for index, path in enumerate(list_frames(folder)):
        height, width = picture_size(path)
        inside = f"{clip}/{path.name}"
        yield _example(f"{clip}/{index:06d}", inside, b"", height, width)


def _of_film(path: Path, clip: str) -> Iterator[dict]:
    shots = iter(_shots(path))
    shot, place = next(shots), 0
    for index, frame in enumerate(_decode(_open_film(path))):
        if index == shot.stop:
            following = next(shots, None)
            if following is None:
                return
            shot, place = following, place + 1
        if index in shot:
            name = f"{clip}/shot-{place:03d}/{index:06d}"
            yield _example(name, "", _as_png(frame), *frame.shape[:2])


def _shots(path: Path) -> list[range]:
    """The shots of a film, by frames; of several those that are too short are left out."""
    film = _open_film(path)
    small = [thumbnail(frame) for frame in _decode(film)]
    if film.damaged:
        logging.warning(
            "%s: %d packets or frames are damaged, and were concealed or left out: training learns"
            " what is concealed; copy the film again, or take it out",
            path,
            film.damaged,
        )
    borders = [0, *find_cuts(small), len(small)]
    shots = [range(a, b) for a, b in itertools.pairwise(borders)]
    kept = [shot for shot in shots if len(shot) >= SHORTEST] if len(shots) > 1 else shots
    if not kept:
        raise UserError(
            f"{path}: has {len(shots)} shots, none of {SHORTEST} frames or more: take it out"
        )
    if len(kept) < len(shots):
        short = len(shots) - len(kept)
        logging.warning("%s: %d shots under %d frames are left out", path, short, SHORTEST)
    return kept


def _open_film(path: Path):
    """The reader of a film. Raises UserError for one that is interlaced."""
    require_pyav()
    from jsr.film_reader import FilmReader

    film = FilmReader(path)
    if film.facts.interlaced:
        raise UserError(f"{path}: is interlaced, and combs would be learnt: deinterlace it first")
    return film


def _decode(film) -> Iterator[np.ndarray]:
    """The frames of a film, uint8 [h, w, 3]."""
    for frame in film.frames():
        pixels = frame.pixels
        yield pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _as_png(frame: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "png", compress_level=1)
    return data.getvalue()


def _example(name: str, path: str, image: bytes, height: int, width: int) -> dict:
    return {"name": name, "path": path, "image": image, "height": height, "width": width}


def _check_clips(frames: Photos, split: str) -> None:
    for clip in list_clips(frames.names):
        name = clip_name(frames.names[clip.start])
        check_same_size(frames, clip, name)
        if len(clip) < 2:
            raise UserError(f"{name} ({split}) has one frame: a clip has two or more; take it out")


def _split_clips(root: Path, split: str) -> dict[str, list[str]]:
    sources = list_sources(root)
    if not sources:
        raise UserError(f"{root}: has neither folders of frames nor films in it")
    try:
        return split_pictures(sources, split)
    except UserError as error:
        raise UserError(f"{root}: {str(error).replace('pictures', 'clips')}") from error


def _fingerprint(root: Path, splits: dict[str, list[str]]) -> str:
    digest = hashlib.sha256(str(root).encode())
    for split in SPLITS:
        for clip in splits.get(split, ()):
            source = root / clip
            for path in sorted(source.iterdir()) if source.is_dir() else [source]:
                status = path.stat()
                inside = path.relative_to(root)
                digest.update(f"\n{split} {inside} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]
