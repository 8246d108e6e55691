"""Faces four times as large, with a conditional discriminator D(x, y): pixel stage, then GAN.

    python -m jsr.main --config configs/faces.py                   # scikit-image's faces, 2 cores
    python -m jsr.main --config configs/faces.py:celeba --config.data.dir CELEBA        # 8 -> 32
    python -m jsr.main --config configs/faces.py:celeba,large --config.data.dir CELEBA  # 32 -> 128
    python -m jsr.main --config configs/faces.py:folder --config.data.dir FACES         # your own

CELEBA holds img_align_celeba/ and list_eval_partition.txt, or TFDS's prepared copy (without
--config.data.dir: TFDS's own folder). celeba and large are for one GPU, and not measured here.
scikit-image's are 100 of 25x25 pixels, gray: 80 to train on (6x6 -> 24x24), 10 that are scored.
Expected of those (PSNR-Y / SSIM), a minute of one core: bicubic 20.91 / 0.3258, lanczos 21.01 /
0.3594, pixel stage 21.89 / 0.4747, gan stage 21.86 / 0.4680.
"""

from configs.base import apply_presets, optimizer, smoke_with
from configs.base import folder as any_folder
from configs.base import get_config as base_config


def lfw():
    """A small network, and few steps: there are 80 faces."""
    config = base_config()
    config.name = "faces"
    config.licence = "research-only"
    config.data.name = "lfw_faces"
    config.data.patch = 6
    config.data.batch_size = 16
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 24, "blocks": 4, "tail": "light", "base": "bicubic"}
    config.discriminator.name = "conditional"
    config.discriminator.hparams = {"features": 12, "dense": 64, "pool": True}
    config.pixel.steps = 800
    config.pixel.optimizer = optimizer(lr=1e-3, schedule="cosine", warmup=50, clip=1.0)
    config.gan.steps = 400
    config.gan.adversarial_weight = 3e-3
    config.gan.optimizer = optimizer(lr=1e-4)
    config.gan.disc_optimizer = optimizer(lr=1e-4)
    config.ema = 0.99
    config.log_every = 50
    config.eval_every = 100
    config.save_every = 100
    return config


def celeba(config):
    """CelebA's aligned faces, 8x8 -> 32x32."""
    config.data.name = "celeb_a_32"
    config.data.patch = 8
    config.data.batch_size = 64
    config.data.threads = 8
    config.generator.hparams = {"features": 64, "blocks": 16, "tail": "full", "base": "bicubic"}
    config.discriminator.hparams = {"features": 64, "dense": 1024, "pool": False}
    config.pixel.steps = 100_000
    config.gan.steps = 100_000
    config.ema = 0.999
    config.log_every = 100
    config.eval_every = 5_000
    config.save_every = 5_000


def large(config):
    """CelebA's aligned faces, 32x32 -> 128x128."""
    celeba(config)
    config.data.name = "celeb_a_128"
    config.data.patch = 32
    config.data.batch_size = 16


def folder(config):
    """Any folder of faces, given by --config.data.dir: crops of 8x8 -> 32x32."""
    any_folder(config)
    config.data.patch = 8


def smoke(config):
    """One step of each stage; faces of 24x24 hold no larger crops than 6x6 of LR."""
    patch = config.data.patch
    smoke_with(features=4, blocks=1)(config)
    config.data.patch = min(patch, config.data.patch)


PRESETS = {"celeba": celeba, "large": large, "folder": folder, "smoke": smoke}


def get_config(presets: str = ""):
    return apply_presets(lfw(), presets, PRESETS)
