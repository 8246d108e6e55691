"""FSRCNN (Dong et al. 2016): an hourglass on luma at the LR size, 12 K parameters.

    python -m jsr.main --config configs/fsrcnn.py:folder --config.data.dir 91           # x4
    python -m jsr.main --config configs/fsrcnn.py:folder,x2 --config.data.dir 91

91 is the folder of the 91 training images of Yang et al.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `classic`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  37.05/.9560 | 32.66/.9090 | 31.53/.8920 | 29.88/.9020 | 36.67/.9710
    x3  33.18/.9140 | 29.37/.8240 | 28.53/.7910 | 26.43/.8080 | 31.10/.9210
    x4  30.72/.8660 | 27.61/.7550 | 26.98/.7150 | 24.62/.7280 | 27.90/.8610    (RCAN's table)
    by this recipe, Set5 at x2, x3, x4: 37.12, 33.22, 30.50          (on LR by another bicubic)
Recipe: yjn870/FSRCNN-pytorch; its number of steps is open, since its epochs are of patches that
overlap. The transposed convolution learns at a tenth of the rate, as in the paper, whose SGD goes
on with 100 more images (General-100) at half the rate; images at 0.6 to 0.9 of their size are left
out. A scale may start from another (section 3.4): --config.init runs/fsrcnn-folder.
"""

from configs.base import DATA, apply_presets, luma, optimizer, published, scales, smoke_with

# Side of an LR patch by scale.
PATCH = {2: 10, 3: 7, 4: 6}


def adam():
    config = published("fsrcnn", "fsrcnn", features=56, shrunk=12, mappings=4)
    luma(config)
    config.data.patch = PATCH[config.scale]
    config.data.batch_size = 16
    config.pixel.steps = 400_000
    config.pixel.pixel_loss = "l2"
    config.pixel.optimizer = optimizer(lr=1e-3, b2=0.999, slow=("last_part",))
    config.ema = 0.0
    return config


PRESETS = {
    **DATA,
    **scales(PATCH.get),
    "smoke": smoke_with(features=4, shrunk=2, mappings=1),
}


def get_config(presets: str = ""):
    return apply_presets(adam(), presets, PRESETS)
