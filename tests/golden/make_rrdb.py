"""Makes rrdb.npz. With PyTorch and spandrel: python make_rrdb.py

spandrel's network has the names of ESRGAN's first release.
"""

from pathlib import Path

import numpy as np
from reference import output
from spandrel.architectures.ESRGAN import ESRGAN

# How many times it doubles the size, and by what it first divides it.
CASES = {"x1": (2, 4), "x2": (2, 2), "x4": (2, None), "x8": (3, None), "plain_x2": (1, None)}

lr = np.random.default_rng(0).random((1, 9, 10, 3), dtype=np.float32)
corners = {}
for case, (stages, factor) in CASES.items():
    settings = {"scale": 2**stages, "shuffle_factor": factor, "in_nc": 3 * (factor or 1) ** 2}
    net = ESRGAN(num_filters=8, num_blocks=1, **settings)
    corners[case] = output(net, lr)[:, -16:, -16:]
np.savez_compressed(Path(__file__).with_name("rrdb.npz"), **corners)
