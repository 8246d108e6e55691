"""SRGAN: a pixel stage, then an adversarial stage.

    python -m jsr.main --config configs/srgan.py                         # embedded photos, 2 cores
    python -m jsr.main --config configs/srgan.py:folder --config.data.dir PHOTOS
    python -m jsr.main --config configs/srgan.py:div2k --config.data.dir DIV2K     # for one GPU

Expected: on the embedded photos the table in README.md, in under five minutes on two cores.
"""

from configs.base import apply_presets, folder, optimizer, smoke
from configs.base import div2k as div2k_photos
from configs.base import get_config as base_config


def embedded():
    """A small network that two cores train in minutes."""
    config = base_config()
    config.name = "srgan"
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 32, "blocks": 8, "tail": "light", "base": "bicubic"}
    config.discriminator.hparams = {"features": 12, "dense": 64, "pool": True}
    config.licence = "research-only"
    config.pixel.steps = 1600
    config.pixel.optimizer = optimizer(lr=2e-3, schedule="cosine", warmup=100, clip=1.0)
    config.gan.steps = 600
    config.gan.pixel_weight = 1.0
    config.gan.adversarial_weight = 1e-2
    config.gan.optimizer = optimizer(lr=2e-4)
    config.gan.disc_optimizer = optimizer(lr=2e-4)
    config.ema = 0.99
    config.log_every = 50
    config.eval_every = 200
    config.save_every = 200
    return config


def div2k(config):
    """The recipe of the SRGAN paper (Ledig et al. 2017, section 3.2) on DIV2K.

    With the pixel loss added in the second stage: set gan.pixel_weight to 0 for the paper's own.
    """
    div2k_photos(config)
    config.generator.name = "srresnet"
    config.generator.hparams = {"features": 64, "blocks": 16}
    config.discriminator.hparams = {"features": 64, "dense": 1024}
    config.pixel.steps = 1_000_000
    config.pixel.pixel_loss = "l2"
    config.pixel.optimizer = optimizer(lr=1e-4, b2=0.999)
    config.gan.steps = 200_000
    config.gan.pixel_loss = "l2"
    config.gan.pixel_weight = 1.0
    config.gan.perceptual_weight = 1.0
    config.gan.adversarial_weight = 1e-3
    rate = {"lr": 1e-4, "b2": 0.999, "schedule": "step", "milestones": (100_000,), "gamma": 0.1}
    config.gan.optimizer = optimizer(**rate)
    config.gan.disc_optimizer = optimizer(**rate)
    # The paper's batch, however many devices there are.
    config.norm_batch = 16
    config.ema = 0.999
    config.log_every = 100
    config.eval_every = 5_000
    config.save_every = 5_000


PRESETS = {"folder": folder, "div2k": div2k, "smoke": smoke}


def get_config(presets: str = ""):
    return apply_presets(embedded(), presets, PRESETS)
