"""RDN (Zhang et al. 2018, CVPR): 16 dense blocks of 8 convolutions, 22 M parameters.

    python -m jsr.main --config configs/rdn.py:div2k,x2 --config.data.dir DIV2K
    python -m jsr.main --config configs/rdn.py:div2k,x4 --config.data.dir DIV2K

x3 and x4 start from the trained x2: add --config.init runs/rdn-div2k-x2 to the second line.
Hardware: one GPU, as published; not measured here.
Expected, as published, protocol `y`: Set5 | Set14 | BSD100 | Urban100 | Manga109
    x2  38.24/.9614                                    (the authors' SR pictures, scored here)
    x3  34.71/.9296                                    (the same)
    x4  32.47/.8990 | 28.81/.7871 | 27.72/.7419 | 26.61/.8028 | 31.00/.9151    (the paper's table)
Recipe: yulunzhang/RDN, RDN_TrainCode/code/TrainRDN_scripts.sh with the defaults of opts.lua, at
the patches of 32 that the paper's numbers come from; x4's number of steps at every scale, because
that of x2 and x3 is open there. x3 and x4 start from the trained x2 there.
"""

from configs.base import DATA, SCALES, apply_presets, optimizer, published, smoke_with


def paper():
    config = published("rdn", "rdn", features=64, growth=64, blocks=16, layers=8)
    config.data.patch = 32
    config.data.batch_size = 16
    config.pixel.steps = 1_000_000
    halved = tuple(range(200_000, 1_000_000, 200_000))
    config.pixel.optimizer = optimizer(lr=1e-4, b2=0.999, schedule="step", milestones=halved)
    config.ema = 0.0
    return config


PRESETS = {**DATA, **SCALES, "smoke": smoke_with(features=4, growth=4, blocks=1, layers=2)}


def get_config(presets: str = ""):
    return apply_presets(paper(), presets, PRESETS)
