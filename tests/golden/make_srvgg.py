"""Makes srvgg.npz. With PyTorch and spandrel: python make_srvgg.py"""

from pathlib import Path

import numpy as np
from reference import output
from spandrel.architectures.Compact import Compact

CASES = {f"prelu_x{scale}": ("prelu", scale) for scale in (1, 2, 3, 4)}
CASES |= {"relu_x2": ("relu", 2), "leakyrelu_x2": ("leakyrelu", 2)}

lr = np.random.default_rng(0).random((1, 9, 10, 3), dtype=np.float32)
corners = {}
for case, (activation, scale) in CASES.items():
    net = Compact(num_feat=8, num_conv=2, upscale=scale, act_type=activation)
    corners[case] = output(net, lr)[:, -16:, -16:]
np.savez_compressed(Path(__file__).with_name("srvgg.npz"), **corners)
