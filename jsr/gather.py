"""`python -m jsr.gather OUT PHOTOS ...`: a training folder out of folders of photographs.

A source is a folder, or FOLDER:N for photographs shrunk N times first (those enlarged or noisy at
full size). Near-duplicates among them, and of the benchmark pictures in --against, are left out;
what is large is cut into tiles, so that every region is drawn as often; OUT has train/, valid/ and
test/, and report.json says of every photograph what became of it.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from jsr import command_line
from jsr.errors import UserError
from jsr.images import Picture, list_pictures, read_rgb, write_picture
from jsr.near_duplicates import Signatures
from jsr.resize import downscale

SPLITS = ("train", "valid", "test")


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_list("against", [], "folders of pictures that must not be trained on")
    flags.DEFINE_integer("tile", 480, "about this side have the parts of what is larger", 1)
    flags.DEFINE_integer("smallest", 96, "what has a shorter side is left out", 1)
    flags.DEFINE_integer("valid", 12, "photographs held out to choose by", 0)
    flags.DEFINE_integer("test", 8, "photographs held out for the run's own table", 0)


def main(words: list[str], options) -> None:
    """`OUT SOURCE ...`: gather the sources' photographs in OUT, which must not be there yet."""
    if len(words) < 2:
        raise UserError("expected a new folder and where photographs are: OUT PHOTOS MORE:2 ...")
    target = Path(words[0])
    if target.exists():
        raise UserError(f"{target} is there already: name a new folder")
    sources = _label([_source(word) for word in words[1:]])
    photos = {
        f"{label}/{path.relative_to(folder)}": (path, shrink)
        for label, (folder, shrink) in sources.items()
        for path in _list(folder)
    }
    against = [path for folder in options.against for path in _list(Path(folder))]
    fates = _choose(photos, against, options)
    stems = _stems(photos)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in _bar([n for n in photos if fates[n]["fate"] in SPLITS], "writing"):
            folder = partial / fates[name]["fate"]
            path, shrink = photos[name]
            _write(folder, stems[name], _shrink(read_rgb(path), shrink), options.tile)
        # A line each: short, and as easily compared as read.
        lines = [f"{json.dumps(name)}: {json.dumps(fate)}" for name, fate in fates.items()]
        (partial / "report.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        partial.rename(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    counts = Counter(fate["fate"] for fate in fates.values())
    print(f"{target}: " + ", ".join(f"{count} {fate}" for fate, count in counts.items()))


def _label(sources: list[tuple[Path, int]]) -> dict[str, tuple[Path, int]]:
    """The sources by their folders' names, numbered where two are the same."""
    labelled: dict[str, tuple[Path, int]] = {}
    for folder, shrink in sources:
        # Neither "" nor "..", and nothing hidden, which would not be found again.
        name = Path(os.path.abspath(folder)).name.lstrip(".") or "photographs"
        labelled[_unique(name, labelled)] = (folder, shrink)
    return labelled


def _stems(photos: Iterable[str]) -> dict[str, str]:
    """How the tiles of each start: without suffix, numbered where two differ in nothing else."""
    names: dict[str, str] = {}
    for name in photos:
        names[_unique(str(Path(name).with_suffix("")), names)] = name
    return {name: stem for stem, name in names.items()}


def _unique(name: str, taken: Container[str]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n not in taken)


def _bar(items: Iterable, label: str) -> tqdm:
    # Nothing where the output is no terminal.
    return tqdm(items, label, unit="picture", disable=None)


def _source(word: str) -> tuple[Path, int]:
    folder, colon, shrink = word.rpartition(":")
    if colon and shrink.isdecimal() and not Path(word).exists():
        return Path(folder), max(1, int(shrink))
    return Path(word), 1


def _list(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    return list_pictures(folder)


def _shrink(pixels: np.ndarray, shrink: int) -> np.ndarray:
    return pixels if shrink == 1 else downscale(pixels, shrink)


def _choose(photos: dict, against: list[Path], options) -> dict[str, dict]:
    """For each photograph its split, or why it is left out, and what it is most like."""
    forbidden = Signatures((str(path), read_rgb(path)) for path in _bar(against, "benchmarks"))

    def read_large() -> Iterator[tuple[str, np.ndarray]]:
        for name, (path, shrink) in _bar(photos.items(), "photographs"):
            pixels = read_rgb(path)
            if min(pixels.shape[:2]) // shrink >= options.smallest:
                yield name, _shrink(pixels, shrink)

    fates = {name: {"fate": "left out: small"} for name in photos}
    ours = Signatures(read_large())
    twins, banned = ours.nearest(ours), ours.nearest(forbidden)
    kept: set[str] = set()
    # Of those that are alike the first by name stays.
    for name in sorted(ours.names):
        alike = [like for like in twins[name] if like.near and like.second in kept]
        fate = fates[name]
        for kind, likes in (("twin", alike or twins[name]), ("forbidden", banned[name])):
            for like in likes[:1]:
                fate[kind] = [like.second, like.bits, round(like.correlation, 3)]
        if any(like.near for like in banned[name]):
            fate["fate"] = "left out: forbidden"
        elif alike:
            fate["fate"] = "left out: twin"
        else:
            fate["fate"] = "train"
            kept.add(name)
    if len(kept) <= options.valid + options.test:
        raise UserError(f"only {len(kept)} photographs are left: too few for --valid and --test")
    for i, name in enumerate(sorted(kept, key=_hash)[: options.valid + options.test]):
        fates[name]["fate"] = "valid" if i < options.valid else "test"
    return fates


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _write(folder: Path, stem: str, pixels: np.ndarray, tile: int) -> None:
    tiles = [
        (y, x, part)
        for y, rows in enumerate(_parts(pixels, tile, 0))
        for x, part in enumerate(_parts(rows, tile, 1))
    ]
    if folder.name != "train":  # one place of each photograph is enough to choose by
        tiles = tiles[len(tiles) // 2 :][:1]
    for y, x, part in tiles:
        path = folder / f"{stem}_{y}_{x}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, Picture(np.ascontiguousarray(part), None, None, None, None))


def _parts(pixels: np.ndarray, tile: int, axis: int) -> list[np.ndarray]:
    return np.array_split(pixels, max(1, round(pixels.shape[axis] / tile)), axis)


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
