import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the extra ct is not installed")

import scans

from jsr import dicom, hounsfield, pipeline
from jsr.datasets import SPLITS, open_photos
from jsr.datasets.ct import _carried
from jsr.errors import UserError


def test_pydicoms_slices_are_of_three_patients_and_keep_their_units():
    patients = set()
    for split in SPLITS:
        photos = open_photos("ct", split, None)
        one = dicom.read_slice(_carried(split))
        patients.add(one.header.PatientID)
        assert len(photos) == 1 and photos[0].dtype == np.float32
        cut = np.clip(one.hu, hounsfield.LOW, hounsfield.HIGH)
        assert np.array_equal(hounsfield.to_hu(photos[0]), cut)
        assert len(np.unique(cut)) > 1000  # many more than 8 bits would hold
    assert len(patients) == 3
    sizes = [open_photos("ct", split, None).sizes.tolist() for split in SPLITS]
    assert sizes == [[[512, 512]], [[128, 128]], [[512, 512]]]


def test_a_folder_is_split_by_patient(tmp_path):
    for patient in range(4):
        for series in range(2):
            folder = tmp_path / f"{patient}-{series}"
            scans.write_series(folder, scans.volume(2), PatientID=f"p{patient}")
    found = {split: open_photos("ct", split, str(tmp_path)).names for split in SPLITS}
    assert [len(found[split]) for split in SPLITS] == [8, 4, 4]
    owners = [{name.partition("-")[0] for name in names} for names in found.values()]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 4


def test_a_volume_is_a_patient(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra ct is not installed")
    hu = scans.volume(4, 32)[:, :24]
    for name in ("a.nii", "deep/b.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(hu, 0, 2), np.eye(4)), tmp_path / name)
    for patient in range(2):
        scans.write_series(tmp_path / f"p{patient}", scans.volume(2), PatientID=f"p{patient}")
    found = [open_photos("ct", split, str(tmp_path)) for split in SPLITS]
    owners = [{name.rpartition("/")[0] for name in photos.names} for photos in found]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 4
    assert sorted(name for photos in found for name in photos.names if ".nii" in name) == [
        *(f"a.nii/{number:04d}" for number in range(4)),
        *(f"deep/b.nii.gz/{number:04d}" for number in range(4)),
    ]
    for photos in found:
        for index, name in enumerate(photos.names):
            if ".nii" in name:
                cut = np.clip(hu[int(name[-4:])], hounsfield.LOW, hounsfield.HIGH)
                assert photos.sizes[index].tolist() == [24, 32]
                assert np.array_equal(hounsfield.to_hu(photos[index])[..., 0], cut)


def test_two_patients_are_too_few(tmp_path):
    for patient in range(2):
        scans.write_series(tmp_path / str(patient), scans.volume(2), PatientID=f"p{patient}")
    with pytest.raises(
        UserError, match=r"slices of 2 patients \(by PatientID .* a NIfTI volume is one\)"
    ):
        open_photos("ct", "train", str(tmp_path))


def test_pairs_and_batches_hold_whole_units(tmp_path):
    for patient in range(3):
        scans.write_series(tmp_path / str(patient), scans.volume(2, 32), PatientID=f"p{patient}")
    photos = open_photos("ct", "train", str(tmp_path))
    pairs = pipeline.Pairs(photos, 4, 10**6, "ct")
    lr, hr = pairs[0]
    assert lr.dtype == hr.dtype == np.float32 and lr.shape == (8, 8, 1) and hr.max() <= 1
    assert np.array_equal(hounsfield.to_hu(hr * 255), hounsfield.to_hu(photos[0]))
    for image in (lr, hr):
        assert np.allclose(hounsfield.round_levels(image * 255), image * 255, atol=1e-4)
    with pytest.raises(UserError, match="protocol rgb is not for CT slices"):
        pipeline.Pairs(photos, 4, 10**6)[0]
    batch = pipeline.make_batch(pairs, 0, 0, np.arange(3), 4)
    assert batch["hr"].dtype == np.float32 and batch["hr"].shape == (3, 16, 16, 1)
    assert batch["hr"].std() > 0.05
