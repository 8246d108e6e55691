"""Makes rfdn.npz. With PyTorch: python make_rfdn.py CHECKOUT_OF_njulj_RFDN"""

import sys

from reference import write

sys.path.insert(0, sys.argv[1])
import block
from RFDN import RFDN


class Unit(RFDN):
    """The published network takes and gives pictures in [0, 255], and is for x4 alone."""

    def __init__(self, scale):
        super().__init__(nf=8)
        self.upsampler = block.pixelshuffle_block(8, 3, upscale_factor=scale)

    def forward(self, x):
        return super().forward(255.0 * x) / 255.0


write("rfdn", Unit)
