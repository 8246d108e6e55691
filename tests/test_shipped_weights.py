"""Networks by the names under which they are shipped."""

import jax
import numpy as np
import pytest

from jsr import shipped_weights, weights
from jsr.errors import UserError
from jsr.models import make_model


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


def test_folding_keeps_the_outputs(tmp_path, capsys):
    module = make_model("ecbsr", scale=2, features=4, blocks=1)
    lr = np.random.default_rng(0).random((1, 9, 8, 3), np.float32)
    variables = module.init(jax.random.key(0), lr)
    facts = {"model": "ecbsr", "hparams": {"features": 4, "blocks": 1, "scale": 2}, "scale": 2}
    facts |= {"channels": "rgb", "protocol": "y", "licence": "", "data": ""}
    weights.save_network(tmp_path / "net.safetensors", variables, facts)
    weights.main(["fold", str(tmp_path / "net.safetensors"), str(tmp_path / "use.safetensors")])
    assert "is ecbsr_plain x2" in capsys.readouterr().out
    one, other = (weights.load_network(tmp_path / f"{n}.safetensors") for n in ("net", "use"))
    assert np.abs(one.enlarge(lr[0] * 255) - other.enlarge(lr[0] * 255)).max() < 1e-3
    with pytest.raises(UserError, match="a ecbsr_plain has no branches to merge"):
        weights.main(["fold", str(tmp_path / "use.safetensors"), str(tmp_path / "x.safetensors")])
