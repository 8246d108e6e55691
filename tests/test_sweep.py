"""A grid of choices: each changes one thing; the table has means and deviations over seeds."""

import json
import types

import numpy as np
import pytest
import runs

from configs import sweep as grid_config
from jsr import sweep
from jsr.errors import PartlyDone, UserError

GRID = grid_config.GRID


def options(workdir, choices=None, seeds=2):
    return types.SimpleNamespace(workdir=str(workdir), choices=choices, seeds=seeds)


def tiny():
    config = grid_config.get_config("smoke")
    config.generator.hparams.update(features=4, blocks=2)
    return config


def fake_train(config, workdir):
    """The table of a run whose PSNR is told by its seed."""
    if config.pixel.optimizer.name == "sgd" and config.seed == 1:
        raise PartlyDone("not finite")
    workdir.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, psnr in (("bicubic", 20.0), ("pixel stage", 30.0 + config.seed)):
        images = [{"name": "a", "psnr": psnr - 1, "ssim": 0.5}]
        images += [{"name": "b", "psnr": psnr + 1, "ssim": 0.5}]
        labels = {"dataset": "sample_photos", "scale": 4, "protocol": "y", "lr": "symmetric"}
        rows.append({"name": name, **labels, "psnr": psnr, "ssim": 0.5, "images": images})
    (workdir / "table.json").write_text(json.dumps({"rows": rows}))
    return "a table"


def test_a_choice_leaves_the_others_as_they_were():
    config = tiny()
    before = config.to_dict()
    for name in GRID:
        changed = sweep.with_choice(config, GRID, name, 3).to_dict()
        assert (changed.pop("seed"), changed["name"]) == (3, f"sweep-smoke-{name}")
        assert config.to_dict() == before
        same = {**before, "name": changed["name"]} == {**changed, "seed": before["seed"]}
        assert same == (name == "plain")


def test_the_table_has_means_and_deviations_over_the_seeds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "train", fake_train)
    sweep.main(tiny(), GRID, options(tmp_path, "plain,mish", 3))
    shown = capsys.readouterr().out
    assert "31.00 ± 1.00" in shown
    assert "1 steps, seeds 0..2, 6 runs in" in shown and "base bicubic" in shown
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["bicubic", "plain", "mish"]
    assert rows[1]["seeds"] == 3
    assert (rows[1]["psnr"], rows[1]["std"]["psnr"]) == (31.0, 1.0)
    assert "std" not in rows[0]


def test_the_table_tells_the_minutes_of_runs_that_went_through(tmp_path, monkeypatch, capsys):
    clock = iter(range(0, 6000, 60))
    monkeypatch.setattr(sweep, "train", fake_train)
    monkeypatch.setattr(sweep.time, "monotonic", lambda: next(clock))
    sweep.main(tiny(), GRID, options(tmp_path, "plain,mish"))
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row.get("minutes") for row in rows] == [None, 1.0, 1.0]
    assert "minutes" in capsys.readouterr().out
    # Runs that are there keep theirs; of one that was interrupted nobody knows.
    (tmp_path / "mish-0" / sweep.TIMES).unlink()
    sweep.main(tiny(), GRID, options(tmp_path, "plain,mish"))
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row.get("minutes") for row in rows] == [None, 1.0, None]


def test_a_run_that_fails_is_named_and_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "train", fake_train)
    with pytest.raises(PartlyDone, match=r"sgd-1: not finite\nthe table is without them"):
        sweep.main(tiny(), GRID, options(tmp_path, "sgd,plain"))
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [(r["name"], r.get("seeds", 1)) for r in rows] == [
        ("bicubic", 1),
        ("sgd", 1),
        ("plain", 2),
    ]
    assert "3 runs in" in capsys.readouterr().out


def test_mistakes_are_told_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "train", fake_train)
    with pytest.raises(UserError, match=r"there is no 'gelo' in the grid; known: plain, leaky"):
        sweep.main(tiny(), GRID, options(tmp_path, "plain,gelo"))
    bad = {**GRID, "bad": grid_config.hparams(activation="swish")}
    with pytest.raises(UserError, match="activation of model 'msrresnet' must be one of"):
        sweep.main(tiny(), bad, options(tmp_path, "plain,bad"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"srgan\.py has no GRID of choices"):
        sweep.read_grid(str(runs.ROOT / "configs/srgan.py"))
    assert sweep.read_grid(str(runs.ROOT / "configs/sweep.py")).keys() == GRID.keys()


@pytest.mark.long
def test_a_sweep_of_one_step(tmp_path, capsys):
    config = tiny()
    config.data.name = "image_folder"
    config.data.dir = str(runs.make_photos(tmp_path / "photos"))
    sweep.main(config, GRID, options(tmp_path / "runs", "plain,cutblur"))
    assert "±" in capsys.readouterr().out
    rows = json.loads((tmp_path / "runs/table.json").read_text())["rows"]
    assert np.isfinite([row["psnr"] for row in rows]).all() and len(rows) == 3
