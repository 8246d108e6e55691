"""EDSR (Lim et al. 2017): the baseline of 1.5 M parameters; `large` is the paper's, 43 M.

    python -m jsr.main --config configs/edsr.py:div2k,x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/edsr.py:div2k,x4 --config.data.dir DIV2K
    python -m jsr.main --config configs/edsr.py:div2k,large,x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/edsr.py:div2k,mdsr --config.data.dir DIV2K

x3 and x4 start from the trained x2: add --config.init runs/edsr-div2k-x2 to the second line.
`mdsr` is MDSR's baseline, 3.2 M: one network for the three scales, scored at that of the config
(with --config.generator.hparams.blocks 80 the paper's, 8.0 M).
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2         37.98/.9604 | 33.57/.9174 | 32.15/.8993 | 31.98/.9271
    x3         34.37/.9270 | 30.28/.8414 | 29.08/.8051 | 28.15/.852
    x4         32.09/.8936 | 28.58/.7804 | 27.56/.7354 | 26.03/.7842    (README of torchSR)
    large, x2  38.11/.9602 | 33.92/.9195 | 32.32/.9013 | 32.93/.9351 | 39.10/.9773
    large, x3  34.65/.9280 | 30.52/.8462 | 29.25/.8093 | 28.80/.8653 | 34.17/.9476
    large, x4  32.46/.8968 | 28.80/.7876 | 27.71/.7420 | 26.64/.8033 | 31.02/.9148    (RCAN's table)
    mdsr       x2 34.63 | x3 30.94 | x4 28.97, RGB, DIV2K's 100 for validation (authors' README)
Recipe: BasicSR, options/train/EDSR/train_EDSR_{M,L}x{2,3,4}.yml, where x3 and x4 start from the
trained x2; for `mdsr` the template of that name in sanghyun-son/EDSR-PyTorch.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def baseline():
    config = published("edsr", "edsr", features=64, blocks=16)
    config.data.patch = 48
    config.data.batch_size = 16
    config.pixel.steps = 300_000
    config.pixel.optimizer = optimizer(lr=1e-4, schedule="step", milestones=(200_000,))
    config.ema = 0.0
    return config


def large(config):
    config.generator.hparams = {"features": 256, "blocks": 32, "res_scale": 0.1}


def mdsr(config):
    config.generator.name = "mdsr"
    config.scales = (2, 3, 4)
    config.pixel.steps = 650_000
    halved = (200_000, 400_000, 600_000)
    config.pixel.optimizer = optimizer(lr=1e-4, b2=0.999, schedule="step", milestones=halved)


SMOKE = smoke_with(features=4, blocks=1)
PRESETS = {**DATA, **SCALES, "large": large, "mdsr": mdsr, "smoke": SMOKE}


def get_config(presets: str = ""):
    return apply_presets(baseline(), presets, PRESETS)
