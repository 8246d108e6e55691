"""CARN (Ahn et al. 2018): cascading residual blocks; 1.6 M parameters with all three scales.

    python -m jsr.main --config configs/carn.py:div2k --config.data.dir DIV2K
    python -m jsr.evaluate --weights runs/carn-div2k --scale 2,3,4 --datasets set5 --data_dir BENCH
    python -m jsr.main --config configs/carn.py:div2k,single,x2 --config.data.dir DIV2K

One network for the three scales, each step of one of them; `x2` and `x3` change the one that is
scored in training. `single` trains for that one alone, without the others' upsamplers.

Hardware: two GPUs, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  37.76/.9590 | 33.52/.9166 | 32.09/.8978 | 31.92/.9256 | 38.36/.9765
    x3  34.29/.9255 | 30.29/.8407 | 29.06/.8034 | 28.06/.8493 | 33.50/.9440
    x4  32.13/.8937 | 28.60/.7806 | 27.58/.7349 | 26.07/.7837 | 30.47/.9084    (SwinIR's table)
Recipe: README (`--scale 0`; `single`: `--scale 4`) and carn/train.py of nmhkahn/CARN-pytorch.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def paper():
    config = published("carn", "carn", features=64, multi_scale=True)
    config.scales = (2, 3, 4)
    config.data.patch = 64
    config.data.batch_size = 64
    config.pixel.steps = 600_000
    rate = {"lr": 1e-4, "schedule": "step", "milestones": (400_000,)}
    config.pixel.optimizer = optimizer(**rate, b2=0.999, clip=10.0)
    config.ema = 0.0
    return config


def single(config):
    config.generator.hparams.multi_scale = False
    config.scales = ()


PRESETS = {**DATA, **SCALES, "single": single, "smoke": smoke_with(features=4)}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
