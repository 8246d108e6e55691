"""Networks by the names under which they are shipped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import runs
from conftest import SHARED

from jsr import gather, shipped_weights, weights
from jsr.errors import UserError
from jsr.near_duplicates import Likeness

BENCHMARKS = ("Set5", "Set14", "BSD100", "Urban100_dev20", "Kodak24")


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(shipped_weights, "FOLDER", folder)
    for name in ("small-x2", "small-x4", "gan-x4", "base-x3"):
        (folder / f"{name}.safetensors").touch()
    return folder


def test_names_lead_to_files_and_files_go_first(shipped, tmp_path, monkeypatch):
    assert weights.find_weights("small-x4") == shipped / "small-x4.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small-x4").touch()
    assert weights.find_weights("small-x4").resolve() == tmp_path / "small-x4"
    with pytest.raises(UserError, match=r"shipped \(base-x3, gan-x4, small-x2, small-x4\)"):
        weights.find_weights("large-x4")


@pytest.mark.parametrize(
    ("scale", "name"), [(None, "base-x3"), (2, "base-x3"), (2.5, "base-x3"), (8, "base-x3")]
)
def test_the_best_kind_is_the_default(shipped, scale, name):
    assert shipped_weights.default_name(scale) == name


@pytest.mark.parametrize(
    ("scale", "name"),
    [(None, "small-x4"), (1.5, "small-x2"), (2, "small-x2"), (2.5, "small-x4"), (6, "small-x4")],
)
def test_the_default_enlarges_no_less_than_asked_where_one_does(shipped, scale, name):
    (shipped / "base-x3.safetensors").unlink()
    assert shipped_weights.default_name(scale) == name


def test_a_package_without_data_files_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="install jsr with its data files"):
        shipped_weights.default_name()


def test_nothing_that_was_trained_on_is_like_a_benchmark_s_picture():
    """By the report that jsr.gather wrote of the photographs."""
    report = json.loads((shipped_weights.FOLDER / "photographs.json").read_text())
    used = {name: entry for name, entry in report.items() if entry["fate"] in gather.SPLITS}
    assert sum(entry["fate"] == "train" for entry in used.values()) == 583
    assert report["BSDS400/train/302003.jpg"]["fate"] == "left out: forbidden"
    for name, entry in used.items():
        assert not Likeness(name, *entry["forbidden"]).near
        assert Path(entry["forbidden"][0]).parts[1] in BENCHMARKS


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "bench").is_dir(), reason="no JSR_SHARED/bench")
@pytest.mark.parametrize(
    ("name", "dataset", "psnr", "ssim"),
    [
        ("small-x4", "set5", 31.23, 0.8808),
        ("small-x4", "set14", 28.03, 0.7669),
        ("small-x4", "bsd100", 27.24, 0.7242),
        ("free-x4", "set5", 30.51, 0.8652),
        ("base-x4", "set5", 31.59, 0.8865),
        ("base-x4", "set14", 28.21, 0.7717),
        ("gan-x4", "set5", 30.52, 0.8629),
        ("small-x2", "set5", 37.19, 0.9575),
        ("small-x3", "set5", 33.43, 0.9190),
    ],
)
def test_the_card_s_figures_are_met(tmp_path, name, dataset, psnr, ssim):
    words = ["--weights", name, "--datasets", dataset, "--data_dir", str(SHARED / "bench")]
    words += ["--scale", name[-1]]
    words += ["--json", str(tmp_path / "rows.json")]
    command = [sys.executable, "-m", "jsr.evaluate", *words]
    subprocess.run(command, check=True, cwd=runs.ROOT, capture_output=True)
    (row,) = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert (round(row["psnr"], 2), round(row["ssim"], 4)) == (psnr, ssim)
    card = (shipped_weights.FOLDER / f"{name}.md").read_text()
    assert f"{psnr:.2f} / {ssim:.4f}" in card
