"""CT volumes as NIfTI, by nibabel: Hounsfield units and where the voxels lie."""

import warnings
from pathlib import Path

import numpy as np

from jsr.errors import UserError

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Whether a path is called as such files are."""
    return str(path).lower().endswith(SUFFIXES)


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU float32 [slices, h, w, 1] and the affine [4, 4]; the values are taken for HU.

    Raises UserError without nibabel, for a file that is no volume or is damaged, and for voxels
    that are not finite.
    """
    nibabel = _require()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nibabel.load(path)
            values = np.asarray(image.dataobj, np.float32)
    except Exception as error:  # a damaged file may raise anything
        told = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is no NIfTI volume, or damaged ({told})") from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise UserError(f"{path}: has {values.ndim} axes; expected a volume of 3, of one channel")
    broken = int(np.size(values) - np.isfinite(values).sum())
    if broken:
        raise UserError(
            f"{path}: {broken} of {values.size} voxels are not finite; expected Hounsfield units:"
            " mask or fill them first"
        )
    return np.moveaxis(values, 2, 0)[..., None], image.affine


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


def _require():
    try:
        import nibabel
    except ImportError as error:
        raise UserError(
            "NIfTI needs nibabel, which is not installed: pip install 'jsr-superres[ct]'"
        ) from error
    return nibabel
