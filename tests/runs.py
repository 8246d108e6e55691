"""Small training runs for the tests: photographs, a config, and the state that a run ended with."""

import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import skimage.data
from flax.traverse_util import flatten_dict
from PIL import Image

from jsr.datasets import Photos

ROOT = Path(__file__).parent.parent
# A run of 12 steps in each stage that takes seconds; the flags of `python -m jsr.main`.
SMALL = {
    "generator.hparams.features": 4,
    "generator.hparams.blocks": 1,
    "discriminator.hparams.features": 4,
    "discriminator.hparams.dense": 8,
    "data.name": "image_folder",
    "data.patch": 8,
    "data.batch_size": 4,
    "pixel.steps": 12,
    "pixel.optimizer.warmup": 2,
    "gan.steps": 12,
    "log_every": 1,
    "eval_every": 4,
    "save_every": 2,
}


def make_photos(folder: Path) -> Path:
    """A folder of train, valid and test with a few 64x64 crops of a photograph."""
    cat = skimage.data.chelsea()
    for number, split in enumerate(["train", "train", "train", "valid", "test"]):
        crop = cat[64 * number : 64 * number + 64, 100:164] if number < 4 else cat[:64, 200:264]
        (folder / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(folder / split / f"{number}.png")
    return folder


def noise_photos(sizes) -> Photos:
    """Photographs of noise, each of its own."""
    images = [
        np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
        for i, size in enumerate(sizes)
    ]
    names = [f"photo{i}" for i in range(len(sizes))]
    return Photos(names, np.array(sizes, np.int32), images.__getitem__)


def command(photos: Path, workdir: Path, *more: str, **changes) -> list[str]:
    """The command line of a small run; `changes` are config keys with __ for dots."""
    keys = {**SMALL, "data.dir": photos, **{k.replace("__", "."): v for k, v in changes.items()}}
    flags = [f"--config.{key}={value}" for key, value in keys.items()]
    main = [sys.executable, "-m", "jsr.main", "--config", str(ROOT / "configs/srgan.py")]
    return [*main, *flags, "--workdir", str(workdir), *more]


def run(photos: Path, workdir: Path, *more: str, **changes) -> subprocess.CompletedProcess:
    """Run it to its end; stdout and stderr as text."""
    words = command(photos, workdir, *more, **changes)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


def final_state(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of the newest checkpoint, by its path."""
    steps = [int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]
    path = (workdir / "checkpoints" / str(max(steps)) / "state").absolute()
    # Here, wherever the devices are that wrote it.
    here = ocp.args.StandardRestore(
        fallback_sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])
    )
    with warnings.catch_warnings():
        # Orbax says that no sharding was given.
        warnings.simplefilter("ignore")
        tree = ocp.Checkpointer(ocp.StandardCheckpointHandler()).restore(path, args=here)
    return {"/".join(map(str, k)): np.asarray(v) for k, v in flatten_dict(_dicts(tree)).items()}


def differing(one: Path, other: Path) -> list[str]:
    """Names of the arrays in which the final states of two runs differ, bit for bit."""
    a, b = final_state(one), final_state(other)
    assert a.keys() == b.keys() and len(a) > 50
    return [name for name in a if a[name].tobytes() != b[name].tobytes()]


def _dicts(tree):
    if isinstance(tree, (list, tuple)):
        return {str(i): _dicts(item) for i, item in enumerate(tree) if item is not None}
    if isinstance(tree, dict):
        items = {k: _dicts(v) for k, v in tree.items() if v is not None}
        return {k: v for k, v in items.items() if not (isinstance(v, dict) and not v)}
    return tree
