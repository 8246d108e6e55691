"""VDSR (Kim et al. 2016): twenty convolutions that correct bicubic luma, 0.67 M parameters.

    python -m jsr.main --config configs/vdsr.py:folder --config.data.dir 291
    python -m jsr.evaluate --weights runs/vdsr-folder --scale 2,3,4 --datasets set5 --data_dir BENCH

One network for the three scales, each step of one of them; `x2` and `x3` change the one that is
scored in training. 291 is the folder of the training images, 91 of Yang et al. and 200 of BSD.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `classic`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  37.53/.9590 | 33.05/.9130 | 31.90/.8960 | 30.77/.9140 | 37.22/.9750
    x3  33.67/.9210 | 29.78/.8320 | 28.83/.7990 | 27.14/.8290 | 32.01/.9340
    x4  31.35/.8838 | 28.01/.7674 | 27.29/.7251 | 25.18/.7524 | 28.83/.8870    (CARN's, RCAN's)
    by this recipe, x2, x3, x4: 37.58, 33.68, 31.33 | 33.00, 29.75, 27.95 | 31.87, 28.80, 27.24
Recipe: huangzehao/caffe-vdsr, Train/ and README, 80 epochs of 11,698 steps. There a batch mixes the
scales in patches of 41 HR pixels; weight decay, and images at 0.6 to 0.9 of their size, are left
out here. The paper has SGD at a rate of 0.1, gradients clipped by what the rate has become.
"""

from configs.base import DATA, SCALES, apply_presets, luma, optimizer, published, smoke_with


def adam():
    config = published("vdsr", "vdsr", features=64, layers=20)
    luma(config)
    config.scales = (2, 3, 4)
    config.data.patch = 14
    config.data.batch_size = 64
    config.pixel.steps = 935_840
    config.pixel.pixel_loss = "l2"
    # Caffe takes Adam's first decay from `momentum`, which the recipe leaves at 0.
    config.pixel.optimizer = optimizer(lr=1e-4, b1=0.0, b2=0.999)
    config.ema = 0.0
    return config


PRESETS = {**DATA, **SCALES, "smoke": smoke_with(features=4, layers=3)}


def get_config(presets: str = ""):
    return apply_presets(adam(), presets, PRESETS)
