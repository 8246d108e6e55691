"""What the README says is run from the README."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
import runs
from PIL import Image

from jsr import train as training
from jsr.models import make_model
from jsr.weights import save_network

README = (runs.ROOT / "README.md").read_text()
INSIDE = (runs.ROOT / "jsr/README.md").read_text()
PAGES = [
    "README.md",
    "configs/README.md",
    "launch/README.md",
    "jsr/README.md",
    "jsr/bench.md",
    "jsr/zoo.md",
]
BLOCKS = re.findall(r"```python\n(.*?)```", README + INSIDE, re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_ten_lines_as_a_library(here, capsys):
    module = make_model("msrresnet", scale=4, features=4, blocks=1)
    variables = module.init(__import__("jax").random.key(0), np.zeros((1, 8, 8, 3)))
    facts = {"model": "msrresnet", "hparams": {"scale": 4, "features": 4, "blocks": 1}}
    facts |= {"scale": 4, "channels": "rgb", "protocol": "y", "licence": "", "data": ""}
    (here / "runs" / "srgan").mkdir(parents=True)
    save_network(here / "runs" / "srgan" / "best.safetensors", variables, facts)
    Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(here / "photo.jpg")
    block = BLOCKS[0]
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    names = {}
    exec(block, names)
    assert capsys.readouterr().out == "msrresnet 4 (6, 9, 3) (24, 36, 3)\n"
    assert names["raw"].shape == (1, 24, 36, 3)


def test_your_own_network_dataset_and_loss(here):
    (here / "mine.py").write_text(BLOCKS[1])
    try:
        config = importlib.import_module("mine").get_config("smoke")
        table = training.train(config, here / "run")
    finally:
        sys.modules.pop("mine", None)
    assert "pixel stage" in table and "mine:noise" in table


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_command_that_it_names_is_there(page):
    text = (runs.ROOT / page).read_text()
    for path in re.findall(r"`((?:jsr|configs|launch|tests)/[\w./]+)`", text):
        assert (runs.ROOT / path).exists(), path
    for module in re.findall(r"python -m (jsr\.\w+)", text):
        assert importlib.util.find_spec(module), module
    for path in re.findall(r"\]\((?!https:)(.*?)\)", text):
        assert (runs.ROOT / page).parent.joinpath(path).exists(), path


def test_the_tree_names_every_file():
    for path in (runs.ROOT / "jsr").iterdir():
        if path.suffix == ".py" and path.name != "__init__.py":
            assert f"`{path.name}`" in INSIDE, path.name


def test_the_top_level_holds_nothing_else():
    listed = subprocess.run(["git", "ls-files"], cwd=runs.ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tops = {path.partition("/")[0] for path in listed.stdout.split()}
    allowed = {"jsr", "configs", "launch", "tests", "README.md", "pyproject.toml", "LICENSE"}
    assert {top for top in tops if not top.startswith(".")} == allowed
    sizes = {path: (runs.ROOT / path).stat().st_size for path in listed.stdout.split()}
    shipped = [path for path in sizes if path.startswith("jsr/shipped/")]
    assert sum(map(sizes.pop, shipped)) < 15_000_000
    assert max(sizes.values()) <= 1_000_000
