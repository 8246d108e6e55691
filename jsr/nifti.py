"""CT volumes as NIfTI, by nibabel: Hounsfield units and where the voxels lie."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jsr.errors import UserError

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Whether a path is called as such files are."""
    return str(path).lower().endswith(SUFFIXES)


def list_nifti(folder: Path) -> list[Path]:
    """The files below a folder that are called so, but for hidden ones; sorted."""
    found = (path for path in Path(folder).rglob("*") if path.is_file() and is_nifti(path))
    return sorted(path for path in found if not path.name.startswith("."))


def volume_size(path: Path) -> tuple[int, int, int]:
    """How many slices, and their height and width, by the header. Raises as `read_volume`."""
    height, width, slices = _open(path).shape[:3]
    return slices, height, width


def read_slice(path: Path, number: int) -> np.ndarray:
    """Slice `number` of a volume, HU float32 [h, w, 1]. Raises as `read_volume`.

    Of a packed file all that comes before is unpacked.
    """
    image = _open(path)
    with _damage_told(path):
        values = np.asarray(image.dataobj[:, :, number], np.float32)
    _check_finite(path, values)
    return values.reshape(*image.shape[:2], 1)


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU float32 [slices, h, w, 1] and the affine [4, 4]; the values are taken for HU.

    Raises UserError without nibabel, for a file that is no volume or is damaged, and for voxels
    that are not finite.
    """
    image = _open(path)
    with _damage_told(path):
        values = np.asarray(image.dataobj, np.float32)
    _check_finite(path, values)
    return np.moveaxis(values.reshape(image.shape[:3]), 2, 0)[..., None], image.affine


def encode_volume(hu: np.ndarray, affine: np.ndarray, scale: int, gzipped: bool) -> bytes:
    """HU [slices, h * scale, w * scale, 1] as a NIfTI file of int16, in the place of the old one.

    affine: of the volume that was enlarged. Voxels shrink within the slices; the centre of the
    first one moves so that all else stays where it was.
    """
    nibabel = _require()
    shrink = np.diag([1 / scale, 1 / scale, 1.0, 1.0])
    shrink[:2, 3] = (1 / scale - 1) / 2
    values = np.moveaxis(to_int16(hu[..., 0]), 0, 2)
    data = nibabel.Nifti1Image(values, affine @ shrink).to_bytes()
    if gzipped:
        import gzip

        return gzip.compress(data)
    return data


def to_int16(hu: np.ndarray) -> np.ndarray:
    """Whole HU; those beyond 16 bits, of metal and padding, become the nearest there are."""
    return hu if hu.dtype == np.int16 else np.clip(np.rint(hu), -32768, 32767).astype(np.int16)


def _open(path: Path) -> Any:
    """The volume, whose voxels are not read yet."""
    nibabel = _require()
    with _damage_told(path):
        image = nibabel.load(path)
        shape = image.shape
    if len(shape) != 3 and not (len(shape) == 4 and shape[3] == 1):
        raise UserError(f"{path}: has {len(shape)} axes; expected a volume of 3, of one channel")
    return image


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # a damaged file may raise anything
        told = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is no NIfTI volume, or damaged ({told})") from error


def _check_finite(path: Path, values: np.ndarray) -> None:
    broken = int(np.size(values) - np.isfinite(values).sum())
    if broken:
        raise UserError(
            f"{path}: {broken} of {values.size} voxels are not finite; expected Hounsfield units:"
            " mask or fill them first"
        )


def _require():
    try:
        import nibabel
    except ImportError as error:
        raise UserError(
            "NIfTI needs nibabel, which is not installed: pip install 'jsr-superres[ct]'"
        ) from error
    return nibabel
