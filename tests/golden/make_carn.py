"""Makes carn.npz and carn_m.npz. With PyTorch: python make_carn.py CHECKOUT_OF_CARN-pytorch"""

import sys

from reference import write

sys.path.insert(0, sys.argv[1] + "/carn")
from model import carn, carn_m


def build(family, scale, group):
    net = family.Net(multi_scale=True, group=group)
    forward = net.forward
    net.forward = lambda x: forward(x, scale)
    return net


write("carn", lambda scale: build(carn, scale, group=1))
write("carn_m", lambda scale: build(carn_m, scale, group=4))
