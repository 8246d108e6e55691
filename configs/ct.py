"""CT slices in Hounsfield units: a small network of one channel, the pixel stage alone.

    python -m jsr.main --config configs/ct.py               # pydicom's slices, 2 cores
    python -m jsr.main --config configs/ct.py:folder --config.data.dir SCANS   # split by patient
    python -m jsr.main --config configs/ct.py:folder,gan --config.data.dir SCANS
    python -m jsr.ct SERIES BIG --weights runs/ct

Needs pydicom (extra `ct`). pydicom carries slices of three patients: one of 512x512 is trained on,
one of 128x128 chooses, and the other one of 512x512 is scored. That shows that everything runs on
16-bit data; a network for use needs hundreds of slices.
Expected there, x4, PSNR over 4095 HU / SSIM, half a minute of one core: bicubic 41.62 / 0.9792,
lanczos 43.03 / 0.9833, pixel stage 44.11 / 0.9870.
The preset gan adds a conditional D(x, y). What it draws is not anatomy: the run says so.
"""

from configs.base import apply_presets, optimizer, smoke_with
from configs.base import get_config as base_config


def one_slice():
    config = base_config()
    config.name = "ct"
    config.channels = "ct"
    config.protocol = "ct"
    config.licence = "research-only"
    config.data.name = "ct"
    config.data.patch = 24
    config.data.batch_size = 8
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 24, "blocks": 4, "tail": "light", "base": "bicubic"}
    config.discriminator.name = "conditional"
    config.discriminator.hparams = {"features": 12, "dense": 64, "pool": True}
    config.stages = ("pixel",)
    config.pixel.steps = 600
    config.pixel.optimizer = optimizer(lr=2e-3, schedule="cosine", warmup=50, clip=1.0)
    config.gan.steps = 600
    config.gan.adversarial_weight = 1e-3
    config.ema = 0.99
    config.log_every = 50
    config.eval_every = 100
    config.save_every = 100
    return config


def folder(config):
    """A folder of DICOM or NIfTI files of three patients or more, given by --config.data.dir."""
    config.licence = ""
    config.data.batch_size = 16
    config.generator.hparams.update(features=64, blocks=16)
    config.pixel.steps = 50_000
    config.pixel.optimizer = optimizer(lr=2e-4, schedule="cosine", warmup=500, clip=1.0)
    config.gan.steps = 20_000
    config.ema = 0.999
    config.eval_every = 1_000
    config.save_every = 1_000


def gan(config):
    """Then an adversarial stage: texture that looks right, and is not anatomy."""
    config.stages = ("pixel", "gan")


PRESETS = {"folder": folder, "gan": gan, "smoke": smoke_with(features=4, blocks=1)}


def get_config(presets: str = ""):
    return apply_presets(one_slice(), presets, PRESETS)
