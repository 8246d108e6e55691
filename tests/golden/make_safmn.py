"""Makes safmn.npz. With PyTorch and spandrel: python make_safmn.py

No side of the picture is a multiple of 8: cells of the pooling then share rows.
"""

from pathlib import Path

import numpy as np
from reference import output
from spandrel.architectures.SAFMN import SAFMN

lr = np.random.default_rng(0).random((1, 19, 23, 3), dtype=np.float32)
corners = {}
for scale in (2, 3, 4):
    corners[f"x{scale}"] = output(SAFMN(dim=8, n_blocks=2, upscaling_factor=scale), lr)
np.savez_compressed(
    Path(__file__).with_name("safmn.npz"), **{k: v[:, -24:, -24:] for k, v in corners.items()}
)
