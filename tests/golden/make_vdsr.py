"""Makes vdsr.npz. With PyTorch: python make_vdsr.py CHECKOUT_OF_twtygqyy_pytorch-vdsr

The network takes an enlarged picture, which is scale 1.
"""

import sys
from pathlib import Path

from reference import add_biases, load, write

Net = load(Path(sys.argv[1]) / "vdsr.py", "vdsr").Net


def rename(name):
    layer, _, leaf = name.rpartition(".")
    ends = {"input": 0, "output": 19}
    index = ends[layer] if layer in ends else int(layer.split(".")[1]) + 1
    return f"conv_{index}.{leaf}"


write("vdsr", lambda scale: add_biases(Net()), scales=[1], channels=1, rename=rename)
