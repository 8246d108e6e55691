"""CT enlarged within its slices, in Hounsfield units: DICOM slices and series, NIfTI volumes.

python -m jsr.ct SERIES BIG --weights runs/ct              # a folder becomes a folder
python -m jsr.ct slice.dcm big.dcm --weights runs/ct --looks LOOKS --window brain
python -m jsr.ct volume.nii.gz big.nii.gz --weights runs/ct
python -m jsr.ct slice.dcm big.dcm --weights bicubic --scale 2

--looks writes a picture of each slice to look at: bicubic, the result, and where they differ.
What lies outside of -1024 to 3071 HU (padding, metal) is not enlarged: the nearest value is kept.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags, logging

from jsr import command_line, dicom, hounsfield, methods, nifti
from jsr.errors import UserError
from jsr.images import Picture, write_picture, write_whole
from jsr.weights import find_weights, load_network

# HU at which the map of differences is full of colour.
REACH = 50


def define_flags() -> None:
    """Define the options of the command line."""
    text = flags.DEFINE_string
    text("weights", None, f"a file or a workdir trained on CT, or {', '.join(methods.CLASSICAL)}")
    flags.DEFINE_integer("scale", None, "by how much to enlarge; default the network's", 1)
    flags.DEFINE_integer("tile", 0, "cut slices into tiles of this side; 0: whole slices", 0)
    text("looks", None, "a new folder for pictures of the slices, for looking only")
    windows = {name: f"{centre}/{width}" for name, (centre, width) in hounsfield.WINDOWS.items()}
    told = ", ".join(f"{name} {window}" for name, window in windows.items())
    flags.DEFINE_enum("window", "soft", [*windows], f"of --looks, centre/width in HU: {told}")


class Way:
    """What enlarges slices: `way(hu)` takes HU [h, w, 1] of any type, and `scale` says by how much.

    adversarial: whether its network comes from a GAN stage. Raises UserError for weights that are
    not of CT, and when called for an output that is not finite.
    """

    def __init__(self, spec: str | None, scale: int | None, tile: int = 0):
        if not spec:
            raise UserError("--weights is missing: a training's workdir, or a classical way")
        self._spec = spec
        if spec in methods.CLASSICAL and not Path(spec).exists():
            if scale is None:
                raise UserError(f"--weights {spec} enlarges by any scale: give --scale 4")
            self.name, self.adversarial, self.scale = spec, False, scale
            self._method = methods.classical(spec)
            return
        path = find_weights(spec)
        network = load_network(path, scale=scale)
        if network.facts["channels"] != "ct":
            raise UserError(
                f"{spec} was trained on photographs, not on CT in Hounsfield units: train one by"
                " --config configs/ct.py, or use a classical way"
            )
        self.name, self.scale = network.facts["model"], network.scale
        self.adversarial = network.facts.get("stage") == "gan"
        self._method = methods.from_network(self.name, path, network, tile=tile)

    def __call__(self, hu: np.ndarray) -> np.ndarray:
        """HU [h, w, 1] to [h * scale, w * scale, 1], whole ones: float64."""
        try:
            levels = self._method.enlarge(hounsfield.to_levels(hu), self.scale)
        except FloatingPointError as error:
            raise UserError(f"--weights {self._spec}: {error}: use other weights") from error
        sr = hounsfield.to_hu(levels)
        near = hu.astype(np.float64).repeat(self.scale, 0).repeat(self.scale, 1)
        return np.where((near < hounsfield.LOW) | (near > hounsfield.HIGH), near, sr)


def main(words: list[str], options) -> None:
    """`IN OUT`: a DICOM file, a folder with one series, or a NIfTI volume."""
    if len(words) != 2:
        raise UserError("expected two paths: python -m jsr.ct IN OUT")
    source, target = map(Path, words)
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; check the path")
    if target.exists():
        raise UserError(f"{target} is there already: name a new one")
    looks = Path(options.looks) if options.looks else None
    if looks:
        _check_looks(looks, target)
    way = Way(options.weights, options.scale, options.tile)
    if way.adversarial:
        logging.warning("%s", hounsfield.WARNING)
    folders = [target if source.is_dir() else None, looks]
    with _whole([folder for folder in folders if folder]) as hidden:
        pictures = _Looks(hidden.get(looks), options.window)
        if nifti.is_nifti(source):
            count = _enlarge_volume(source, target, way, pictures)
        elif source.is_dir():
            count = _enlarge_series(source, hidden[target], way, pictures)
        else:
            count = _enlarge_slice(source, target, way, pictures)
    print(
        f"{target}: {count} slice{'s'[: count != 1]} x{way.scale} by {way.name}; not for diagnosis"
    )


def _check_looks(looks: Path, target: Path) -> None:
    """Raise UserError where the folder of --looks cannot be a new one beside the target."""
    if looks.exists():
        raise UserError(f"{looks} is there already: name a new folder for --looks")
    one, other = looks.resolve(), target.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UserError(f"--looks {looks} and {target} lie one in the other: name another folder")


@contextlib.contextmanager
def _whole(folders: list[Path]) -> Iterator[dict[Path, Path]]:
    """Hidden folders beside `folders`, by them; they get their names together, or are removed."""
    hidden = {each: each.with_name(f".{each.name}.{secrets.token_hex(4)}") for each in folders}
    try:
        yield hidden
        for folder, partial in hidden.items():
            try:
                os.rename(partial, folder)
            except OSError as error:
                raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        for partial in hidden.values():
            shutil.rmtree(partial, ignore_errors=True)


class _Looks:
    """Pictures of slices in a folder, where one is wanted."""

    def __init__(self, folder: Path | None, window: str):
        self._folder, self._window = folder, window

    def show(self, name: str, hu: np.ndarray, sr: np.ndarray, scale: int) -> None:
        """Write bicubic, SR and their difference side by side."""
        if not self._folder:
            return
        bicubic = Way("bicubic", scale)(hu)
        seen = [hounsfield.look(hounsfield.to_levels(each), self._window) for each in (bicubic, sr)]
        colours = [np.repeat(each, 3, axis=2) for each in seen]
        colours.append(hounsfield.difference_map(sr, bicubic, REACH))
        picture = Picture(np.concatenate(colours, axis=1), None, None, None, None)
        write_picture(self._folder / f"{name}.png", picture)


def _enlarge_slice(source: Path, target: Path, way: Way, looks: _Looks) -> int:
    (data,) = _encoded([dicom.read_slice(source)], way, looks)
    write_whole(target, data)
    return 1


def _enlarge_series(source: Path, target: Path, way: Way, looks: _Looks) -> int:
    slices = dicom.read_series(source)
    for number, data in enumerate(_encoded(slices, way, looks), start=1):
        write_whole(target / f"{number:04d}.dcm", data)
    return len(slices)


def _encoded(slices: list[dicom.Slice], way: Way, looks: _Looks) -> Iterator[bytes]:
    """The DICOM file of each, as one new series."""
    series = dicom.new_uid()
    note = f"enlarged x{way.scale} within the slice by jsr ({way.name}); not for diagnosis"
    for number, one in enumerate(slices, start=1):
        sr = way(one.hu)
        looks.show(f"{number:04d}", one.hu, sr, way.scale)
        yield dicom.encode_slice(one, sr, way.scale, series, note)


def _enlarge_volume(source: Path, target: Path, way: Way, looks: _Looks) -> int:
    if not nifti.is_nifti(target):
        raise UserError(f"{target}: end its name in {' or '.join(nifti.SUFFIXES)}, as {source}")
    volume, affine = nifti.read_volume(source)
    enlarged = []
    for number, hu in enumerate(volume):
        sr = way(hu)
        enlarged.append(nifti.to_int16(sr))
        looks.show(f"{number:04d}", hu, sr, way.scale)
    gzipped = target.name.lower().endswith(".gz")
    write_whole(target, nifti.encode_volume(np.stack(enlarged), affine, way.scale, gzipped))
    return len(volume)


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
