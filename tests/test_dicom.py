import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="the extra ct is not installed")

import scans  # noqa: E402

from jsr import dicom  # noqa: E402
from jsr.errors import UserError  # noqa: E402

CARRIED = Path(pydicom.__file__).parent / "data" / "test_files"


def encode(one: dicom.Slice, hu: np.ndarray, scale: int = 1, series: str = "1.2.4") -> bytes:
    return dicom.encode_slice(one, hu, scale, series, "a note")


@pytest.mark.parametrize("name", ["CT_small", "693_J2KI", "J2K_pixelrep_mismatch"])
def test_the_round_trip_through_a_written_file_loses_nothing(tmp_path, name):
    one = dicom.read_slice(CARRIED / f"{name}.dcm")
    assert one.hu.dtype == np.int16
    again = tmp_path / "again.dcm"
    again.write_bytes(encode(one, one.hu))
    back = dicom.read_slice(again)
    assert np.array_equal(back.hu, one.hu)
    assert np.array_equal(pydicom.dcmread(again).pixel_array, one.header.pixel_array)


def test_an_enlarged_slice_keeps_every_point_of_the_patient_where_it_was(tmp_path):
    (hu,) = scans.volume(1)
    one = dicom.read_slice(scans.write_slice(tmp_path / "a.dcm", hu, number=2))
    large = one.hu.repeat(4, 0).repeat(4, 1)
    path = tmp_path / "b.dcm"
    path.write_bytes(encode(one, large, 4))
    written = pydicom.dcmread(path)
    assert (written.Rows, written.Columns) == (64, 64)
    assert [float(side) for side in written.PixelSpacing] == [0.125, 0.1875]
    assert written.SliceThickness == 2.5
    assert np.array_equal(dicom.read_slice(path).hu, large)
    # A pixel of LR is the middle of its four by four: rows 4 .. 7 for row 1.
    for row, column in ((0, 0), (1, 2), (15, 15)):
        there = _point(one.header, row, column)
        assert np.allclose(_point(written, 4 * row + 1.5, 4 * column + 1.5), there)
    assert float(written.ImagePositionPatient[0]) == 5.0  # along the normal nothing moves


def test_what_is_written_is_a_derived_series_of_its_own(tmp_path):
    slices = dicom.read_series(scans.write_series(tmp_path / "series", scans.volume(2)))
    series = dicom.new_uid()
    files = []
    for number, one in enumerate(slices):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(encode(one, one.hu.repeat(2, 0).repeat(2, 1), 2, series))
    written = [pydicom.dcmread(file) for file in files]
    old = [one.header.SOPInstanceUID for one in slices]
    new = [header.SOPInstanceUID for header in written]
    assert len({*old, *new}) == 4
    assert {header.SeriesInstanceUID for header in written} == {series} != {"1.2.3"}
    for header, uid in zip(written, old, strict=True):
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
        assert header.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert header.DerivationDescription == "a note"
        assert header.SourceImageSequence[0].ReferencedSOPInstanceUID == uid
        assert (header.StudyInstanceUID, header.FrameOfReferenceUID) == ("1.2", "1.2.9")


def test_a_series_is_in_the_order_of_its_positions_and_passes_over_other_files(tmp_path):
    hu = scans.volume(3)
    folder = scans.write_series(tmp_path, hu)
    (folder / "notes.txt").write_text("no slice")
    found = dicom.read_series(folder)
    # Slices are numbered along the patient's -x, which is also the normal's direction.
    assert np.array_equal(np.stack([one.hu[..., 0] for one in found]), hu)


def test_a_slope_that_is_no_integer_stays_exact_enough(tmp_path):
    (hu,) = scans.volume(1)
    path = scans.write_slice(tmp_path / "a.dcm", hu, RescaleSlope="0.5")
    one = dicom.read_slice(path)
    assert one.hu.dtype == np.float32
    path.write_bytes(encode(one, one.hu))
    assert np.array_equal(dicom.read_slice(path).hu, one.hu)


def test_mixed_series_are_refused(tmp_path):
    folder = scans.write_series(tmp_path, scans.volume(2))
    scans.write_slice(folder / "other.dcm", scans.volume(1)[0], series="1.2.5")
    with pytest.raises(UserError, match=r"holds 2 series \(such as those of .*other.dcm"):
        dicom.read_series(folder)


def test_slices_of_other_sizes_are_refused(tmp_path):
    folder = scans.write_series(tmp_path, scans.volume(2))
    scans.write_slice(folder / "large.dcm", scans.volume(1, 32)[0])
    with pytest.raises(UserError, match="the slices differ in Rows"):
        dicom.read_series(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PixelData": None}, r"has no pixel data \(modality CT\)"),
        ({"Modality": "MR"}, "is of modality MR; expected CT"),
        ({"RescaleSlope": None}, "does not state RescaleSlope: its units are unknown"),
        ({"NumberOfFrames": 2}, "has 2 frames; expected one slice a file"),
    ],
)
def test_what_is_no_ct_slice_is_told_in_a_line(tmp_path, changes, told):
    path = scans.write_slice(tmp_path / "a.dcm", scans.volume(1)[0], **changes)
    with pytest.raises(UserError, match=told) as caught:
        dicom.read_slice(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_secondary_capture_in_colours_is_refused():
    with pytest.raises(UserError, match=r"is a picture in colours \(RGB; a secondary capture\?\)"):
        dicom.read_slice(CARRIED / "SC_rgb_small_odd.dcm")


def test_a_codec_that_is_not_installed_is_named(tmp_path, monkeypatch):
    header = pydicom.dcmread(CARRIED / "MR_small_jpeg_ls_lossless.dcm")
    header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", 1, -1024
    path = tmp_path / "jpegls.dcm"
    header.save_as(path)
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    with pytest.raises(
        UserError,
        match=r"JPEG-LS .*whose codec is not installed: pip install pylibjpeg pylibjpeg-libjpeg",
    ):
        dicom.read_slice(path)


def test_damaged_and_foreign_files(tmp_path):
    shutil.copy(CARRIED / "CT_small.dcm", tmp_path / "cut.dcm")
    data = (tmp_path / "cut.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(data[:-4000])
    with pytest.raises(UserError, match="its pixels cannot be decoded"):
        dicom.read_slice(tmp_path / "cut.dcm")
    (tmp_path / "photo.dcm").write_bytes(b"\xff\xd8" * 100)
    with pytest.raises(UserError, match="is no DICOM file, or damaged"):
        dicom.read_slice(tmp_path / "photo.dcm")
    with pytest.raises(UserError, match="No such file"):
        dicom.read_slice(tmp_path / "nowhere.dcm")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no DICOM files in it"):
        dicom.read_series(tmp_path / "empty")


def test_without_pydicom_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"pip install 'jsr-superres\[ct\]'"):
        dicom.read_slice(Path("a.dcm"))


def _point(header, row: float, column: float) -> np.ndarray:
    """Where the centre of a pixel lies in the patient, in mm (DICOM PS3.3, C.7.6.2.1.1)."""
    position, cosines, (down, along) = (
        np.array([float(value) for value in header[key].value])
        for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    return position + cosines[:3] * along * column + cosines[3:] * down * row


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"SOPClassUID": None}, "does not state SOPClassUID, by which others refer to it"),
        ({"SOPInstanceUID": ""}, "does not state SOPInstanceUID, by which others refer to it"),
        ({"RescaleSlope": 0}, "its units are not Hounsfield units"),
        ({"RescaleType": "US"}, "its units are not Hounsfield units"),
        ({"PixelSpacing": [0.5]}, "PixelSpacing has 1 values; expected 2"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "ImageOrientationPatient has 3 values"),
    ],
)
def test_headers_that_cannot_be_right(tmp_path, fields, told):
    path = scans.write_slice(tmp_path / "a.dcm", scans.volume()[0], **fields)
    with pytest.raises(UserError, match=told):
        dicom.read_slice(path)


def test_what_lies_on_the_old_pixels_is_left_out(tmp_path):
    path = scans.write_slice(tmp_path / "a.dcm", scans.volume()[0], ImageType="ORIGINAL")
    one = dicom.read_slice(path)
    one.header.add_new((0x6000, 0x0010), "US", 16)
    hu = one.hu.repeat(2, 0).repeat(2, 1)
    (tmp_path / "b.dcm").write_bytes(dicom.encode_slice(one, hu, 2, dicom.new_uid(), "twice"))
    made = dicom.read_slice(tmp_path / "b.dcm")
    assert (0x6000, 0x0010) not in made.header
    assert list(made.header.ImageType) == ["DERIVED", "SECONDARY"]
