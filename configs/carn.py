"""CARN (Ahn et al. 2018): cascading residual blocks; 1.6 M parameters with all three scales.

    python -m jsr.main --config configs/carn.py:div2k --config.data.dir DIV2K           # x4
    python -m jsr.main --config configs/carn.py:div2k,x2 --config.data.dir DIV2K

Hardware: two GPUs, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  37.76/.9590 | 33.52/.9166 | 32.09/.8978 | 31.92/.9256 | 38.36/.9765
    x3  34.29/.9255 | 30.29/.8407 | 29.06/.8034 | 28.06/.8493 | 33.50/.9440
    x4  32.13/.8937 | 28.60/.7806 | 27.58/.7349 | 26.07/.7837 | 30.47/.9084    (SwinIR's table)
Recipe: README and carn/train.py of nmhkahn/CARN-pytorch, where the published network
was trained for the three scales together (`--scale 0`); here for one, as its `--scale 4` does.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def paper():
    config = published("carn", "carn", features=64, multi_scale=False)
    config.data.patch = 64
    config.data.batch_size = 64
    config.pixel.steps = 600_000
    rate = {"lr": 1e-4, "schedule": "step", "milestones": (400_000,)}
    config.pixel.optimizer = optimizer(**rate, b2=0.999, clip=10.0)
    config.ema = 0.0
    return config


PRESETS = {**DATA, **SCALES, "smoke": smoke_with(features=4)}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
