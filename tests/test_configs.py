"""Every config: its presets set known keys, describe what can be built, and run."""

import functools
import importlib

import jax
import jax.numpy as jnp
import pytest
import runs
from ml_collections import ConfigDict

from configs import base
from jsr import parallel, recipe, state
from jsr import train as training
from jsr.color import CHANNELS
from jsr.config_rules import check_config
from jsr.datasets import open_photos
from jsr.errors import UserError
from jsr.feed import Feed
from jsr.models import make_model

# Those whose file tells the numbers that its recipe was published with.
PUBLISHED = ["carn", "edsr", "esrgan", "fsrcnn", "hat", "imdn", "msrgan", "rcan", "rdn"]
PUBLISHED += ["srcnn", "swinir", "vdsr"]
CONFIGS = ["ct", "faces", "fixed_time", "release", "srgan", "srresnet", "sweep", "video"]
CONFIGS += PUBLISHED


def presets_of(name: str) -> list[str]:
    module = importlib.import_module(f"configs.{name}")
    # srresnet has those of srgan.
    return ["", *getattr(module, "PRESETS", importlib.import_module("configs.srgan").PRESETS)]


def get_config(name: str, presets: str) -> ConfigDict:
    return importlib.import_module(f"configs.{name}").get_config(presets)


def test_no_config_is_left_out():
    files = {p.stem for p in (runs.ROOT / "configs").glob("*.py")}
    assert files == {"__init__", "base", *CONFIGS}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_preset_describes_what_can_be_built(name):
    for preset in presets_of(name):
        config = get_config(name, preset)
        check_config(config)
        make_model(config.generator.name, **config.generator.hparams, scale=config.scale)
        make_model(config.discriminator.name, **config.discriminator.hparams)
        for stage in config.stages:
            keys = config[stage]
            for key in ("optimizer", "disc_optimizer") if stage == "gan" else ("optimizer",):
                state.make_optimizer(keys[key], keys.steps)
                assert all(0 < m < keys.steps for m in keys[key].milestones) or "smoke" in preset


@pytest.mark.parametrize("name", CONFIGS)
def test_base_lists_every_key(name):
    known = base.get_config()
    for preset in presets_of(name):
        config = get_config(name, preset)
        for network in ("generator", "discriminator"):
            config[network].hparams = known[network].hparams
        assert keys(config) == keys(known)


def keys(node, prefix=""):
    found = set()
    for key, value in node.items():
        found |= keys(value, f"{prefix}{key}.") if isinstance(value, ConfigDict) else {prefix + key}
    return found


STREAMED = Feed(
    batches=None,
    cut=lambda _data, batch: batch,
    data={},
    batch_spec=parallel.EXAMPLES,
    data_spec=parallel.WHOLE,
    note="",
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_steps_of_every_published_recipe_fit_together(name):
    # Compiling them takes minutes: see the long tier below.
    config = get_config(name, "folder,smoke")
    built = recipe.Recipe(config, parallel.make_mesh())
    channels = CHANNELS[config.channels]
    lr = (1, config.data.batch_size, config.data.patch, config.data.patch, channels)
    hr = (*lr[:2], lr[2] * config.scale, lr[3] * config.scale, channels)
    batches = {"lr": jax.ShapeDtypeStruct(lr, "float32"), "hr": jax.ShapeDtypeStruct(hr, "float32")}
    train_state = jax.eval_shape(built.start)
    for stage in built.stages:
        train_state = jax.eval_shape(functools.partial(built.begin, stage), train_state)
        run = built.compile(stage, config.scale, STREAMED)
        after, metrics = jax.eval_shape(run, train_state, batches, {})
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, train_state)
        assert metrics["loss"].shape == ()


@pytest.mark.parametrize(
    "name", ["edsr", *(pytest.param(n, marks=pytest.mark.long) for n in PUBLISHED if n != "edsr")]
)
def test_every_published_recipe_runs_a_step(name, tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    config = get_config(name, "folder,smoke")
    config.data.dir = str(runs.make_photos(tmp_path / "photos"))
    table = training.train(config, tmp_path / "run")
    assert f"{config.stages[-1]} stage" in table


def test_a_scale_keeps_the_lr_patch_but_where_hr_is_given():
    for scale in (2, 3, 4):
        for name, patch in (("edsr", 48), ("imdn", 192 // scale), ("srcnn", 33 // scale)):
            config = get_config(name, f"div2k,x{scale}")
            assert (config.scale, config.data.patch) == (scale, patch)
            assert config.name == f"{name}-div2k-x{scale}"


def test_one_frame_at_a_time_sees_as_many_frames_a_step():
    film, picture = (get_config("video", f"pans{more}") for more in ("", ",picture"))
    assert film.generator.hparams.motion == "lucas_kanade"
    assert (picture.data.frames, picture.data.batch_size) == (1, 56)
    assert film.data.batch_size * film.data.frames == 56
    assert film.pixel.to_dict() == picture.pixel.to_dict()


def test_basicvsr_asks_for_the_folder_of_its_clips():
    data = get_config("video", "basicvsr").data
    with pytest.raises(UserError, match=r"^clips needs data_dir: the folder that holds folders of"):
        open_photos(data.name, "train", data.dir)
