"""SwinIR (Liang et al. 2021) for classical super-resolution, 11.9 M parameters; `light`: 0.9 M.

    python -m jsr.main --config configs/swinir.py:div2k,x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/swinir.py:div2k,x4,from_x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/swinir.py:df2k,x2 --config.data.dir DIV2K,Flickr2K
    python -m jsr.main --config configs/swinir.py:div2k,light,x2 --config.data.dir DIV2K

x3 and x4 start from the trained x2: add --config.init runs/swinir-div2k-x2 to the second line.
Hardware: eight GPUs, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2         38.35/.9620 | 34.14/.9227 | 32.44/.9030 | 33.40/.9393 | 39.60/.9792
    x4         32.72/.9021 | 28.94/.7914 | 27.83/.7459 | 27.07/.8164 | 31.67/.9226
    df2k, x2   38.42/.9623 | 34.46/.9250 | 32.53/.9041 | 33.81/.9427 | 39.92/.9797
    df2k, x3   34.97/.9318 | 30.93/.8534 | 29.46/.8145 | 29.75/.8826 | 35.12/.9537
    df2k, x4   32.92/.9044 | 29.09/.7950 | 27.92/.7489 | 27.45/.8254 | 32.03/.9260
    light, x2  38.14/.9611 | 33.86/.9206 | 32.31/.9012 | 32.76/.9340 | 39.12/.9783
    light, x3  34.62/.9289 | 30.54/.8463 | 29.20/.8082 | 28.66/.8624 | 33.98/.9478
    light, x4  32.44/.8976 | 28.77/.7858 | 27.69/.7406 | 26.47/.7980 | 30.92/.9151    (the paper)
Recipe: BasicSR, options/train/SwinIR/train_SwinIR_SRx{2,4}_scratch.yml; `light` is KAIR's
options/swinir/train_swinir_sr_lightweight.json with the paper's 60 features, where it has 180.
The paper's x3 and x4 start from the trained x2, for half as long (`from_x2`); the README of KAIR
finds training from scratch about as good. `df2k` has the larger patches of its published weights.
"""

from configs import base
from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def classical():
    config = published("swinir", "swinir", features=180, groups=6, blocks=6, heads=6, window=8)
    config.generator.hparams.drop_path = 0.1
    config.data.patch = 48
    config.data.batch_size = 32
    config.pixel.steps = 500_000
    halved = (250_000, 400_000, 450_000, 475_000)
    config.pixel.optimizer = optimizer(lr=2e-4, schedule="step", milestones=halved)
    config.ema = 0.999
    config.scan = True
    return config


def light(config):
    config.generator.hparams.update(features=60, groups=4, upsampler="pixelshuffledirect")
    config.data.patch = 64
    config.data.batch_size = 64


def df2k(config):
    base.df2k(config)
    config.data.patch = 64


def from_x2(config):
    config.pixel.steps = 250_000
    halved = (125_000, 200_000, 225_000, 237_500)
    config.pixel.optimizer = optimizer(lr=1e-4, schedule="step", milestones=halved)


PRESETS = {
    **DATA,
    **SCALES,
    "df2k": df2k,
    "light": light,
    "from_x2": from_x2,
    "smoke": smoke_with(features=4, groups=1, blocks=1, heads=1, window=4),
}


def get_config(presets: str = ""):
    return apply_presets(classical(), presets, PRESETS)
