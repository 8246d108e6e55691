import json
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="the extra ct is not installed")

import scans  # noqa: E402
from test_evaluate import options  # noqa: E402

from configs import ct as config  # noqa: E402
from jsr import ct, dicom, evaluate, hounsfield, methods, nifti, upscale  # noqa: E402
from jsr import train as training  # noqa: E402
from jsr.errors import UserError  # noqa: E402
from jsr.images import picture_size  # noqa: E402
from jsr.models import make_model  # noqa: E402
from jsr.weights import load_network, save_network  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("weights") / "ct.safetensors", "ct", stage="pixel")


def save(path: Path, channels: str, factor: float = 1, **more) -> Path:
    """A small network whose weights are multiplied by `factor`."""
    hparams = {"scale": 2, "features": 4, "blocks": 1, "base": "bicubic"}
    depth = 1 if channels == "ct" else 3
    module = make_model("msrresnet", **hparams)
    variables = module.init(jax.random.key(0), np.zeros((1, 8, 8, depth)))
    variables = jax.tree.map(lambda x: x * factor, variables)
    facts = {"model": "msrresnet", "hparams": hparams, "scale": 2, "channels": channels}
    facts |= {"protocol": "ct" if channels == "ct" else "y", "licence": "", "data": ""}
    save_network(path, variables, {**facts, **more})
    return path


def run(source, target, weights, **changes):
    options = {"scale": None, "tile": 0, "looks": None, "window": "soft", **changes}
    ct.main([str(source), str(target)], SimpleNamespace(weights=str(weights), **options))


def test_a_series_becomes_a_series(tmp_path, weights, capsys):
    hu = scans.volume(3, 32)
    source = scans.write_series(tmp_path / "in", hu)
    run(source, tmp_path / "out", weights, looks=str(tmp_path / "looks"))
    before, after = (dicom.read_series(tmp_path / name) for name in ("in", "out"))
    network = load_network(weights)
    for old, new in zip(before, after, strict=True):
        assert new.hu.dtype == np.int16 and new.hu.shape == (64, 64, 1)
        position = [one.header.ImagePositionPatient[0] for one in (old, new)]
        assert position[0] == position[1]
        wanted = network.enlarge(hounsfield.to_levels(old.hu))
        assert np.abs(new.hu - hounsfield.to_hu(wanted)).max() <= 1
    assert "3 slices x2 by msrresnet; not for diagnosis" in capsys.readouterr().out
    looks = sorted((tmp_path / "looks").iterdir())
    assert len(looks) == 3 and picture_size(looks[0]) == (64, 3 * 64)


def test_bits_are_never_squeezed(tmp_path):
    ramp = np.arange(-1000, 3000)[:1024].reshape(32, 32)
    source = scans.write_slice(tmp_path / "a.dcm", ramp)
    run(source, tmp_path / "b.dcm", "nearest", scale=2)
    found = dicom.read_slice(tmp_path / "b.dcm").hu[..., 0]
    assert np.array_equal(found, ramp.repeat(2, 0).repeat(2, 1))


def test_padding_and_metal_stay_what_they_were(tmp_path):
    hu = np.zeros((16, 16))
    hu[:8], hu[12:, 12:] = -2000, 8000
    source = scans.write_slice(tmp_path / "a.dcm", hu)
    run(source, tmp_path / "b.dcm", "bicubic", scale=2)
    found = dicom.read_slice(tmp_path / "b.dcm").hu[..., 0]
    assert (found[:16] == -2000).all() and (found[24:, 24:] == 8000).all()
    assert np.abs(found[19:22]).max() < 300


def test_a_volume_becomes_a_volume(tmp_path, weights):
    nibabel = pytest.importorskip("nibabel", reason="the extra ct is not installed")
    source, target = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.moveaxis(scans.volume(), 0, 2), np.diag([1, 1, 3, 1])), source
    )
    run(source, target, weights)
    hu, affine = nifti.read_volume(target)
    assert hu.shape == (3, 32, 32, 1)
    assert np.diag(affine).tolist() == [0.5, 0.5, 3, 1]


def test_weights_of_a_gan_stage_are_warned_of(tmp_path, caplog):
    source = scans.write_slice(tmp_path / "a.dcm", scans.volume(1)[0])
    run(source, tmp_path / "b.dcm", save(tmp_path / "w.safetensors", "ct", stage="gan"))
    assert "adversarial detail is not anatomy" in caplog.text


def test_mistakes_are_one_line_and_leave_nothing(tmp_path, weights):
    source = scans.write_series(tmp_path / "in", scans.volume(2))
    photo = save(tmp_path / "photo.safetensors", "rgb")
    cases = [
        ({"weights": photo}, "was trained on photographs, not on CT"),
        ({"weights": "bicubic"}, "give --scale 4"),
        ({"weights": weights, "target": source}, "is there already: name a new one"),
        ({"weights": weights, "source": tmp_path / "nowhere"}, "no such file or folder"),
        ({"weights": weights, "scale": 3}, "enlarges by 2, not by 3"),
        ({"weights": weights, "source": source / "1.dcm", "target": source}, "is there already"),
    ]
    for changes, told in cases:
        words = {"source": source, "target": tmp_path / "out", **changes}
        with pytest.raises(UserError, match=told) as caught:
            run(**words)
        assert "\n" not in str(caught.value)
    scans.write_slice(source / "3.dcm", scans.volume(1)[0], PixelData=None)
    with pytest.raises(UserError, match="has no pixel data"):
        run(source, tmp_path / "out", weights)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "photo.safetensors"}


def test_a_run_that_fails_leaves_no_looks(tmp_path, monkeypatch):
    """A full disk is met at the last slice, or where the folders get their names."""
    source = scans.write_series(tmp_path / "in", scans.volume(2))
    write = ct.write_whole

    def write_whole(path, data):
        if path.name == "0002.dcm":
            raise UserError(f"{path}: no space left for it")
        write(path, data)

    def rename(*_):
        raise OSError(28, "No space left on device")

    for module, name, broken in ((ct, "write_whole", write_whole), (ct.os, "rename", rename)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, broken)
            with pytest.raises(UserError, match=r"out.*[Nn]o space left"):
                run(source, tmp_path / "out", "bicubic", scale=2, looks=str(tmp_path / "looks"))
        assert [path.name for path in tmp_path.iterdir()] == ["in"]
    run(source, tmp_path / "out", "bicubic", scale=2, looks=str(tmp_path / "looks"))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "looks"}


@pytest.mark.parametrize("kind", ["slice", "volume"])
def test_a_file_that_cannot_be_written_leaves_no_looks(tmp_path, kind):
    source, target = tmp_path / "a.dcm", tmp_path / "a.dcm" / "b.dcm"
    scans.write_slice(source, scans.volume(1)[0])
    if kind == "volume":
        nibabel = pytest.importorskip("nibabel", reason="the extra ct is not installed")
        source, target = tmp_path / "a.nii", tmp_path / "a.nii" / "b.nii"
        nibabel.save(nibabel.Nifti1Image(scans.volume(), np.eye(4)), source)
    there = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="cannot be written"):
        run(source, target, "bicubic", scale=2, looks=str(tmp_path / "looks"))
    assert {path.name for path in tmp_path.iterdir()} == there


@pytest.mark.parametrize("looks", ["out", "out/looks"])
def test_looks_lie_beside_the_target(tmp_path, monkeypatch, looks):
    monkeypatch.chdir(tmp_path)
    source = scans.write_slice(tmp_path / "a.dcm", scans.volume(1)[0])
    with pytest.raises(UserError, match="lie one in the other"):
        run(source, "out", "bicubic", scale=2, looks=looks)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


@pytest.mark.parametrize("tile", [0, 8])
def test_diverged_weights_are_one_line(tmp_path, tile):
    source = scans.write_series(tmp_path / "in", scans.volume(2))
    weights = save(tmp_path / "huge.safetensors", "ct", factor=1e30)
    with pytest.raises(UserError, match=r"huge\.safetensors: the network's output is not finite"):
        run(source, tmp_path / "out", weights, tile=tile)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "huge.safetensors"}


def test_photographs_and_ct_are_not_mixed_up(weights):
    with pytest.raises(UserError, match="use python -m jsr"):
        upscale.open_model(str(weights))
    method = methods.from_network("ct", weights, load_network(weights))
    with pytest.raises(UserError, match="trained on CT, and takes no colours"):
        method.enlarge(np.zeros((8, 8, 3), np.uint8), 2)


def test_the_loop_the_evaluation_and_the_pipeline_carry_ct(tmp_path):
    """Trained, scored and written by the house's own loop; scored again by jsr.evaluate."""
    keys = config.get_config("smoke,gan")
    for patient in range(3):
        folder = tmp_path / "data" / str(patient)
        scans.write_series(folder, scans.volume(1, 96), PatientID=f"p{patient}")
    keys.data.dir = str(tmp_path / "data")
    table = training.train(keys, tmp_path / "run")
    assert "gan stage" in table and "protocol ct" in table
    assert "adversarial detail is not anatomy" in (tmp_path / "run" / "log.txt").read_text()
    assert picture_size(tmp_path / "run" / "sheet.png")[1] > 500
    rows = json.loads((tmp_path / "run" / "table.json").read_text())["rows"]
    network = load_network(tmp_path / "run")
    assert network.channels == 1 and network.facts["protocol"] == "ct"
    again = scored(tmp_path, tmp_path / "run")
    assert again["psnr"] == pytest.approx(rows[-1]["psnr"], abs=0.01)
    assert 5 < again["psnr"] < 60


def scored(tmp_path, workdir) -> dict:
    target = tmp_path / "table.json"
    given = {"weights": str(workdir), "datasets": "ct", "data_dir": str(tmp_path / "data")}
    evaluate.main([], options(evaluate.define_flags, **given, json=str(target)))
    return json.loads(target.read_text())["rows"][0]
