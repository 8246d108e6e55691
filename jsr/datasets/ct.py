"""CT slices: those that the pydicom package carries, or any folder of DICOM and NIfTI files.

pydicom's are of three patients, a slice each, two of 512x512: train is 693_J2KI (head, CQ500),
valid CT_small (128x128), test J2K_pixelrep_mismatch (head). A folder is split by patient, so that
no patient is in two splits: 90 % train, 5 % valid, 5 % test, at least one patient in each.
A NIfTI volume counts as a patient and is taken for Hounsfield units, as it states neither: several
of one patient may be in several splits, and masks belong into another folder. Each slice that is
read of a .nii.gz unpacks all before it, a second of 100 of 512x512; .nii is fast.
Slices are float32 [h, w, 1], see `jsr.hounsfield`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jsr import dicom, nifti
from jsr.datasets import SPLITS, Photos
from jsr.datasets.image_folder import split_pictures
from jsr.errors import UserError
from jsr.hounsfield import to_levels

CARRIED = {"train": "693_J2KI", "valid": "CT_small", "test": "J2K_pixelrep_mismatch"}


def open_split(split: str, data_dir: str | None) -> Photos:
    """Open a split of CT slices.

    Raises UserError without pydicom, without nibabel for NIfTI, where a file cannot be taken for
    CT (it is named), and for a folder of fewer than three patients.
    """
    root = Path(data_dir).expanduser().resolve() if data_dir else None
    if root:
        slices = _of_folder(root)[split]
    else:
        path = _carried(split)
        slices = [_of_file(path, dicom.read_header(path), path.stem)]
    sizes = np.array([one.size for one in slices], np.int32)
    return Photos([one.name for one in slices], sizes, lambda index: to_levels(slices[index].hu()))


class _Slice(NamedTuple):
    """A slice, its height and width, and what reads it in HU [h, w, 1]."""

    name: str
    size: tuple[int, int]
    hu: Callable[[], np.ndarray]


def _carried(split: str) -> Path:
    pydicom = dicom.require_pydicom()
    path = Path(pydicom.__file__).parent / "data" / "test_files" / f"{CARRIED[split]}.dcm"
    if not path.is_file():
        raise UserError(f"{path} is not there: install the wheel of pydicom again")
    return path


def _of_folder(root: Path) -> dict[str, list[_Slice]]:
    """The slices of each split."""
    if not root.is_dir():
        raise UserError(f"data_dir {root} is no folder")
    patients: dict[str, list[_Slice]] = {}
    for path in dicom.list_dicom(root):
        header = dicom.read_header(path)
        one = _of_file(path, header, path.relative_to(root).as_posix())
        patients.setdefault(str(header.get("PatientID", "")), []).append(one)
    for path in nifti.list_nifti(root):
        name = path.relative_to(root).as_posix()
        patients.setdefault(name, []).extend(_of_volume(path, name))
    if len(patients) < len(SPLITS):
        raise UserError(
            f"{root}: holds CT slices of {len(patients)} patients (by PatientID of DICOM files; a"
            " NIfTI volume is one); train, valid and test share none, so at least 3 are needed"
        )
    # The prefix keeps a patient called "train" from being taken for a folder.
    shares = split_pictures([f"patient {patient}" for patient in sorted(patients)])
    return {
        split: [one for name in names for one in patients[name.removeprefix("patient ")]]
        for split, names in shares.items()
    }


def _of_file(path: Path, header: Any, name: str) -> _Slice:
    return _Slice(name, (header.Rows, header.Columns), lambda: dicom.read_slice(path).hu)


def _of_volume(path: Path, name: str) -> list[_Slice]:
    count, *size = nifti.volume_size(path)
    return [
        _Slice(f"{name}/{number:04d}", tuple(size), partial(nifti.read_slice, path, number))
        for number in range(count)
    ]
