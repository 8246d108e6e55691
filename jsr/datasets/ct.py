"""CT slices: those that the pydicom package carries, or any folder of DICOM files.

pydicom's are of three patients, a slice each, two of 512x512: train is 693_J2KI (head, CQ500),
valid CT_small (128x128), test J2K_pixelrep_mismatch (head). A folder is split by patient, so that
no patient is in two splits: 90 % train, 5 % valid, 5 % test, at least one patient in each.
Slices are float32 [h, w, 1], see `jsr.hounsfield`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jsr import dicom
from jsr.datasets import SPLITS, Photos
from jsr.datasets.image_folder import split_pictures
from jsr.errors import UserError
from jsr.hounsfield import to_levels

CARRIED = {"train": "693_J2KI", "valid": "CT_small", "test": "J2K_pixelrep_mismatch"}


def open_split(split: str, data_dir: str | None) -> Photos:
    """Open a split of CT slices.

    Raises UserError without pydicom, where a file cannot be taken for CT (it is named), and for a
    folder of fewer than three patients.
    """
    root = Path(data_dir).expanduser().resolve() if data_dir else None
    if root:
        slices = _of_folder(root)[split]
    else:
        slices = [(_carried(split), dicom.read_header(_carried(split)))]
    paths = [path for path, _ in slices]
    sizes = np.array([(header.Rows, header.Columns) for _, header in slices], np.int32)
    names = [path.relative_to(root).as_posix() if root else path.stem for path in paths]
    return Photos(names, sizes, lambda index: to_levels(dicom.read_slice(paths[index]).hu))


def _carried(split: str) -> Path:
    pydicom = dicom.require_pydicom()
    path = Path(pydicom.__file__).parent / "data" / "test_files" / f"{CARRIED[split]}.dcm"
    if not path.is_file():
        raise UserError(f"{path} is not there: install the wheel of pydicom again")
    return path


def _of_folder(root: Path) -> dict[str, list[tuple[Path, Any]]]:
    """The slices of each split, with their headers."""
    if not root.is_dir():
        raise UserError(f"data_dir {root} is no folder")
    patients: dict[str, list[tuple[Path, Any]]] = {}
    for path in dicom.list_dicom(root):
        header = dicom.read_header(path)
        patients.setdefault(str(header.get("PatientID", "")), []).append((path, header))
    if len(patients) < len(SPLITS):
        raise UserError(
            f"{root}: holds CT slices of {len(patients)} patients (by PatientID); train, valid and"
            " test share none, so at least 3 are needed"
        )
    # The prefix keeps a patient called "train" from being taken for a folder.
    shares = split_pictures([f"patient {patient}" for patient in sorted(patients)])
    return {
        split: [one for name in names for one in patients[name.removeprefix("patient ")]]
        for split, names in shares.items()
    }
