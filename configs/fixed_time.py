"""What makes a network good soonest: the shipped small-x4 for a few minutes, one thing changed.

    python -m jsr.sweep --config configs/fixed_time.py --config.data.dir PHOTOS
    # or some of them: --choices plain,batch_8

Every choice sees as many pixels, which takes about as long (the table tells the minutes of each).
Rates fall, and averages reach, over the steps that a choice has.
"""

from configs.base import apply_presets, smoke
from configs.release import get_config as release_config

STEPS = 2_000


def get_config(presets: str = ""):
    config = release_config("small,x4")
    config.name = "fixed_time"
    config.pixel.steps = STEPS
    config.pixel.optimizer.update(schedule="cosine", warmup=100)
    equal_pixels(config)
    return apply_presets(config, presets, PRESETS)


def equal_pixels(config, patch=24, batch_size=16):
    """Crops and batches of other sizes, for as many pixels."""
    pixels = config.data.patch**2 * config.data.batch_size
    config.data.update(patch=patch, batch_size=batch_size)
    config.pixel.steps = max(1, config.pixel.steps * pixels // (patch**2 * batch_size))
    config.eval_every = config.save_every = config.pixel.steps
    # Of the random start a share of exp(-10) is left in it.
    config.ema = max(0.0, 1 - 10 / config.pixel.steps)


def plain(config):
    """Batches of 16 crops of 24x24, L1, Adam at 1e-3, falling; the average of the last tenth."""


def data(**keys):
    return lambda config: equal_pixels(config, **keys)


def rate(lr, **keys):
    return lambda config: config.pixel.optimizer.update(lr=lr, **keys)


def unaveraged(config):
    config.ema = 0.0


def unbranched(config):
    """The folded network itself, without branches to be summed."""
    config.generator.name = "ecbsr_plain"


def unbranched_longer(config):
    """For as many minutes as plain takes."""
    unbranched(config)
    config.pixel.steps = round(1.8 * config.pixel.steps)
    config.eval_every = config.save_every = config.pixel.steps


def bfloat16(config):
    config.dtype = "bfloat16"


GRID = {
    "plain": plain,
    "constant": rate(1e-3, schedule="constant"),
    "lr_5e-4": rate(5e-4),
    "lr_2e-3": rate(2e-3),
    "batch_8": data(batch_size=8),
    "batch_4": data(batch_size=4),
    "batch_32": data(batch_size=32),
    # Larger ones do not fit the smallest photographs.
    "patch_16": data(patch=16),
    "no_ema": unaveraged,
    "unbranched": unbranched,
    "unbranched_longer": unbranched_longer,
    "bfloat16": bfloat16,
}
PRESETS = {**GRID, "smoke": smoke}
