"""Makes edsr.npz and mdsr.npz. With PyTorch: python make_edsr.py CHECKOUT_OF_EDSR-PyTorch"""

import sys
import types

from reference import write

sys.path.insert(0, sys.argv[1] + "/src")
from model import edsr, mdsr

# The file names of weights that MDSR wants to know by size.
mdsr.url = {"r1f8": ""}


def on_unit_range(net):
    """`net` for pictures in [0, 1], not in 0..255."""
    forward = net.forward
    net.forward = lambda x: forward(255 * x) / 255
    return net


def build(family, scale):
    scales = (2, 3, 4) if family is mdsr else (scale,)
    arguments = {"n_resblocks": 2 - (family is mdsr), "n_feats": 8, "res_scale": 0.1}
    arguments |= {"scale": scales, "rgb_range": 255, "n_colors": 3}
    net = family.make_model(types.SimpleNamespace(**arguments))
    if family is mdsr:
        net.set_scale(scales.index(scale))
    return on_unit_range(net)


write("edsr", lambda scale: build(edsr, scale), scales=(2, 3, 4, 8))
write("mdsr", lambda scale: build(mdsr, scale))
