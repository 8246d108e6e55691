"""`python -m jsr.bench`: the table, the file, the mistakes."""

import json
from types import SimpleNamespace

import cv2
import jax
import pytest
from conftest import SHARED

from configs import base
from jsr import bench, machine, step_speed, timing
from jsr.errors import UserError
from jsr.model_cost import parameters
from jsr.models import make_model


def small():
    config = base.published("small", "edsr", features=4, blocks=1)
    config.scale = 2
    config.data.update({"batch_size": 4, "patch": 8})
    return config


@pytest.fixture
def options(monkeypatch):
    monkeypatch.setattr(machine, "product_peak", lambda _dtype: 1e9)
    monkeypatch.setattr(machine, "bandwidth", lambda: 1e9)
    monkeypatch.setattr(timing, "LEAST", 0.001)
    return SimpleNamespace(
        config=small(), against=None, batch=None, patch=None, sweep=False, loop=False, weights=None,
        sizes="8x8", opencv=None, threads="0,1", pairs=2, rounds=2, json=None,
    )  # fmt: skip


def test_train_prints_and_writes_rows(options, tmp_path, capsys):
    options.json, options.batch = str(tmp_path / "rows.json"), "4,8"
    bench.main(["train"], options)
    rows = json.loads((tmp_path / "rows.json").read_text())
    sizes = ["batch 4, LR 8x8", "batch 8, LR 8x8"]
    assert [row["name"] for row in rows] == [f"step: edsr 4x1 x2 float32, {s}" for s in sizes]
    for row in rows:
        assert row["ratio"] is row["peer_s"] is row["peer"] is None
        assert row["floor_s"] > 0 and row["over_floor"] == pytest.approx(
            row["jsr_s"] / row["floor_s"]
        )
        assert row["mfu"] == pytest.approx(row["operations"] / row["jsr_s"] / 1e9)
        assert row["temp_bytes"] > 0 and row["machine"]["devices"] == 4
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:4] == ["name", "jsr", "ms", "spread"] and "temp/kept" in table[0]
    assert len(table) == 4 and "jax" in table[3]
    assert not list(tmp_path.glob(".*"))


def test_a_step_that_does_not_fit_is_told(options, monkeypatch):
    def full(*_arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(step_speed, "compile_step", full)
    with pytest.raises(UserError, match=r"out of memory on the device: a step of .* 4"):
        bench.main(["train"], options)


def test_infer_and_data_print_rows(options, capsys):
    bench.main(["infer"], options)
    bench.main(["data"], options)
    names = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert "infer: edsr x2 float32, LR 8x8" in names
    expected = [
        f"streamed from {where}, {n} threads" for where in ("memory", "files") for n in "01"
    ]
    assert [n.partition(":")[0] for n in names if n.startswith("streamed")] == expected


def test_what_was_measured_is_kept_when_the_rest_fails(options, tmp_path, monkeypatch):
    def rows(_options):
        yield timing.make_row("good", {"jsr": [1.0]})
        raise UserError("bad")

    monkeypatch.setitem(bench.COMMANDS, "train", rows)
    options.json = str(tmp_path / "rows.json")
    with pytest.raises(UserError, match="bad"):
        bench.main(["train"], options)
    assert json.loads((tmp_path / "rows.json").read_text())[0]["name"] == "good"


@pytest.mark.parametrize(
    ("words", "changes", "told"),
    [
        ([], {}, "expected one of train, infer, data, compile, evaluate, upscale, not nothing"),
        (["train", "x"], {}, "not train x"),
        (["train"], {"against": "x"}, "--against x: expected torch, onnxruntime"),
        (["train"], {"batch": "4,x"}, "--batch x: expected whole numbers"),
        (["infer"], {"sizes": "8"}, "--sizes 8: expected height x width"),
        (["train"], {"json": "/no/such/folder/x.json"}, "there is no folder /no/such/folder"),
    ],
)
def test_mistakes_are_told(options, words, changes, told):
    vars(options).update(changes)
    with pytest.raises(UserError, match=told):
        bench.main(words, options)


def test_a_sweep_grows_one_thing_at_a_time():
    from jsr.step_speed import describe, variants

    names = [describe(config).removeprefix("edsr ") for config in variants(small(), [], [], True)]
    assert names == [
        "4x1 x2 float32, batch 4, LR 8x8",
        "4x1 x2 float32, batch 8, LR 8x8",
        "4x1 x2 float32, batch 16, LR 8x8",
        "4x1 x2 float32, batch 4, LR 16x16",
        "8x1 x2 float32, batch 4, LR 8x8",
    ]


def test_the_config_of_a_command_line():
    words = ["compile", "--config", "a.py:x", "--rounds", "3", "--config.seed=1", "--config.b", "2"]
    assert bench.config_words(words) == ["--config=a.py:x", "--config.seed=1", "--config.b=2"]


def test_without_a_config_it_is_srresnet_and_a_small_network(options):
    options.config = None
    usual, small = bench._config(options), bench._small(options)
    assert (usual.generator.name, usual.data.patch, usual.data.name) == (
        "srresnet", 24, "sample_photos"
    )  # fmt: skip
    module = make_model(small.generator.name, scale=small.scale, **small.generator.hparams)
    variables = jax.eval_shape(module.init, jax.random.key(0), jax.numpy.zeros((1, 8, 8, 3)))
    assert 80_000 < parameters(variables) < 120_000


@pytest.mark.long
def test_opencv_runs_its_own_files(options, capsys):
    path = SHARED / "weights" / "FSRCNN" / "FSRCNN_x4.pb"
    if not path.exists():
        pytest.skip("needs JSR_SHARED")
    options.opencv = str(path)
    if not hasattr(cv2, "dnn_superres"):
        with pytest.raises(UserError, match="opencv-contrib-python-headless"):
            bench.main(["infer"], options)
        return
    bench.main(["infer"], options)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:3]] == ["picture", "network"]
