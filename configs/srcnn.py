"""SRCNN (Dong et al. 2014, 2016): three convolutions on bicubic luma; 9-5-5, 57 K parameters.

    python -m jsr.main --config configs/srcnn.py:folder --config.data.dir 91            # x4
    python -m jsr.main --config configs/srcnn.py:folder,x2 --config.data.dir 91

91 is the folder of the 91 training images of Yang et al.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `classic`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  36.66/.9542 | 32.45/.9067 | 31.36/.8879 | 29.50/.8946 | 35.60/.9663
    x3  32.75/.9090 | 29.30/.8215 | 28.41/.7863 | 26.24/.7989 | 30.48/.9117
    x4  30.48/.8628 | 27.50/.7513 | 26.90/.7101 | 24.52/.7221 | 27.58/.8555    (RCAN's table)
    by this recipe, Set5 at x2, x3, x4: 36.65, 33.29, 30.25          (on LR by another bicubic)
Recipe: yjn870/SRCNN-pytorch, 400 epochs of the paper's 24,800 patches, in place of its 8e8 by SGD;
the last layer learns at a tenth of the rate in both. The published figures are of ImageNet.
"""

from configs.base import DATA, apply_presets, luma, optimizer, published, scales, smoke_with

# Side of an HR patch at any scale.
HR_PATCH = 33


def adam():
    config = published("srcnn", "srcnn", features=64, mapped=32, mapping=5)
    luma(config)
    config.data.patch = HR_PATCH // config.scale
    config.data.batch_size = 16
    config.pixel.steps = 620_000
    config.pixel.pixel_loss = "l2"
    config.pixel.optimizer = optimizer(lr=1e-4, b2=0.999, slow=("conv3",))
    config.ema = 0.0
    return config


PRESETS = {
    **DATA,
    **scales(lambda scale: HR_PATCH // scale),
    "smoke": smoke_with(features=4, mapped=4),
}


def get_config(presets: str = ""):
    return apply_presets(adam(), presets, PRESETS)
