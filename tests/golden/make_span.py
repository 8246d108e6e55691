"""Makes span.npz. With PyTorch and spandrel: python make_span.py

At x2 and x4 the branches are computed, as in training; at x3 the kernel that they amount to.
"""

from pathlib import Path

import numpy as np
from reference import output
from spandrel.architectures.SPAN import SPAN

CASES = {"x2": (2, True), "x3": (3, True), "x4": (4, True), "no_norm": (2, False)}

lr = np.random.default_rng(0).random((1, 9, 10, 3), dtype=np.float32)
corners = {}
for case, (scale, norm) in CASES.items():
    net = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=scale, norm=norm)
    corners[case] = output(net.train(scale != 3), lr)[:, -16:, -16:]
np.savez_compressed(Path(__file__).with_name("span.npz"), **corners)
