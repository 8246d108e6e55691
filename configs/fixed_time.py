"""What makes a network good soonest: the shipped small-x4 for a few minutes, one thing changed.

    python -m jsr.sweep --config configs/fixed_time.py --config.data.dir PHOTOS --seeds 1
    # or some of them: --choices plain,batch_8

Every choice but the last but one sees as many pixels. Rates fall, and averages reach, over the
steps that a choice has.

Hardware: a core of an AMD EPYC for each half of the grid. Expected on the 8 test photographs of
small-x4's folder, one seed, bicubic 28.87 / 0.7372 (minutes of which other work took a part: *):

                     PSNR-Y   SSIM     minutes
    plain            29.56    0.7699    3.9
    constant         29.49    0.7688    3.9
    lr_5e-4          29.51    0.7682    4.1
    lr_2e-3          27.58    0.7046    4.1    worse than bicubic
    batch_32         29.50    0.7676    4.0
    batch_8          29.59    0.7711    6.6*
    batch_4          29.59    0.7715   10.5*
    patch_16         29.60    0.7713    6.6*
    no_ema           29.56    0.7701    6.1*
    unbranched       29.46    0.7664    2.2
    unbranched_longer 29.54  0.7693    4.4
    bfloat16         29.56    0.7699    5.1*

So the recipe is plain's. At equal steps the branches are worth 0.1 dB, most of which the network
without them makes up in the time that it saves; a rate twice as high is too high; smaller batches
and crops gain 0.03 dB for more time.
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


def set_steps(config, steps):
    config.pixel.steps = config.eval_every = config.save_every = steps


def equal_pixels(config, patch=24, batch_size=16):
    """Crops and batches of other sizes, for as many pixels."""
    pixels = config.data.patch**2 * config.data.batch_size
    config.data.update(patch=patch, batch_size=batch_size)
    set_steps(config, max(1, config.pixel.steps * pixels // (patch**2 * batch_size)))
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
    set_steps(config, round(1.8 * config.pixel.steps))


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
