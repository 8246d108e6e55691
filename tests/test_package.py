"""The package builds, and runs from an environment and a folder that have nothing else of it."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest
import runs


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--outdir", str(folder), str(runs.ROOT)]
    subprocess.run(words, check=True, capture_output=True)
    return folder


@pytest.mark.long
def test_wheel_and_sdist_hold_the_whole_package(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(
        ["git", "ls-files", "jsr", "configs"], cwd=runs.ROOT, capture_output=True, text=True
    ).stdout.split()
    assert len(listed) > 30
    assert set(listed) <= in_sdist
    assert {p if p.startswith("jsr/") else f"jsr/{p}" for p in listed} <= in_wheel
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)


@pytest.mark.long
def test_the_wheel_runs_in_an_empty_environment(built, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    (wheel,) = built.glob("*.whl")
    lock = str(runs.ROOT / "launch" / "requirements.lock")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", lock, str(wheel)], check=True)
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "XLA_FLAGS": "", "JSR_CACHE": str(tmp_path / "cache")}
    main = [python, "-m", "jsr.main", "--config", "configs/srgan.py:smoke"]
    done = subprocess.run(main, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gan stage" in done.stdout
    enlarge = [python, "-m", "jsr.upscale", "photo.png", "big.png"]
    make = "import skimage.data as d, PIL.Image as i; i.fromarray(d.chelsea()).save('photo.png')"
    subprocess.run([python, "-c", make], cwd=here, check=True)
    enlarge += ["--weights", "runs/srgan-smoke"]
    subprocess.run(enlarge, cwd=here, env=environment, check=True)
    assert (here / "big.png").exists()
