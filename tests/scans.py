"""CT for the tests: slices of a synthetic volume as DICOM files."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Turned within the patient: rows run along y, columns along -z, slices lie along -x.
ORIENTATION = [0, 1, 0, 0, 0, -1]


def volume(slices: int = 3, side: int = 16) -> np.ndarray:
    """HU int16 [slices, side, side], from air to bone, no two slices alike."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(-1000, 2500, (slices, side // 4, side // 4))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.int16)


def write_slice(path: Path, hu: np.ndarray, number: int = 0, series: str = "1.2.3", **changes):
    """One slice [h, w]; what `changes` gives as None is left out. Returns the path."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    fields = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": series,
        "FrameOfReferenceUID": "1.2.9",
        "PatientID": "phantom",
        "PatientName": "Phantom",
        "Modality": "CT",
        "InstanceNumber": number + 1,
        "ImagePositionPatient": [10.0 - 2.5 * number, -20.0, 30.0],
        "ImageOrientationPatient": ORIENTATION,
        "PixelSpacing": [0.5, 0.75],
        "SliceThickness": 2.5,
        "Rows": hu.shape[0],
        "Columns": hu.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelData": (hu.astype(np.int32) + 1024).astype("<i2").tobytes(),
        **changes,
    }
    for key, value in fields.items():
        if value is not None:
            setattr(header, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, header, enforce_file_format=True)
    return path


def write_series(folder: Path, hu: np.ndarray, **changes) -> Path:
    """A folder of slices, whose names are not in the order of their positions."""
    for number, one in enumerate(hu):
        write_slice(folder / f"{len(hu) - number}.dcm", one, number, **changes)
    return folder
