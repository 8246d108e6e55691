"""IMDN (Hui et al. 2019): information multi-distillation, 0.7 M parameters.

    python -m jsr.main --config configs/imdn.py:div2k --config.data.dir DIV2K           # x4
    python -m jsr.main --config configs/imdn.py:div2k,x2 --config.data.dir DIV2K

Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  38.00/.9605 | 33.63/.9177 | 32.19/.8996 | 32.17/.9283 | 38.88/.9774
    x3  34.36/.9270 | 30.32/.8417 | 29.09/.8046 | 28.17/.8519 | 33.61/.9445
    x4  32.21/.8948 | 28.58/.7811 | 27.56/.7353 | 26.04/.7838 | 30.45/.9075    (SwinIR's table)
Recipe: train_IMDN.py of Zheng222/IMDN, 1000 epochs of 1000 steps.
"""

from configs.base import DATA, apply_presets, optimizer, published, scales, smoke_with

# Side of an HR patch at any scale.
HR_PATCH = 192


def paper():
    config = published("imdn", "imdn", features=64, blocks=6)
    config.data.patch = HR_PATCH // config.scale
    config.data.batch_size = 16
    config.pixel.steps = 1_000_000
    halved = tuple(range(200_000, 1_000_000, 200_000))
    config.pixel.optimizer = optimizer(lr=2e-4, b2=0.999, schedule="step", milestones=halved)
    config.ema = 0.0
    return config


PRESETS = {
    **DATA,
    **scales(lambda scale: HR_PATCH // scale),
    "smoke": smoke_with(features=16, blocks=1),
}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
