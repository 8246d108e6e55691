"""SRResNet: the pixel stage alone.

    python -m jsr.main --config configs/srresnet.py                      # embedded photos, 2 cores
    python -m jsr.main --config configs/srresnet.py:folder --config.data.dir PHOTOS
    python -m jsr.main --config configs/srresnet.py:div2k --config.data.dir DIV2K  # for one GPU

Expected: the table in README.md for the embedded photos.
"""

from configs import srgan
from configs.base import apply_presets


def get_config(presets: str = ""):
    config = srgan.embedded()
    config.name = "srresnet"
    config.stages = ("pixel",)
    return apply_presets(config, presets, srgan.PRESETS)
