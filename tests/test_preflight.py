"""`python -m jsr.preflight`: the figures, the file, the mistakes; for TPUs where libtpu is."""

import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
import runs

from configs import base, srgan
from jsr import machine, parallel, preflight, step_plan, topology
from jsr.errors import UserError
from jsr.recipe import Recipe

libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs libtpu: pip install libtpu"
)


def small(stages=("pixel",)):
    config = srgan.get_config("smoke")
    config.generator.hparams.update(features=4, blocks=1)
    config.discriminator.hparams.update(features=4, dense=8)
    config.stages = stages
    config.data.update({"batch_size": 8, "patch": 8})
    return config


@pytest.fixture
def options(monkeypatch):
    jax.devices()  # so that none is added
    monkeypatch.setattr(machine, "product_peak", lambda _dtype: 4e9)
    monkeypatch.setattr(machine, "bandwidth", lambda: 4e9)
    return SimpleNamespace(
        topology="cpu:4", table=False, batch_per_chip=None, search=0, price=2.0, json=None
    )


def test_figures_are_printed_and_written(options, tmp_path, capsys):
    options.json = str(tmp_path / "plan.json")
    preflight.main(small(("pixel", "gan")), options)
    found = json.loads((tmp_path / "plan.json").read_text())
    assert found["fits"] and found["batch_per_device"] == found["largest_batch_per_device"] == 2
    assert 0 < found["hbm_bytes"] < found["hbm_limit"]
    assert found["flops"] > 0 and found["collective_bytes"] > 0
    assert found["seconds_per_step"] == pytest.approx(1 / found["steps_per_second"])
    assert [row["stage"] for row in found["stages"]] == ["pixel", "gan"]
    hours = sum(row["steps"] * row["seconds_per_step"] / 3600 for row in found["stages"])
    assert found["hours"] == pytest.approx(hours) and found["cost"] == pytest.approx(hours * 8)
    text = capsys.readouterr().out
    assert "srgan-smoke on cpu:4 (4 chips): fits" in text and "largest batch that fits: 2" in text
    assert not list(tmp_path.glob(".*"))


def test_gradients_are_what_devices_exchange(options):
    config = small()
    where = topology.open_topology("cpu:4")
    stage = Recipe(config, parallel.make_mesh(where.devices)).stages[0]
    plan = step_plan.plan_step(config, where, stage, 1)
    state = step_plan._state(config, where, stage)
    gradients = step_plan.step_cost.state_bytes(state.gen.params)
    # And a few scalars.
    assert gradients <= sum(plan.collectives) < gradients + 100
    alone = topology.Topology("cpu:1", where.devices[:1], None, (1,))
    assert step_plan.plan_step(config, alone, stage, 1).flops == plan.flops


def test_the_search_ends_next_to_the_limit(options, monkeypatch):
    tried = []

    def plan_step(_config, _topology, stage, batch):
        tried.append(batch)
        # Where it does not compile, XLA may say nothing.
        hbm = 1000 + 10 * batch + batch**2
        return step_plan.StepPlan(stage.name, batch, hbm if batch < 90 else None, hbm <= 5000, 1, 1)

    monkeypatch.setattr(step_plan, "plan_step", plan_step)
    monkeypatch.setattr(step_plan, "hbm_limit", lambda _topology: 5000)
    monkeypatch.setattr(step_plan, "_state", lambda *_: {})
    where = topology.open_topology("cpu:4")
    start = plan_step(None, where, SimpleNamespace(name="pixel"), 16)
    fits, fails = step_plan.largest_batch(small(), where, start, 12)
    assert fits <= 58 < fails <= step_plan.NEAR * fits and len(tried) < 8


def test_steps_are_written_out_for_cpus_alone():
    from jsr.loops import platform

    assert platform() == "cpu"
    seen = []
    mesh = parallel.make_mesh()
    run = parallel.compile_steps(lambda *a: (seen.append(platform()), a[1:3])[1], mesh)
    run.lower(0.0, 0.0, jax.numpy.zeros((1, 4)), {})
    assert seen == ["cpu"]


def test_what_xla_says_of_too_large_a_program():
    text = "RESOURCE_EXHAUSTED: ... Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G."
    assert step_plan.wanted_bytes(text) == 20.5 * 2**30
    text = "E1000: the total memory required for HLO temporaries (317.25G) exceeds available HBM"
    assert step_plan.wanted_bytes(text) == 317.25 * 2**30
    assert step_plan.wanted_bytes("RESOURCE_EXHAUSTED") is None


def test_a_batch_far_too_large_is_told_with_what_xla_says(options, monkeypatch, tmp_path, capsys):
    said = "RESOURCE_EXHAUSTED: too much of everything"
    tried = []

    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError(f"{said}\nand more")

    def lower(recipe, _stage):
        tried.append(recipe.config.data.batch_size // 4)
        return Lowered()

    monkeypatch.setattr(step_plan, "lower", lower)
    monkeypatch.setattr(step_plan, "hbm_limit", lambda _topology: 10**7)
    options.json, options.batch_per_chip, options.search = str(tmp_path / "p.json"), 2**15, 1
    preflight.main(small(), options)
    found = json.loads((tmp_path / "p.json").read_text())
    assert (found["fits"], found["hbm_bytes"], found["reason"]) == (False, None, said)
    # The search starts from what a step keeps at least.
    assert tried[0] == 2**15 > 3 * tried[1] > 0
    text = capsys.readouterr().out
    assert "does NOT fit, unknown of" in text and f"pixel: {said}\n" in text


def test_slices_lose_only_the_time_of_the_sums(options):
    where = topology.Topology("v5e:2x2", [None] * 4, topology.CHIPS["v5e"], (2, 2))
    plan = step_plan.StepPlan("gan", 16, 1, True, 1, 1e-3, collectives=(10**8, 4), cycles=15e6)
    rows = preflight.slices(plan, where, 1.0)
    assert [row["chips"] for row in rows] == [1, 4, 8, 16, 32, 64, 128, 256]
    assert rows[0]["efficiency"] == 1 and rows[0]["seconds_per_step"] == 0.01
    assert rows[-1]["batch"] == 4096 and 0.8 < rows[-1]["efficiency"] < 1
    assert "v5e:16x16" in preflight.describe_slices(rows)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"topology": None}, "--topology is missing"),
        ({"topology": "v9:4x4"}, "--topology v9:4x4 is unknown: there are v5e:1x1, 2x2"),
        ({"topology": "cpu:x"}, "is unknown"),
        ({"topology": "cpu:64"}, "there are 4 CPU devices here"),
        ({"topology": "cpu:3"}, "data.batch_size is 8, which 3 device"),
        ({"table": True}, "--table needs a TPU slice"),
        ({"json": "/no/such/folder/x.json"}, "there is no folder /no/such/folder"),
    ],
)
def test_mistakes_are_told(options, changes, told):
    vars(options).update(changes)
    with pytest.raises(UserError, match=told):
        preflight.main(small(), options)


def test_without_libtpu_its_install_line_is_told(monkeypatch):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match="pip install libtpu"):
        topology.open_topology("v5e:4x4")


def test_mistakes_on_the_command_line_are_one_line():
    command = [sys.executable, "-m", "jsr.preflight", "--config", "configs/srgan.py:smoke"]
    found = subprocess.run(
        [*command, "--topology", "v9:4x4"], cwd=runs.ROOT, capture_output=True, text=True
    )
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("error: --topology v9:4x4") and found.stderr.count("\n") == 1


@libtpu
@pytest.mark.long
def test_a_step_compiled_for_a_tpu(options, tmp_path):
    options.topology, options.table = "v5e:2x2", True
    options.json = str(tmp_path / "plan.json")
    config = base.published("small", "edsr", features=4, blocks=1)
    config.data.patch, config.steps_per_dispatch = 8, 5
    preflight.main(config, options)
    found = json.loads((tmp_path / "plan.json").read_text())
    assert found["fits"] and found["xla_seconds"] > 0 and len(found["table"]) == 8


@libtpu
@pytest.mark.long
def test_several_steps_are_a_loop_for_a_tpu(options):
    config = base.published("small", "edsr", features=4, blocks=1)
    config.data.patch, config.data.batch_size, config.steps_per_dispatch = 8, 4, 5
    where = topology.open_topology("v5e:2x2")
    recipe = Recipe(config, parallel.make_mesh(where.devices))
    text = step_plan.lower(recipe, recipe.stages[0]).as_text()
    assert text.count("stablehlo.while") == 1
