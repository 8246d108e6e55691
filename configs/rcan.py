"""RCAN (Zhang et al. 2018): 400 convolutions with channel attention, 15.6 M parameters.

    python -m jsr.main --config configs/rcan.py:div2k,x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/rcan.py:div2k,x4 --config.data.dir DIV2K

x3 and x4 start from the trained x2: add --config.init runs/rcan-div2k-x2 to the second line.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  38.27/.9614 | 34.12/.9216 | 32.41/.9027 | 33.34/.9384 | 39.44/.9786
    x3  34.74/.9299 | 30.65/.8482 | 29.32/.8111 | 29.09/.8702 | 34.44/.9499
    x4  32.63/.9002 | 28.87/.7889 | 27.77/.7436 | 26.82/.8087 | 31.22/.9173    (the paper's table)
Recipe: yulunzhang/RCAN, RCAN_TrainCode/code/TrainRCAN_scripts.sh with the defaults of option.py,
1000 epochs of 1000 steps; x3 and x4 start from the trained x2 there.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def paper():
    config = published("rcan", "rcan", features=64, groups=10, blocks=20, reduction=16)
    config.data.patch = 48
    config.data.batch_size = 16
    config.pixel.steps = 1_000_000
    halved = tuple(range(200_000, 1_000_000, 200_000))
    config.pixel.optimizer = optimizer(lr=1e-4, b2=0.999, schedule="step", milestones=halved)
    config.ema = 0.0
    return config


PRESETS = {**DATA, **SCALES, "smoke": smoke_with(features=4, groups=1, blocks=1, reduction=2)}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
