"""Makes drrn.npz. With PyTorch: python make_drrn.py CHECKOUT_OF_yjn870_DRRN-pytorch

The network takes an enlarged picture, which is scale 1, and does not normalise.
"""

import re
import sys
from pathlib import Path

from reference import add_biases, load, write

DRRN = load(Path(sys.argv[1]) / "models.py", "models").DRRN


def rename(name):
    name = re.sub(r"rbs\.(\d)\.h0\.module\.1", r"block_\1_head", name)
    name = re.sub(r"rbs\.(\d)\.ru\.module\.(\d)\.module\.1", r"block_\1_conv_\2", name)
    return name.replace("rec.module.1", "tail")


def build(scale):
    # A ReLU in place would change what the skip connection adds.
    net = add_biases(DRRN(B=2, U=3, num_features=8))
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return net


write("drrn", build, scales=[1], channels=1, rename=rename)
