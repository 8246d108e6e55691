import gzip
import sys

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel", reason="the extra ct is not installed")

import scans  # noqa: E402

from jsr import nifti  # noqa: E402
from jsr.errors import UserError  # noqa: E402

AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.75, 0.1, -20], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])


def save(path, values, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_round_trip_loses_nothing(tmp_path, name):
    path = save(tmp_path / name, np.moveaxis(scans.volume(), 0, 2))
    hu, affine = nifti.read_volume(path)
    assert hu.shape == (3, 16, 16, 1) and np.array_equal(hu[..., 0], scans.volume())
    path.write_bytes(nifti.encode_volume(hu, affine, 1, name.endswith("gz")))
    again, there = nifti.read_volume(path)
    assert np.array_equal(again, hu) and np.allclose(there, AFFINE)


def test_an_enlarged_volume_lies_where_it_lay(tmp_path):
    path = save(tmp_path / "a.nii", np.moveaxis(scans.volume(), 0, 2))
    hu, affine = nifti.read_volume(path)
    path.write_bytes(nifti.encode_volume(hu.repeat(4, 1).repeat(4, 2), affine, 4, False))
    large, moved = nifti.read_volume(path)
    assert large.shape == (3, 64, 64, 1)
    for i, j, k in ((0, 0, 0), (3, 7, 2)):
        there = affine @ [i, j, k, 1]
        assert np.allclose(moved @ [4 * i + 1.5, 4 * j + 1.5, k, 1], there)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("axes", [3, 4])
def test_a_slice_is_what_it_is_in_the_volume(tmp_path, name, axes):
    values = np.moveaxis(scans.volume(), 0, 2)[:12]
    path = save(tmp_path / name, values if axes == 3 else values[..., None])
    hu, _ = nifti.read_volume(path)
    assert hu.shape == (3, 12, 16, 1) and nifti.volume_size(path) == (3, 12, 16)
    for number in range(3):
        one = nifti.read_slice(path, number)
        assert one.dtype == np.float32 and np.array_equal(one, hu[number])


def test_volumes_are_listed_without_hidden_files(tmp_path):
    for name in ("b/x.NII.gz", "a.nii", "b/._x.nii.gz", "c.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert nifti.list_nifti(tmp_path) == [tmp_path / "a.nii", tmp_path / "b" / "x.NII.gz"]


def test_voxels_that_are_not_finite_are_counted(tmp_path):
    values = scans.volume().astype(np.float32)
    values[0, 0, :2] = np.nan, np.inf
    path = save(tmp_path / "a.nii", values)
    with pytest.raises(UserError, match="2 of 768 voxels are not finite"):
        nifti.read_volume(path)
    with pytest.raises(UserError, match="1 of 48 voxels are not finite"):
        nifti.read_slice(path, 1)


def test_what_is_no_volume_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(UserError, match="is no NIfTI volume, or damaged"):
        nifti.read_volume(tmp_path / "a.nii.gz")
    path = save(tmp_path / "b.nii", np.zeros((2, 2, 2, 3), np.int16))
    with pytest.raises(UserError, match="has 4 axes; expected a volume of 3"):
        nifti.read_volume(path)


def test_without_nibabel_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(UserError, match=r"pip install 'jsr-superres\[ct\]'"):
        nifti.read_volume("a.nii")


def test_what_16_bits_cannot_hold_becomes_the_nearest():
    hu = np.array([40000.0, -50000.0, 12.6])
    assert nifti.to_int16(hu).tolist() == [32767, -32768, 13]
