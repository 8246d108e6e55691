"""What one choice changes: a small network on the embedded photos, each with one thing else.

    python -m jsr.sweep --config configs/sweep.py                          # all, with two seeds
    python -m jsr.sweep --config configs/sweep.py --choices plain,gelu,mish --seeds 4
    python -m jsr.main --config configs/sweep.py:gelu                      # one of them, as any run

Hardware: two cores, 15 seconds a run. Expected (PSNR-Y on the three test photos, mean of two seeds;
bicubic 27.21): constant 27.72, permute 27.68, plain, adamw, drop_path and mixup 27.67, leaky and
prelu 27.66, mish 27.65, gelu and silu 27.64, dropout 27.61, desubpixel 27.55, cutblur 27.52, lion
27.48, adan 27.38, sgd 27.35, orthogonal 26.80; over the seeds they deviate by 0.00 to 0.03, cutblur
and desubpixel by 0.08, orthogonal by 0.18.

GRID holds the choices: functions that change the config, as presets do. Rates are those of `plain`
but for optimizers that need their own, and tuned for none; 300 steps tell what starts well, not
what ends best. A grid of your own is a file like this one.
"""

from configs.base import apply_presets, optimizer, smoke
from configs.base import get_config as base_config


def small():
    config = base_config()
    config.name = "sweep"
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 16, "blocks": 4, "tail": "light", "base": "bicubic"}
    config.stages = ("pixel",)
    config.licence = "research-only"
    config.data.batch_size = 8
    config.pixel.steps = 300
    config.pixel.optimizer = rate(2e-3)
    config.ema = 0.99
    config.log_every = 100
    config.eval_every = 300
    config.save_every = 300
    return config


def rate(lr, **changes):
    return optimizer(**{"lr": lr, "schedule": "cosine", "warmup": 30, "clip": 1.0, **changes})


def plain(config):
    """ReLU, Adam, cosine; nothing dropped, mixed or cut."""


def hparams(**changes):
    return lambda config: config.generator.hparams.update(changes)


def trained_by(lr, **changes):
    return lambda config: config.pixel.optimizer.update(lr=lr, **changes)


def of_data(**shares):
    return lambda config: config.data.update(shares)


def started(name):
    return lambda config: config.generator.update(initializer=name)


def cutblur(config):
    config.generator.hparams.update(desubpixel=True)
    config.data.cutblur = 0.5


GRID = {
    "plain": plain,
    **{name: hparams(activation=name) for name in ("leaky", "prelu", "gelu", "silu", "mish")},
    "adamw": trained_by(2e-3, name="adamw", weight_decay=0.01),
    "adan": trained_by(2e-3, name="adan", b1=0.98),
    "lion": trained_by(4e-4, name="lion"),
    "sgd": trained_by(5e-2, name="sgd"),
    "constant": trained_by(2e-3, schedule="constant"),
    "orthogonal": started("orthogonal"),
    "dropout": hparams(dropout=0.5),
    "drop_path": hparams(drop_path=0.1),
    "permute": of_data(permute=0.5),
    "mixup": of_data(mixup=0.5),
    "desubpixel": hparams(desubpixel=True),
    "cutblur": cutblur,
}
PRESETS = {**GRID, "smoke": smoke}


def get_config(presets: str = ""):
    return apply_presets(small(), presets, PRESETS)
