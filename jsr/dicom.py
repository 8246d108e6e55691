"""CT slices as DICOM: read in Hounsfield units, written enlarged, every error in one line."""

import copy
import dataclasses
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jsr.errors import UserError

INSTALL = "pip install 'jsr-superres[ct]'"
# What pydicom needs to decode a transfer syntax, by a word of its name.
CODECS = {
    "JPEG-LS": "pylibjpeg pylibjpeg-libjpeg",
    "JPEG 2000": "pylibjpeg pylibjpeg-openjpeg",
    "High-Throughput": "pylibjpeg pylibjpeg-openjpeg",
    "JPEG": "pylibjpeg pylibjpeg-libjpeg",
}
# In which the slices of a series must agree.
GEOMETRY = ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")
# How many values these have.
COUNTS = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}
# What is of the old pixels.
STALE = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "NumberOfFrames",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Slice:
    """One CT slice: HU, int16 or (where the file's slope is no integer) float32 [h, w, 1]."""

    path: Path
    header: Any
    hu: np.ndarray


def require_pydicom():
    """pydicom. Raises UserError where it is not installed."""
    try:
        import pydicom
    except ImportError as error:
        raise UserError(f"DICOM needs pydicom, which is not installed: {INSTALL}") from error
    return pydicom


def read_header(path: Path) -> Any:
    """The header of one CT slice.

    Raises UserError for a file that is no DICOM, holds no picture, several frames, colours, or
    something else than CT in HU.
    """
    pydicom = require_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, defer_size=1024)
            _check(path, header)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        told = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is no DICOM file, or damaged ({told})") from error
    return header


def read_slice(path: Path) -> Slice:
    """One CT slice in HU. Raises UserError as `read_header`, and for what cannot be decoded."""
    header = read_header(path)
    syntax = header.file_meta.get("TransferSyntaxUID")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = header.pixel_array
    except Exception as error:
        raise UserError(f"{path}: {_undecoded(error, syntax)}") from error
    return Slice(Path(path), header, _to_hu(stored, header)[..., None])


def read_series(folder: Path) -> list[Slice]:
    """The slices of the one CT series in a folder, in the order of their positions.

    Files that are no DICOM are passed over. Raises UserError where there is no slice, where there
    are several series or sizes, and as `read_slice`.
    """
    paths = list_dicom(folder)
    if not paths:
        raise UserError(f"{folder}: no DICOM files in it; expected the slices of one CT series")
    slices = [read_slice(path) for path in paths]
    series = {str(one.header.get("SeriesInstanceUID")): one.path.name for one in slices}
    if len(series) > 1:
        first = " and ".join(list(series.values())[:2])
        raise UserError(
            f"{folder}: holds {len(series)} series (such as those of {first}): put each into a"
            " folder of its own"
        )
    for key in GEOMETRY:
        kinds = {str(one.header.get(key)): one.path.name for one in slices}
        if len(kinds) > 1:
            first = " and ".join(list(kinds.values())[:2])
            raise UserError(
                f"{folder}: the slices differ in {key} ({first}): put those that belong together"
                " into a folder of their own"
            )
    return sorted(slices, key=lambda one: (_position(one.header), one.path.name))


def list_dicom(folder: Path) -> list[Path]:
    """The files below a folder that begin as DICOM does, but for directories of them; sorted."""
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and not path.name.startswith((".", "DICOMDIR")):
            with open(path, "rb") as file:
                if file.read(132)[128:] == b"DICM":
                    found.append(path)
    return found


def encode_slice(one: Slice, hu: np.ndarray, scale: int, series: str, note: str) -> bytes:
    """An enlarged slice as a DICOM file.

    hu: [h * scale, w * scale, 1]. series: the new SeriesInstanceUID. note: what was done, for
    DerivationDescription. Rows, Columns and PixelSpacing follow the scale, and the first pixel's
    centre moves within the plane so that all else stays where it was; positions along the normal,
    thickness and spacing of the slices stay. The instance's UID is new.
    """
    pydicom = require_pydicom()
    header = copy.deepcopy(one.header)
    source = pydicom.Dataset()
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    header.SourceImageSequence = [source]
    header.SOPInstanceUID = pydicom.uid.generate_uid()
    header.SeriesInstanceUID = series
    kind = header.get("ImageType") or ["ORIGINAL", "PRIMARY", "AXIAL"]
    kind = [kind] if isinstance(kind, str) else list(kind)
    header.ImageType = ["DERIVED", "SECONDARY", *kind[2:]]
    header.DerivationDescription = note
    header.SeriesDescription = f"{header.get('SeriesDescription', '')} x{scale}".strip()[:64]
    _set_geometry(header, scale)
    _set_pixels(header, hu[..., 0])
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the source file's other fields hold
        pydicom.dcmwrite(stream, header, enforce_file_format=True)
    return stream.getvalue()


def new_uid() -> str:
    """A UID that no other series has."""
    return str(require_pydicom().uid.generate_uid())


def _check(path: Path, header) -> None:
    modality = header.get("Modality", "none")
    if "PixelData" not in header:
        raise UserError(f"{path}: has no pixel data (modality {modality}); expected a CT slice")
    if header.get("SamplesPerPixel", 1) != 1:
        kind = header.get("PhotometricInterpretation", "colours")
        raise UserError(
            f"{path}: is a picture in colours ({kind}; a secondary capture?), not CT in Hounsfield"
            " units: take the series that it was made of"
        )
    if modality != "CT":
        raise UserError(f"{path}: is of modality {modality}; expected CT, in Hounsfield units")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise UserError(f"{path}: has {header.NumberOfFrames} frames; expected one slice a file")
    lacking = [
        key
        for key in ("RescaleSlope", "RescaleIntercept", "PixelSpacing")
        if header.get(key) is None
    ]
    if lacking:
        raise UserError(f"{path}: does not state {', '.join(lacking)}: its units are unknown")
    nameless = [key for key in ("SOPClassUID", "SOPInstanceUID") if not header.get(key)]
    if nameless:
        raise UserError(
            f"{path}: does not state {', '.join(nameless)}, by which others refer to it: export it"
            " again"
        )
    if not float(header.RescaleSlope) or header.get("RescaleType", "HU") not in ("HU", "", None):
        told = f"slope {header.RescaleSlope}, type {header.get('RescaleType', 'not stated')}"
        raise UserError(f"{path}: its units are not Hounsfield units ({told})")
    for key, count in COUNTS.items():
        values = header.get(key)
        if values is not None and np.size(values) != count:
            raise UserError(f"{path}: {key} has {np.size(values)} values; expected {count}")


def _undecoded(error: Exception, syntax) -> str:
    """What to tell of pixels that could not be decoded."""
    name = getattr(syntax, "name", "an unknown way")
    missing = isinstance(error, (RuntimeError, NotImplementedError, ImportError))
    if missing and "missing dependencies" in str(error):
        package = next((CODECS[word] for word in CODECS if word in name), "pylibjpeg")
        return f"is compressed by {name}, whose codec is not installed: pip install {package}"
    told = " ".join(str(error).split())
    return f"its pixels cannot be decoded ({name}: {told[:200]}); copy or export it again"


def _to_hu(stored: np.ndarray, header) -> np.ndarray:
    slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
    hu = stored.astype(np.float64) * slope + intercept
    whole = slope.is_integer() and intercept.is_integer()
    if whole and hu.min() >= -32768 and hu.max() <= 32767:
        return hu.astype(np.int16)
    return hu.astype(np.float32)


def _set_pixels(header, hu: np.ndarray) -> None:
    slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
    signed = int(header.PixelRepresentation)
    kind = np.dtype(np.int16 if signed else np.uint16)
    limits = np.iinfo(kind)
    stored = np.rint((hu.astype(np.float64) - intercept) / slope)
    stored = np.clip(stored, limits.min, limits.max).astype(kind)
    header.Rows, header.Columns = stored.shape
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    for key in STALE:
        if key in header:
            delattr(header, key)
    # Overlays lie on the old rows and columns.
    for tag in [each.tag for each in header if 0x6000 <= each.tag.group <= 0x60FF]:
        del header[tag]
    header.PixelData = stored.astype(kind.newbyteorder("<")).tobytes()
    header["PixelData"].VR = "OW"
    header["PixelData"].is_undefined_length = False


def _set_geometry(header, scale: int) -> None:
    rows, columns = (float(side) for side in header.PixelSpacing)
    header.PixelSpacing = [_decimal(rows / scale), _decimal(columns / scale)]
    position, orientation = header.get("ImagePositionPatient"), _orientation(header)
    if position is None or orientation is None:
        return
    along_row, along_column = orientation
    moved = np.array([float(value) for value in position])
    moved += along_row * columns * (1 / scale - 1) / 2 + along_column * rows * (1 / scale - 1) / 2
    header.ImagePositionPatient = [_decimal(value) for value in moved]


def _orientation(header) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit vectors along a row and down a column."""
    cosines = header.get("ImageOrientationPatient")
    if cosines is None:
        return None
    cosines = np.array([float(value) for value in cosines])
    return cosines[:3], cosines[3:]


def _position(header) -> float:
    """Along the normal of the slices, in mm; by number where positions are not stated."""
    position, orientation = header.get("ImagePositionPatient"), _orientation(header)
    if position is None or orientation is None:
        return float(header.get("InstanceNumber") or 0)
    return float(np.cross(*orientation) @ np.array([float(value) for value in position]))


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM has them."""
    return next(text for digits in range(16, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)
