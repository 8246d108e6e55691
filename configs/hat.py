"""HAT (Chen et al. 2023), 20.8 M parameters; `small` is HAT-S, 9.6 M.

    python -m jsr.main --config configs/hat.py:df2k,x2 --config.data.dir DIV2K,Flickr2K
    python -m jsr.main --config configs/hat.py:df2k,x4,from_x2 --config.data.dir DIV2K,Flickr2K
    python -m jsr.main --config configs/hat.py:df2k,small,x2 --config.data.dir DIV2K,Flickr2K

x4 starts from the trained x2: add --config.init runs/hat-df2k-x2 to the second line.
Hardware: eight GPUs with about 20 GB in use on each, as published; not measured here.
Expected, as published, trained on DF2K, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2         38.63/.9630 | 34.86/.9274 | 32.62/.9053 | 34.45/.9466 | 40.26/.9809
    x3         35.07/.9329 | 31.08/.8555 | 29.54/.8167 | 30.23/.8896 | 35.53/.9552
    x4         33.04/.9056 | 29.23/.7973 | 28.00/.7517 | 27.97/.8368 | 32.48/.9292    (PFT's table)
    small, x4  32.92       | 29.15       | 27.97       | 27.87       | 32.35          (HAT's README)
Recipe: XPixelGroup/HAT, options/train/train_HAT_SRx{2,3}_from_scratch.yml; for `from_x2`, at half
the rate and for half as long, train_HAT_SRx4_finetune_from_SRx2.yml.
"""

from configs.base import DATA, SCALES, apply_presets, df2k, optimizer, published, smoke_with


def paper():
    config = published("hat", "hat", features=180, compress=3, squeeze=30)
    config.generator.hparams.update(groups=6, blocks=6, heads=6, window=16, drop_path=0.1)
    config.data.patch = 64
    config.data.batch_size = 32
    config.pixel.steps = 500_000
    halved = (250_000, 400_000, 450_000, 475_000)
    config.pixel.optimizer = optimizer(lr=2e-4, schedule="step", milestones=halved)
    config.ema = 0.999
    config.scan = True
    return config


def small(config):
    config.generator.hparams.update(features=144, compress=24, squeeze=24)


def from_x2(config):
    config.pixel.steps = 250_000
    halved = (125_000, 200_000, 225_000, 240_000)
    config.pixel.optimizer = optimizer(lr=1e-4, schedule="step", milestones=halved)


NARROW = {"features": 4, "compress": 2, "squeeze": 2}
PRESETS = {
    **DATA,
    **SCALES,
    "df2k": df2k,
    "small": small,
    "from_x2": from_x2,
    "smoke": smoke_with(**NARROW, groups=1, blocks=1, heads=1, window=4),
}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
