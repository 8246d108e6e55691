"""MSRGAN of BasicSR: SRGAN without batch normalisation; `psnr` is its first stage, MSRResNet.

    python -m jsr.weights fetch vgg19
    python -m jsr.main --config configs/msrgan.py:div2k --config.data.dir DIV2K         # x4
    python -m jsr.main --config configs/msrgan.py:div2k,psnr --config.data.dir DIV2K
    python -m jsr.main --config configs/msrgan.py:div2k,psnr,x2 --config.data.dir DIV2K

x2 and x3 of MSRResNet start from the trained x4: add --config.init runs/msrgan-div2k-psnr to the
third line.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `rgb`: Set5 | Set14 | DIV2K's 100 for validation
    psnr, x2  35.75/.9442 | 31.54/.8937 | 34.67/.9377
    psnr, x3  32.40/.9032 | 28.44/.8106 | 30.97/.8743
    psnr, x4  30.25/.8651 | 26.78/.7451 | 29.00/.8195
    x4        28.02/.8087 | 24.75/.6623 | 26.65/.7462    (BasicSR, docs/ModelZoo.md)
Recipe: BasicSR, options/train/SRResNet_SRGAN/train_MSR{ResNet_x{2,3,4},GAN_x4}.yml; x2 and x3 of
MSRResNet start from the trained x4 there.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def two_stages():
    config = published("msrgan", "msrresnet", features=64, blocks=16)
    config.discriminator.name = "vgg_style"
    config.discriminator.hparams = {"features": 64, "dense": 100}
    config.data.patch = 32
    config.data.batch_size = 16
    config.stages = ("pixel", "gan")
    config.pixel.steps = 1_000_000
    # Each cycle ends at a rate of 1e-7.
    config.pixel.optimizer = optimizer(lr=2e-4, schedule="cosine", cycles=4, final=5e-4)
    config.gan.steps = 400_000
    config.gan.pixel_weight = 1e-2
    config.gan.perceptual_weight = 1.0
    config.gan.adversarial_weight = 5e-3
    halved = (50_000, 100_000, 200_000, 300_000)
    config.gan.optimizer = optimizer(lr=1e-4, schedule="step", milestones=halved)
    config.gan.disc_optimizer = optimizer(lr=1e-4, schedule="step", milestones=halved)
    config.perceptual.layers = ("conv5_4",)
    config.perceptual.distance = "l1"
    config.perceptual.divisor = 1.0
    config.ema = 0.999
    return config


def psnr(config):
    config.stages = ("pixel",)


def smoke(config, **hparams):
    smoke_with(features=4, blocks=1, **hparams)(config)
    # D halves HR five times.
    config.data.patch = 16


PRESETS = {**DATA, **SCALES, "psnr": psnr, "smoke": smoke}


def get_config(presets: str = ""):
    return apply_presets(two_stages(), presets, PRESETS)
