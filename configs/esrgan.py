"""ESRGAN (Wang et al. 2018), 16.7 M parameters; `psnr` is its first stage, RRDB on L1 alone.

    python -m jsr.weights fetch vgg19
    python -m jsr.main --config configs/esrgan.py:df2k --config.data.dir DIV2K,Flickr2K     # x4
    python -m jsr.main --config configs/esrgan.py:div2k,psnr --config.data.dir DIV2K

Hardware: one GPU, as published; not measured here.
Expected, as published:
    psnr  Set5 | Set14 | BSD100 | Urban100 | Manga109, protocol `y`, trained on DF2K:
          32.73/.9011 | 28.99/.7917 | 27.85/.7455 | 27.03/.8153 | 31.66/.9196    (authors' README)
    both  Set5 | Set14 | DIV2K's 100 for validation, protocol `rgb`:
          28.27/.7778 | 24.63/.6491 | 26.65/.7340    (mmagic, configs/esrgan)
Recipe: BasicSR, options/train/ESRGAN/train_RRDBNet_PSNR_x4.yml and train_ESRGAN_x4.yml, that of
configs/msrgan.py (D too) with another network and the relativistic loss, whose weight is the
paper's: BasicSR halves the loss, so that its own is 2.5e-3 here. The paper trains on DF2K.
"""

import functools

from configs import msrgan
from configs.base import DATA, apply_presets, df2k


def two_stages():
    config = msrgan.two_stages()
    config.name = "esrgan"
    config.generator.name = "rrdb"
    config.generator.hparams = {"features": 64, "blocks": 23, "growth": 32}
    config.gan.adversarial = "relativistic"
    return config


SMOKE = functools.partial(msrgan.smoke, growth=2)
PRESETS = {**DATA, "df2k": df2k, "psnr": msrgan.psnr, "smoke": SMOKE}


def get_config(presets: str = ""):
    return apply_presets(two_stages(), presets, PRESETS)
